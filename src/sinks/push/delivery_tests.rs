//! Tests of the queue to a receiver: each item is counted once.

use std::sync::atomic::AtomicBool;

use super::*;

fn queue(sizes: impl IntoIterator<Item = usize>) -> BatchQueue {
    let mut queue = BatchQueue::default();
    sizes.into_iter().for_each(|size| queue.push(Batch::new(vec![0; size], 1)));
    queue
}

#[test]
fn a_full_queue_drops_the_oldest_batch_and_counts_it() {
    let mut many = queue([1; MAX_BATCHES + 3]);
    assert_eq!((many.waiting.len(), many.bytes, many.counts.dropped), (MAX_BATCHES, 64, 3));
    many.failure = Some("503".to_owned());
    many.push(Batch::new(vec![0; 5], 1));
    assert_eq!((many.counts.dropped, many.counts.why.as_deref()), (4, Some("503")));
    let large = queue([MAX_BYTES, MAX_BYTES, 7]);
    assert_eq!((large.waiting.len(), large.counts.dropped), (1, 2));
    let alone = queue([MAX_BYTES + 1]);
    assert_eq!((alone.waiting.len(), alone.counts.dropped), (1, 0));
}

#[test]
fn each_batch_is_counted_once() {
    let mut all = queue([1, 2, 3]);
    let mut failures = 0;
    let first = all.waiting[0].clone();
    let retry = |pause| SendResult::Retry(pause, "refused".to_owned());
    let mut pauses = Vec::new();
    for _ in 0..3 {
        pauses.push(all.settle(&first, retry(None), &mut failures).as_millis());
    }
    assert_eq!(pauses, [250, 500, 1_000]);
    let demanded = all.settle(&first, retry(Some(Duration::from_secs(9))), &mut failures);
    assert_eq!(demanded, Duration::from_secs(9));
    let demanded = all.settle(&first, retry(Some(Duration::from_mins(15))), &mut failures);
    assert_eq!(demanded, LONGEST_PAUSE);
    assert_eq!(all.settle(&first, SendResult::Delivered, &mut failures), Duration::ZERO);
    let second = all.waiting[0].clone();
    // It arrives although the queue has dropped it meanwhile.
    all.drop_oldest();
    all.settle(&second, SendResult::Delivered, &mut failures);
    let third = all.waiting[0].clone();
    all.settle(&third, SendResult::Rejected("400".to_owned()), &mut failures);
    let DeliveryCounts { delivered, rejected, dropped, .. } = all.counts;
    assert_eq!((delivered, rejected, dropped, all.bytes), (2, 1, 0, 0));
    assert_eq!(
        all.counts.loss("http://r", DeliveryItem::Request("metrics")).unwrap(),
        "http://r: 1 of 3 requests with metrics lost: 400; the report is complete"
    );
}

struct Down;

impl BatchSender for Down {
    fn send(&mut self, _: &Batch) -> SendResult {
        SendResult::Retry(Some(LONGEST_PAUSE), "down".to_owned())
    }
}

#[test]
fn the_end_of_a_run_gives_up_a_receiver_that_is_down() {
    let delivery = Delivery::start("down", Down).unwrap();
    (0..5).for_each(|_| delivery.intake().push(Batch::new(vec![1], 1)));
    let counts = delivery.finish(LastWait::begin(&AtomicBool::new(true)));
    assert_eq!((counts.delivered, counts.dropped), (0, 5));
}

#[test]
fn items_are_settled_one_by_one_and_parts_take_the_place_of_their_batch() {
    let mut all = BatchQueue::default();
    all.push(Batch::new(vec![1; 10], 10));
    all.push(Batch::new(vec![2; 3], 3));
    let mut failures = 3;
    let first = all.waiting[0].clone();
    let again = Batch::new(vec![3; 4], 4);
    let part = PartResult { rejected: 1, again: Some(again), why: "429".to_owned() };
    let pause = all.settle(&first, SendResult::Partly(part), &mut failures);
    assert_eq!((pause, failures), (FIRST_PAUSE, 1), "something was settled");
    assert_eq!((all.counts.delivered, all.counts.rejected, all.bytes), (5, 1, 7));
    let again = all.waiting[0].clone();
    assert_eq!((&*again.bytes, again.items), (&[3; 4][..], 4));
    let halves = vec![Batch::new(vec![4; 2], 2), Batch::new(vec![5; 2], 2)];
    assert_eq!(
        all.settle(&again, SendResult::Split(halves.clone()), &mut failures),
        Duration::ZERO
    );
    assert_eq!((&all.waiting[0], &all.waiting[1], all.bytes), (&halves[0], &halves[1], 7));
    // A batch that the queue has dropped meanwhile: what of it was not settled stays lost.
    let half = all.waiting[0].clone();
    all.drop_oldest();
    let again = Some(Batch::new(vec![4], 1));
    let part = PartResult { rejected: 0, again, why: "429".to_owned() };
    all.settle(&half, SendResult::Partly(part), &mut failures);
    let DeliveryCounts { delivered, rejected, dropped, .. } = all.counts;
    assert_eq!((delivered, rejected, dropped, all.bytes), (6, 1, 1, 5));
    // A receiver that rejects more than it got.
    let last = all.waiting[0].clone();
    let part = PartResult { rejected: 99, again: None, why: "400".to_owned() };
    all.settle(&last, SendResult::Partly(part), &mut failures);
    assert_eq!((all.counts.delivered, all.counts.rejected, all.bytes), (6, 3, 3));
}
