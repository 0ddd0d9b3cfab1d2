//! The streams of one user.
//!
//! `step` opens and finds them; `closed_user`, `open_user` and `iteration` end them.
//! Invariant: a stream of an iteration does not outlive it, one of a user not the user.

use std::rc::Rc;

use crate::clock::Time;
use crate::engine::shard::Shard;
use crate::engine::streams::captured_values::CapturedValues;
use crate::engine::streams::connected_stream::ConnectedStream;
use crate::engine::streams::listener::add_settled;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::publisher::{Publisher, StampedMessage};

/// The streams, by number within the archetype.
#[derive(Debug, Default)]
pub(crate) struct UserStreams {
    pub(crate) open: Vec<Option<Rc<LiveStream>>>,
    /// What their listeners captured; `None` before the first stream, or if none captures.
    pub(crate) captured: Option<CapturedValues>,
    /// The intended start of its iteration; `None` before the first one.
    pub(crate) iteration_begun: Option<Time>,
    /// What stamps its messages; `None` before the first.
    pub(crate) publisher: Option<Publisher>,
    /// The connection that a handshake has just opened, and its service and path.
    pub(crate) opened: Option<ConnectedStream>,
    pub(crate) opened_path: String,
    /// The stamped message that a request carries, until its call ends.
    pub(crate) stamped: Option<StampedMessage>,
    /// The key of the handshake under way.
    pub(crate) key: [u8; 16],
    /// The event after which an event stream is to continue.
    pub(crate) resume_from: Option<String>,
}

impl UserStreams {
    /// The stream of this number.
    pub(crate) fn get(&self, stream: usize) -> Option<Rc<LiveStream>> {
        self.open.get(stream)?.clone()
    }

    /// Sets the stream of this number. Returns the one before.
    pub(crate) fn set(&mut self, stream: usize, live: Rc<LiveStream>) -> Option<Rc<LiveStream>> {
        if self.open.len() <= stream {
            self.open.resize(stream + 1, None);
        }
        self.open[stream].replace(live)
    }

    /// Takes the streams for which `ends` holds.
    pub(crate) fn take(&mut self, ends: impl Fn(usize) -> bool) -> Vec<Rc<LiveStream>> {
        let ended = self.open.iter_mut().enumerate().filter(|(number, _)| ends(*number));
        ended.filter_map(|(_, live)| live.take()).collect()
    }

    /// Tells the listeners that are not due what their own user sends that message `index` of
    /// `channel` is one of those. Returns how many there are.
    pub(crate) fn exclude_own(&self, shard: &Shard, channel: u32, index: u64) -> u64 {
        let mut excluded = 0;
        for live in self.open.iter().flatten() {
            for listener in &mut live.state.borrow_mut().listeners {
                let step = listener.step;
                let due = listener.due.as_mut();
                let Some(due) = due.filter(|due| !due.own && due.channel.number() == channel)
                else {
                    continue;
                };
                let settled = due.ledger.exclude(index, &due.channel);
                let now = crate::clock::RunOffset::of(crate::clock::now(), shard.start);
                let mut recorder = shard.recorder.borrow_mut();
                add_settled(&mut recorder.messages(step, now).counts, settled);
                excluded += 1;
            }
        }
        excluded
    }
}
