//! Streams of a simulated target under virtual time.

use std::future::poll_fn;

use super::*;
use crate::clock::block_on_virtual;

const MS: u64 = 1_000_000;

/// A model that brings each message to all streams 5 ms later, and a greeting after 1 ms.
#[derive(Default)]
struct RelayModel {
    open: Vec<u64>,
    gone: Rc<RefCell<Vec<u64>>>,
}

impl StreamModel for RelayModel {
    fn open(&mut self, now: Time, stream: u64, user: u64, _: &[u8]) -> Vec<FakeDelivery> {
        self.open.push(stream);
        let event = FakeEvent::text(format!("hello {user}").into_bytes());
        vec![FakeDelivery { stream, at: now.after(MS), event }]
    }

    fn message(&mut self, now: Time, _: u64, message: Message<'_>) -> Vec<FakeDelivery> {
        let event = FakeEvent::text(message.payload);
        let deliver = |stream: &u64| FakeDelivery {
            stream: *stream,
            at: now.after(5 * MS),
            event: event.clone(),
        };
        self.open.iter().map(deliver).collect()
    }

    fn gone(&mut self, _: Time, stream: u64) {
        self.open.retain(|open| *open != stream);
        self.gone.borrow_mut().push(stream);
    }
}

fn text(payload: &[u8]) -> Message<'_> {
    Message::new(MessageKind::Text, payload)
}

/// Polls a stream until it ends; returns what arrived, with its time in ms, and the end.
async fn drain(mut stream: FakeStream) -> (Vec<(u64, String)>, StreamEnd) {
    let mut arrived = Vec::new();
    let end = poll_fn(|cx| {
        stream.poll_receive(cx, &mut [], &mut |at, message| {
            assert!(at <= clock::now());
            let text = String::from_utf8(message.payload.to_vec()).unwrap();
            arrived.push((at.0 / MS, text));
        })
    });
    let end = end.await;
    (arrived, end)
}

#[test]
fn a_message_of_one_stream_is_brought_to_all_at_its_time() {
    let gone = Rc::default();
    let model = RelayModel { gone: Rc::clone(&gone), ..RelayModel::default() };
    block_on_virtual(async {
        let streams = FakeStreams::new(model);
        let (first, mut second) = (streams.open(7, b""), streams.open(8, b""));
        let listening = tokio::task::spawn_local(drain(first));
        clock::sleep_until(Time(10 * MS)).await;
        assert!(second.send(text(b"one")));
        clock::sleep_until(Time(12 * MS)).await;
        assert!(second.send(text(b"two")));
        second.close(4000, "");
        assert!(!second.send(text(b"after the close")));
        // The end comes at once, and what was on its way is never read; what had come is read
        // now.
        let (arrived, end) = drain(second).await;
        assert_eq!(arrived, [(12, "hello 8".to_owned())]);
        assert_eq!(end, StreamEnd { is_ours: true, code: Some(4000), failure: None });
        let end = StreamEnd { is_ours: false, code: Some(1001), failure: None };
        let away = FakeDelivery { stream: 1, at: Time(20 * MS), event: FakeEvent::End(end) };
        streams.0.borrow_mut().deliver(vec![away]);
        let (arrived, ended) = listening.await.unwrap();
        let expected = [(1, "hello 7"), (15, "one"), (17, "two")];
        assert_eq!(arrived, expected.map(|(at, text)| (at, text.to_owned())));
        assert_eq!(ended, end);
    });
    assert_eq!(*gone.borrow(), [2, 1]);
}
