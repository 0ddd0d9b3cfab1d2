//! The reply that begins a session, and the result of an operation on a topic.
//!
//! `framed::reader` feeds it.
//! Invariant: a session is taken over if the broker speaks all that it needs; the reply is one
//! frame, and nothing follows it.

use super::api::{KafkaFrames, OfferedVersions};
use super::error_code::{UNSUPPORTED_VERSION, status_of};
use super::responses;
use crate::clock::Time;
use crate::plan::kafka::TopicPlan;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::response_reader::ReadsResponse;
use crate::wire::taken::TakenResponse;

/// The longest reply accepted, bytes.
const MAX_REPLY: usize = 256 << 10;

/// Reads one reply.
#[derive(Debug)]
pub(in crate::wire) struct KafkaReplyReader<'a> {
    frames: KafkaFrames,
    /// What was done with a topic; `None`: a session begins.
    plan: Option<&'a TopicPlan>,
    keeps_body: bool,
    code: Option<i16>,
    has_begun: bool,
    /// Whether something follows the reply.
    has_more: bool,
    at: Time,
}

impl<'a> KafkaReplyReader<'a> {
    /// A reader of the reply that begins a session.
    pub(in crate::wire) const fn session() -> Self {
        Self::new(None, false)
    }

    /// A reader of the result of an operation.
    pub(in crate::wire) const fn topic(plan: &'a TopicPlan, keeps_body: bool) -> Self {
        Self::new(Some(plan), keeps_body)
    }

    const fn new(plan: Option<&'a TopicPlan>, keeps_body: bool) -> Self {
        Self {
            frames: KafkaFrames::new(MAX_REPLY),
            plan,
            keeps_body,
            code: None,
            has_begun: false,
            has_more: false,
            at: Time::NEVER,
        }
    }

    fn is_ok(&self) -> bool {
        self.code == Some(0)
    }
}

/// Reads a reply: its code, and its text.
fn read(plan: Option<&TopicPlan>, body: &[u8]) -> Result<(i16, String), FailureKind> {
    match plan {
        Some(plan) => responses::topic_result(body, matches!(plan, TopicPlan::Create { .. })),
        None => {
            let offered = OfferedVersions::read(body)?;
            Ok(match (offered.error, offered.missing.is_empty()) {
                (0, true) => (0, String::new()),
                (0, false) => {
                    (UNSUPPORTED_VERSION, format!("the broker lacks {}", offered.missing))
                }
                (code, _) => (code, String::new()),
            })
        }
    }
}

impl ReadsResponse for KafkaReplyReader<'_> {
    fn read_at(&mut self, now: Time) {
        self.at = now;
    }

    fn feed(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        self.has_begun = true;
        let Self { frames, plan, code, has_more, keeps_body, .. } = self;
        let fed = frames.feed(bytes, &mut |_, body| {
            if code.is_some() {
                *has_more = true;
                return Ok(());
            }
            let (found, text) = read(*plan, body)?;
            *code = Some(found);
            capture.head.clear();
            let kind: &[u8] = if found == 0 { b"type: map\r\n" } else { b"type: error\r\n" };
            capture.head.extend_from_slice(kind);
            let text = if found == 0 && *keeps_body { "{}" } else { &text };
            // The budget has room for a few hundred bytes, or the text is left out.
            let _ = capture.body.push(text.as_bytes());
            Ok(())
        });
        if let Err(kind) = fed {
            // A length of megabytes is the text of another protocol.
            let is_long = kind == FailureKind::MessageTooLarge;
            let kind = if is_long { FailureKind::BadReply } else { kind };
            return Err(AttemptOutcome::Failed(AttemptPhase::FirstByte, kind));
        }
        self.has_more |= self.code.is_some() && !self.frames.is_empty();
        if self.plan.is_none() && self.is_ok() {
            if self.has_more {
                let kind = FailureKind::BadReply;
                return Err(AttemptOutcome::Failed(AttemptPhase::FirstByte, kind));
            }
            capture.rare().taken = Some(TakenResponse::session(self.at, Vec::new()));
        }
        Ok(self.code.is_some())
    }

    fn end(&mut self) -> bool {
        false
    }

    fn status(&self) -> u16 {
        status_of(self.code.unwrap_or(0))
    }

    fn may_reuse(&self) -> bool {
        self.plan.is_some() && self.code.is_some() && !self.has_more
    }

    fn is_taken_over(&self) -> bool {
        self.plan.is_none() && self.is_ok()
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }
}
