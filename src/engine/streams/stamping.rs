//! Stamps messages, and completes the requests that carry one or open a stream.
//!
//! `send` and `attempt` call it.
//! Invariant: a stamp is written when the message can go out, so that its time of sending is right.

use crate::clock::{self, Time};
use crate::delivery::Stamp;
use crate::engine::call::prepared::PreparedCall;
use crate::engine::shard::Shard;
use crate::engine::streams::handshake;
use crate::engine::streams::publisher::{Publisher, StampedMessage};
use crate::engine::users::user::User;
use crate::plan::listener::ChannelPlan;
use crate::template::RenderError;

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
        publisher: publisher.number(),
        channel: channel.number(),
        sequence,
        index: slot.index,
        intended_us,
        late_us: u32::try_from(now_us.saturating_sub(intended_us)).unwrap_or(u32::MAX),
    };
    stamp.write(message);
    Ok(Some(StampedMessage::new(channel, slot.index, slot.listeners - own)))
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

/// Completes a rendered request: with a stamp in its body, or what opens a stream. Its stamp is
/// kept until the call ends.
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
) -> Result<Vec<u8>, RenderError> {
    let Some(channel) = &prepared.call.stamp else {
        return Ok(handshake::add_handshake(shard, user, prepared, bytes));
    };
    let (path, mut bytes) = (handshake::path_of(shard, prepared, bytes), bytes.to_vec());
    let stamped = stamp(shard, user, channel, (intended, &path), &mut bytes)?;
    user.extras().streams.stamped = stamped;
    Ok(bytes)
}
