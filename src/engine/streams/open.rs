//! Opens a stream: the handshake is a call like any other, whose connection is taken over.
//!
//! `step` runs it for users, `reader` again after a stream ended; `attempt` calls [`take_over`]
//! with the response.
//! Invariant: a handshake that the protocol refuses is a failed call, and its connection is closed.

use std::rc::Rc;

use rand::{RngExt, SeedableRng};

use crate::clock::{self, Time};
use crate::engine::attempt;
use crate::engine::call::prepared::PreparedCall;
use crate::engine::call::timing::{CallEnd, CallTiming};
use crate::engine::shard::Shard;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::{publisher, reader, step_end};
use crate::engine::users::user::User;
use crate::plan::stream::{CLOSE_WAIT, OpenStream, StreamAct, StreamForm, StreamStep};
use crate::seed::Rng;
use crate::stats::{AttemptOutcome, AttemptPhase, CallResult, Exchange, FailureKind};
use crate::wire::ResponseCapture;
use crate::wire::message_stream::{StreamOffer, StreamProtocol, StreamSettings};
use crate::wire::websocket::handshake;

/// Opens the stream of a step.
pub(super) async fn open(
    shard: &Shard,
    user: &mut User,
    (call, prepared): (usize, &PreparedCall),
    (step, open): (&StreamStep, &OpenStream),
    timing: &CallTiming,
) -> CallEnd {
    shard.streams_wanted.set(shard.streams_wanted.get() + 1);
    user.extras().streams.opened_path = String::new();
    let end = attempt::call(shard, user, prepared, timing).await;
    let Some(wire) = user.extras().streams.opened.take() else {
        shard.streams_wanted.set(shard.streams_wanted.get() - 1);
        return end;
    };
    let plan = &shard.plan.archetypes[user.archetype].streams[step.stream];
    let path = std::mem::take(&mut user.extras().streams.opened_path);
    let rng = Rng::seed_from_u64(user.rng.random());
    let place = (call, user.step(prepared.call.series));
    let live = LiveStream::new(wire, place, (path, plan.is_kept), end.done, rng);
    let live = Rc::new(live);
    let spare = open.reconnect.is_some().then(|| spare_user(shard, user));
    count_opened(shard, false);
    if let Some(before) = user.extras().streams.set(step.stream, Rc::clone(&live)) {
        before.begin_close(1_000, "");
    }
    reader::spawn(shard, Rc::clone(&live), spare);
    match &open.listener {
        Some(listener) if end.result == CallResult::Ok => {
            let begun = step_end::begin_listener(shard, user, (call, prepared), &live, listener);
            CallEnd { goes_on: end.goes_on && begun.is_ok(), ..end }
        }
        _ => end,
    }
}

/// A copy of a user that opens its stream again.
fn spare_user(shard: &Shard, user: &mut User) -> Box<User> {
    let mut spare = Box::new(User::new(shard));
    spare.split_off(user);
    spare.variables.clone_from(&user.variables);
    spare
}

/// Counts a stream that opened.
pub(super) fn count_opened(shard: &Shard, again: bool) {
    shard.streams_open.set(shard.streams_open.get() + 1);
    let mut recorder = shard.recorder.borrow_mut();
    let streams = recorder.streams();
    streams.opened += 1;
    streams.reconnects += u64::from(again);
}

/// The request of a handshake: as rendered, with what opens a stream.
#[cold]
pub(crate) fn add_handshake(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    bytes: &[u8],
) -> Vec<u8> {
    let Some(open) = opened_by(prepared) else { return bytes.to_vec() };
    let head = memchr::memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |end| end + 2);
    let mut request = bytes[..head].to_vec();
    let path = publisher::path_of(shard, prepared, bytes);
    let streams = &mut user.extras().streams;
    streams.opened_path = path;
    match open.form {
        StreamForm::WebSocket => {
            streams.key = rand::random();
            let offer = offer(shard, prepared, open, streams.key);
            request.extend_from_slice(handshake::request_lines(&offer).as_bytes());
        }
        StreamForm::Events | StreamForm::Lines => {
            if let Some(id) = streams.resume_from.take() {
                request.extend_from_slice(format!("Last-Event-ID: {id}\r\n").as_bytes());
            }
        }
    }
    request.extend_from_slice(&bytes[head..]);
    request
}

/// Takes the connection of a handshake over; its exchange fails if the protocol refuses it.
#[cold]
pub(crate) fn take_over(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    (exchange, capture): (&mut Exchange, &mut ResponseCapture),
) {
    let Some(open) = opened_by(prepared) else { return };
    let AttemptOutcome::Responded(status) = exchange.outcome else { return };
    let refused = if capture.is_taken_over() {
        let offer = offer(shard, prepared, open, user.extras().streams.key);
        match shard.wire.open_stream(capture, &settings(shard, prepared, open), &offer) {
            Ok(stream) => {
                user.extras().streams.opened = Some(stream);
                return;
            }
            Err(kind) => kind,
        }
    } else if status < 400 {
        // No stream, though the status by itself is not an error.
        FailureKind::NotAStream
    } else {
        return;
    };
    exchange.outcome = AttemptOutcome::Failed(AttemptPhase::FirstByte, refused);
    shard.recorder.borrow_mut().record_error(exchange.outcome);
}

/// What a call opens; `None` if it opens no stream.
fn opened_by(prepared: &PreparedCall) -> Option<&OpenStream> {
    match &prepared.call.stream.as_ref()?.act {
        StreamAct::Open(open) => Some(open),
        _ => None,
    }
}

fn offer<'a>(
    shard: &Shard,
    prepared: &PreparedCall,
    open: &'a OpenStream,
    key: [u8; 16],
) -> StreamOffer<'a> {
    let deflate = shard.plan.services[prepared.call.service].ws.deflate;
    StreamOffer { key, subprotocols: &open.subprotocols, deflate }
}

fn settings(shard: &Shard, prepared: &PreparedCall, open: &OpenStream) -> StreamSettings {
    let ws = &shard.plan.services[prepared.call.service].ws;
    StreamSettings {
        protocol: match open.form {
            StreamForm::WebSocket => StreamProtocol::WebSocket,
            StreamForm::Events => StreamProtocol::Events,
            StreamForm::Lines => StreamProtocol::Lines,
        },
        max_message: ws.max_message,
        ping: ws.ping,
        pong: ws.pong,
        close: CLOSE_WAIT,
    }
}

/// When a handshake that begins now is intended.
pub(super) fn timing_now() -> CallTiming {
    let now: Time = clock::now();
    CallTiming::at_once(now, now)
}
