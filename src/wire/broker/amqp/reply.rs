//! The reply to a method that a call sends: confirm.select, which begins a session, or a
//! declaration.
//!
//! `framed::reader` feeds it; `channel` reads the reply to confirm.select again.
//! Invariant: a channel or connection that the broker closed is a status, and its connection is not
//! used again; a session leaves all bytes to the stream.

use super::fault::AmqpFault;
use super::frames::{AmqpFrame, AmqpFrames, HEARTBEAT, METHOD};
use super::limits::MAX_FRAME;
use super::methods::{CloseReason, ServerMethod};
use super::{encode, reply_code};
use crate::clock::Time;
use crate::plan::broker::DeclareKind;
use crate::stats::AttemptOutcome;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::response_reader::ReadsResponse;
use crate::wire::taken::TakenResponse;

/// The most bytes that are read until a reply is there.
const MAX_RECEIVED: usize = 256 << 10;

/// Reads one reply.
#[derive(Debug)]
pub(in crate::wire) struct AmqpReplyReader<'a> {
    frames: AmqpFrames,
    state: ReplyState<'a>,
    /// All bytes so far, for a session.
    read: Vec<u8>,
    received: usize,
    at: Time,
}

#[derive(Debug)]
struct ReplyState<'a> {
    /// What is declared; `None`: a session begins.
    declared: Option<&'a DeclareKind>,
    keeps_body: bool,
    status: Option<u16>,
    /// Whether something follows the reply.
    has_more: bool,
}

impl<'a> AmqpReplyReader<'a> {
    /// A reader of the reply that begins a session.
    pub(in crate::wire) const fn session() -> Self {
        Self::new(None, false)
    }

    /// A reader of the reply to a declaration.
    pub(in crate::wire) const fn declaration(kind: &'a DeclareKind, keeps_body: bool) -> Self {
        Self::new(Some(kind), keeps_body)
    }

    const fn new(declared: Option<&'a DeclareKind>, keeps_body: bool) -> Self {
        Self {
            frames: AmqpFrames::new(MAX_FRAME),
            state: ReplyState { declared, keeps_body, status: None, has_more: false },
            read: Vec::new(),
            received: 0,
            at: Time::NEVER,
        }
    }

    fn is_ok(&self) -> bool {
        self.state.status == Some(reply_code::ok())
    }
}

impl ReplyState<'_> {
    fn take(
        &mut self,
        frame: AmqpFrame<'_>,
        capture: &mut ResponseCapture,
    ) -> Result<(), AmqpFault> {
        if frame.kind == HEARTBEAT {
            return Ok(());
        }
        if self.status.is_some() {
            self.has_more = true;
            return Ok(());
        }
        if frame.kind != METHOD || !matches!(frame.channel, 0 | encode::CHANNEL) {
            return Err(AmqpFault::Unexpected);
        }
        match ServerMethod::read(frame.payload)? {
            ServerMethod::Blocked | ServerMethod::Unblocked => {}
            ServerMethod::ConnectionClose(reason) | ServerMethod::ChannelClose(reason) => {
                self.refuse(&reason, capture);
            }
            method => {
                let body = self.body(method).ok_or(AmqpFault::Unexpected)?;
                self.status = Some(reply_code::ok());
                capture.head.clear();
                capture.head.extend_from_slice(b"type: map\r\n");
                if self.keeps_body {
                    // The budget has room for a few hundred bytes, or the text is left out.
                    let _ = capture.body.push(body.as_bytes());
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, reason: &CloseReason<'_>, capture: &mut ResponseCapture) {
        self.status = Some(reply_code::status_of(reason.code));
        capture.head.clear();
        capture.head.extend_from_slice(b"type: error\r\n");
        let _ = capture.body.push(String::from_utf8_lossy(reason.text).as_bytes());
    }

    /// What the reply to this operation holds, as JSON; `None` if it is the reply to another.
    fn body(&self, method: ServerMethod<'_>) -> Option<String> {
        let counted = |messages: u32| Some(format!("{{\"messages\":{messages}}}"));
        let empty = || Some("{}".to_owned());
        match (self.declared, method) {
            (None, ServerMethod::SelectOk) => Some(String::new()),
            (
                Some(DeclareKind::Queue),
                ServerMethod::QueueDeclareOk { queue, messages, consumers },
            ) => {
                let queue = serde_json::to_string(&*String::from_utf8_lossy(queue)).ok()?;
                let counts = format!("\"messages\":{messages},\"consumers\":{consumers}");
                Some(format!("{{\"queue\":{queue},{counts}}}"))
            }
            (Some(DeclareKind::Exchange(_)), ServerMethod::ExchangeDeclareOk) => empty(),
            (Some(DeclareKind::Binding { .. }), ServerMethod::QueueBindOk) => empty(),
            (Some(DeclareKind::DeleteExchange), ServerMethod::ExchangeDeleteOk) => empty(),
            (Some(DeclareKind::DeleteQueue), ServerMethod::QueueDeleteOk(count)) => counted(count),
            (Some(DeclareKind::Purge), ServerMethod::QueuePurgeOk(count)) => counted(count),
            _ => None,
        }
    }
}

impl ReadsResponse for AmqpReplyReader<'_> {
    fn read_at(&mut self, now: Time) {
        self.at = now;
    }

    fn feed(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        let failed = AttemptOutcome::Failed(self.phase(), AmqpFault::Frame.kind());
        let is_session = self.state.declared.is_none();
        self.received += bytes.len();
        if is_session {
            self.read.extend_from_slice(bytes);
        }
        let Self { frames, state, .. } = self;
        let fed = frames.feed(bytes, &mut |frame| state.take(frame, capture));
        if self.state.status.is_none() {
            let is_over = fed.is_err() || self.received > MAX_RECEIVED;
            return if is_over { Err(failed) } else { Ok(false) };
        }
        // What is wrong behind the reply is found by the session, or ends the connection.
        self.state.has_more |= fed.is_err() || !self.frames.is_empty();
        if is_session && self.is_ok() {
            capture.rare().taken =
                Some(TakenResponse::session(self.at, std::mem::take(&mut self.read)));
        }
        Ok(true)
    }

    fn end(&mut self) -> bool {
        false
    }

    fn status(&self) -> u16 {
        self.state.status.unwrap_or(reply_code::ok())
    }

    fn may_reuse(&self) -> bool {
        self.state.declared.is_some() && self.is_ok() && !self.state.has_more
    }

    fn is_taken_over(&self) -> bool {
        self.state.declared.is_none() && self.is_ok()
    }

    fn has_begun(&self) -> bool {
        self.received > 0
    }
}
