//! A user as a publisher: its number, and the numbers of its stamped messages.
//!
//! `send` and `attempt` stamp messages with it.
//! Invariant: a message gets its place on its channel by one atomic operation, which also counts
//! the listeners that are due it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::clock::{self, RunOffset, Time};
use crate::delivery::{Channel, Stamp};
use crate::engine::call::prepared::PreparedCall;
use crate::engine::shard::Shard;
use crate::engine::streams::open;
use crate::engine::users::user::User;
use crate::ids::StepId;
use crate::plan::stream::Channel as ChannelPlan;
use crate::template::RenderError;

/// The state of a user that stamps messages.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: u32,
    /// Its next sequence number, by channel. Users publish on few channels.
    sequences: Vec<(u32, u32)>,
    /// The last channel by name.
    last: Option<(String, Arc<Channel>)>,
}

/// A message that was stamped and not yet sent.
#[derive(Debug)]
pub(crate) struct StampedMessage {
    channel: Arc<Channel>,
    index: u64,
    listeners: u64,
}

impl Publisher {
    fn new(shard: &Shard) -> Self {
        let number = shard.shared.next_publisher.fetch_add(1, Relaxed);
        Self { number, sequences: Vec::new(), last: None }
    }

    fn next_sequence(&mut self, channel: u32) -> u32 {
        let known = self.sequences.iter_mut().find(|(known, _)| *known == channel);
        match known {
            Some((_, next)) => {
                *next = next.wrapping_add(1);
                *next - 1
            }
            None => {
                self.sequences.push((channel, 1));
                0
            }
        }
    }

    fn channel(&mut self, shard: &Shard, name: &str) -> Option<Arc<Channel>> {
        if let Some((known, channel)) = &self.last
            && known == name
        {
            return Some(Arc::clone(channel));
        }
        let channel = shard.shared.channels.get(name)?;
        self.last = Some((name.to_owned(), Arc::clone(&channel)));
        Some(channel)
    }
}

impl StampedMessage {
    /// Ends the send of the message: counts it, and the deliveries that are due for it. If it
    /// failed, its listeners are due it, and will not get it.
    pub(crate) fn end(self, shard: &Shard, (step, at): (StepId, RunOffset), is_sent: bool) {
        if !is_sent {
            self.channel.note_unsent(self.index);
        }
        let mut recorder = shard.recorder.borrow_mut();
        let counts = &mut recorder.messages(step, at).counts;
        counts.expected += self.listeners;
        counts.sent += u64::from(is_sent);
    }
}

/// Writes a stamp over the placeholder in `message`, for a send that is intended at `intended`.
/// `path` names the channel if the step does not. `None` if there are too many channels.
pub(crate) fn stamp(
    shard: &Shard,
    user: &mut User,
    channel: &ChannelPlan,
    (intended, path): (Time, &str),
    message: &mut [u8],
) -> Result<Option<StampedMessage>, RenderError> {
    let name = channel_name(shard, user, channel, (intended, path))?;
    let publisher = user.extras().streams.publisher.get_or_insert_with(|| Publisher::new(shard));
    let Some(channel) = publisher.channel(shard, &name) else { return Ok(None) };
    let sequence = publisher.next_sequence(channel.number());
    let slot = channel.publish();
    let streams = &user.extras().streams;
    let own = streams.exclude_own(shard, channel.number(), slot.index);
    let Some(publisher) = &user.extras().streams.publisher else { return Ok(None) };
    let (intended_us, now_us) = (intended.0 / 1_000, clock::now().0 / 1_000);
    let stamp = Stamp {
        run: shard.shared.run_stamp,
        publisher: publisher.number,
        channel: channel.number(),
        sequence,
        index: slot.index,
        intended_us,
        late_us: u32::try_from(now_us.saturating_sub(intended_us)).unwrap_or(u32::MAX),
    };
    stamp.write(message);
    Ok(Some(StampedMessage { channel, index: slot.index, listeners: slot.listeners - own }))
}

/// The name of a channel: the step's, or the path that its stream was opened with.
pub(crate) fn channel_name(
    shard: &Shard,
    user: &mut User,
    channel: &ChannelPlan,
    (at, path): (Time, &str),
) -> Result<String, RenderError> {
    match channel {
        ChannelPlan::Path => Ok(path.to_owned()),
        ChannelPlan::Named(template) => {
            let mut name = Vec::new();
            template.render(&mut user.scope(shard, at), &mut name)?;
            Ok(String::from_utf8_lossy(&name).into_owned())
        }
    }
}

/// Completes a rendered request: a stamp in its body, or what opens a stream.
///
/// # Errors
/// If the name of the channel cannot be rendered.
#[cold]
pub(crate) fn complete(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    intended: Time,
    bytes: &[u8],
) -> Result<(Vec<u8>, Option<StampedMessage>), RenderError> {
    let Some(channel) = &prepared.call.stamp else {
        return Ok((open::add_handshake(shard, user, prepared, bytes), None));
    };
    let (path, mut bytes) = (path_of(shard, prepared, bytes), bytes.to_vec());
    let stamped = stamp(shard, user, channel, (intended, &path), &mut bytes)?;
    Ok((bytes, stamped))
}

/// Service and path of a rendered request: the default name of a channel.
pub(crate) fn path_of(shard: &Shard, prepared: &PreparedCall, bytes: &[u8]) -> String {
    use crate::engine::call::request::{split_line, target_of};
    let target = split_line(bytes).and_then(|(line, _)| target_of(line)).unwrap_or("/");
    format!("{} {target}", shard.plan.services[prepared.call.service].name)
}
