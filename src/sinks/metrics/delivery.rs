//! Batches on their way to a receiver: a bounded queue, and a thread that sends them.
//!
//! Sinks that push add batches; `cli` waits for the rest after the run, and prints what was lost.
//! Invariant: a receiver that is down, slow or wrong never delays the run: the oldest batch gives
//! way, and each batch is counted as delivered, rejected or dropped.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{self, Time};
use crate::units::{counted, show_count};

/// Maximum number of waiting batches.
const MAX_BATCHES: usize = 64;

/// Maximum size of all waiting batches, bytes.
const MAX_BYTES: usize = 32 << 20;

/// The pause after a first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause, also if a receiver demands a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long the end of a run waits for a receiver.
pub(in crate::sinks) const LAST_WAIT: Duration = Duration::from_secs(10);

/// How often a wait looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// What became of an attempt to send a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sinks) enum SendResult {
    /// The receiver has it.
    Delivered,
    /// It may be sent again; after this pause if the receiver demands one.
    Retry(Option<Duration>, String),
    /// It will never be taken.
    Rejected(String),
}

/// Sends batches to a receiver.
pub(in crate::sinks) trait BatchSender: Send + 'static {
    /// Sends a batch; takes a bounded time.
    fn send(&mut self, batch: &[u8]) -> SendResult;
}

/// What became of all batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sinks) struct DeliveryCounts {
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    pub(super) dropped: u64,
    /// Why the last one failed that was lost.
    pub(super) why: Option<String>,
}

impl DeliveryCounts {
    /// What was lost, for the user; `None` if nothing was. `content`: what the batches have.
    pub(in crate::sinks) fn loss(&self, receiver: &str, content: &str) -> Option<String> {
        let lost = self.rejected + self.dropped;
        if lost == 0 {
            return None;
        }
        let all = counted(self.delivered + lost, "request");
        let why = self.why.as_deref().unwrap_or("it was too slow");
        Some(format!(
            "{receiver}: {} of {all} with {content} lost: {why}; the report is complete",
            show_count(lost)
        ))
    }
}

/// The queue to a receiver.
#[derive(Debug)]
pub(in crate::sinks) struct Delivery {
    shared: Arc<DeliveryState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct DeliveryState {
    queue: Mutex<BatchQueue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BatchQueue {
    waiting: VecDeque<Arc<[u8]>>,
    bytes: usize,
    is_closed: bool,
    /// Set once nothing may be waited for any more.
    is_given_up: bool,
    counts: DeliveryCounts,
    /// Why the last attempt failed.
    failure: Option<String>,
}

impl BatchQueue {
    fn push(&mut self, batch: Arc<[u8]>) {
        self.bytes += batch.len();
        self.waiting.push_back(batch);
        while self.waiting.len() > MAX_BATCHES || self.bytes > MAX_BYTES && self.waiting.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.waiting.pop_front() {
            self.bytes -= oldest.len();
            self.counts.dropped += 1;
            self.counts.why.clone_from(&self.failure);
        }
    }

    /// Settles a batch that was sent; it may have been dropped meanwhile. Returns the pause before
    /// the next attempt.
    fn settle(&mut self, batch: &Arc<[u8]>, result: SendResult, failures: &mut u32) -> Duration {
        let is_first = self.waiting.front().is_some_and(|first| Arc::ptr_eq(first, batch));
        let take = |queue: &mut Self| {
            if is_first {
                queue.bytes -= batch.len();
                queue.waiting.pop_front();
            } else {
                queue.counts.dropped -= 1;
            }
        };
        match result {
            SendResult::Delivered => {
                take(self);
                self.counts.delivered += 1;
                self.failure = None;
                *failures = 0;
                Duration::ZERO
            }
            SendResult::Rejected(why) => {
                take(self);
                self.counts.rejected += 1;
                self.counts.why = Some(why);
                *failures = 0;
                Duration::ZERO
            }
            SendResult::Retry(pause, why) => {
                self.failure = Some(why);
                let doubled = FIRST_PAUSE.saturating_mul(1 << (*failures).min(10));
                *failures += 1;
                pause.unwrap_or_default().max(doubled).min(LONGEST_PAUSE)
            }
        }
    }
}

impl DeliveryState {
    fn lock(&self) -> MutexGuard<'_, BatchQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends until the queue is closed and empty.
    fn run(&self, mut sender: impl BatchSender) {
        let mut failures = 0;
        while let Some(batch) = self.next() {
            let result = sender.send(&batch);
            let pause = self.lock().settle(&batch, result, &mut failures);
            self.pause(clock::now() + pause);
        }
    }

    /// Waits for the oldest batch; `None` once there will be none.
    fn next(&self) -> Option<Arc<[u8]>> {
        let mut queue = self.lock();
        loop {
            if queue.is_given_up {
                return None;
            }
            if let Some(batch) = queue.waiting.front() {
                return Some(Arc::clone(batch));
            }
            if queue.is_closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until a time, or until the rest is given up.
    fn pause(&self, until: Time) {
        let mut queue = self.lock();
        while clock::now() < until && !queue.is_given_up {
            let left = Duration::from_nanos(until.since(clock::now()));
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Delivery {
    /// Starts the thread of a receiver.
    ///
    /// # Errors
    /// If the system provides no thread.
    pub(in crate::sinks) fn start(name: &str, sender: impl BatchSender) -> io::Result<Self> {
        let shared = Arc::new(DeliveryState::default());
        let state = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || state.run(sender))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes batches, for the sink that makes them.
    pub(in crate::sinks) fn intake(&self) -> BatchIntake {
        BatchIntake { shared: Arc::clone(&self.shared) }
    }

    /// Waits for the rest, some seconds or until `hurry` is set. Returns what became of all.
    pub(in crate::sinks) fn finish(self, hurry: &AtomicBool) -> DeliveryCounts {
        self.finish_by(clock::now() + LAST_WAIT, hurry)
    }

    /// Tells that no batch follows, before one of several receivers is waited for.
    pub(in crate::sinks) fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }

    /// As [`Self::finish`], but waits at most until this time.
    pub(in crate::sinks) fn finish_by(mut self, until: Time, hurry: &AtomicBool) -> DeliveryCounts {
        self.close();
        let thread = self.thread.take();
        let is_under_way = || thread.as_ref().is_some_and(|thread| !thread.is_finished());
        while is_under_way() && clock::now() < until && !hurry.load(Relaxed) {
            std::thread::park_timeout(LOOK);
        }
        let mut queue = self.shared.lock();
        queue.is_given_up = true;
        while !queue.waiting.is_empty() {
            queue.drop_oldest();
        }
        self.shared.changed.notify_all();
        queue.counts.clone()
    }
}

/// The end of a queue at which batches come in.
#[derive(Clone, Debug)]
pub(in crate::sinks) struct BatchIntake {
    shared: Arc<DeliveryState>,
}

impl BatchIntake {
    /// Adds a batch.
    pub(in crate::sinks) fn push(&self, batch: Vec<u8>) {
        self.shared.lock().push(batch.into());
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(sizes: impl IntoIterator<Item = usize>) -> BatchQueue {
        let mut queue = BatchQueue::default();
        sizes.into_iter().for_each(|size| queue.push(vec![0; size].into()));
        queue
    }

    #[test]
    fn a_full_queue_drops_the_oldest_batch_and_counts_it() {
        let mut many = queue([1; MAX_BATCHES + 3]);
        assert_eq!((many.waiting.len(), many.bytes, many.counts.dropped), (MAX_BATCHES, 64, 3));
        many.failure = Some("503".to_owned());
        many.push(vec![0; 5].into());
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
        let first = Arc::clone(&all.waiting[0]);
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
        let second = Arc::clone(&all.waiting[0]);
        // It arrives although the queue has dropped it meanwhile.
        all.drop_oldest();
        all.settle(&second, SendResult::Delivered, &mut failures);
        let third = Arc::clone(&all.waiting[0]);
        all.settle(&third, SendResult::Rejected("400".to_owned()), &mut failures);
        let DeliveryCounts { delivered, rejected, dropped, .. } = all.counts;
        assert_eq!((delivered, rejected, dropped, all.bytes), (2, 1, 0, 0));
        assert_eq!(
            all.counts.loss("http://r", "metrics").unwrap(),
            "http://r: 1 of 3 requests with metrics lost: 400; the report is complete"
        );
    }

    struct Down;

    impl BatchSender for Down {
        fn send(&mut self, _: &[u8]) -> SendResult {
            SendResult::Retry(Some(LONGEST_PAUSE), "down".to_owned())
        }
    }

    #[test]
    fn the_end_of_a_run_gives_up_a_receiver_that_is_down() {
        let delivery = Delivery::start("down", Down).unwrap();
        (0..5).for_each(|_| delivery.intake().push(vec![1]));
        let counts = delivery.finish(&AtomicBool::new(true));
        assert_eq!((counts.delivered, counts.dropped), (0, 5));
    }
}
