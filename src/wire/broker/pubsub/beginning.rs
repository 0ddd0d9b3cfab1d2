//! The response that begins a session at a server with channels: to HELLO of Redis, or to the
//! statement that PostgreSQL prepares.
//!
//! `framed::reader` feeds it.
//! Invariant: an accepted session leaves all bytes after that response to the stream.

use crate::clock::Time;
use crate::protocol::{Protocol, status};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::framed::redis::status_of_error;
use crate::wire::framed::resp::{LineKind, RespPart, RespReader};
use crate::wire::framed::sql_messages::{MessageSplitter, error_field, error_text, is_fatal};
use crate::wire::response_reader::ReadsResponse;
use crate::wire::taken::TakenResponse;

/// What Redis is asked for at the beginning: RESP3.
pub const HELLO: &[u8] = b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";

/// The most bytes that are read until the response is there.
const MAX_RECEIVED: usize = 256 << 10;

/// The longest beginning of an error that is kept.
const MAX_ERROR: usize = 16 << 10;

/// Reads the response.
#[derive(Debug)]
pub(in crate::wire) struct BeginningReader {
    form: BeginningForm,
    at: Time,
    received: usize,
    /// The status of the response, once it is complete.
    status: Option<u16>,
    error: Option<u16>,
}

#[derive(Debug)]
enum BeginningForm {
    Redis(RespReader),
    Postgres(MessageSplitter),
}

impl BeginningReader {
    /// A reader of the response to HELLO.
    pub(in crate::wire) const fn redis() -> Self {
        Self::new(BeginningForm::Redis(RespReader::new()))
    }

    /// A reader of the response to the statement that publishes.
    pub(in crate::wire) fn postgres() -> Self {
        Self::new(BeginningForm::Postgres(MessageSplitter::default()))
    }

    const fn new(form: BeginningForm) -> Self {
        Self { form, at: Time::NEVER, received: 0, status: None, error: None }
    }

    fn protocol(&self) -> Protocol {
        match self.form {
            BeginningForm::Redis(_) => Protocol::Redis,
            BeginningForm::Postgres(_) => Protocol::Postgres,
        }
    }

    /// Reads bytes; returns how many were used, and whether the response is complete.
    fn read(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<(usize, bool), FailureKind> {
        let error = &mut self.error;
        // The budget has room for a few kilobytes, or the text is left out.
        let mut note = |status: u16, text: &[u8]| {
            if error.is_none() {
                *error = Some(status);
                let _ = capture.body.push(text);
            }
        };
        match &mut self.form {
            BeginningForm::Redis(resp) => resp.read::<FailureKind>(bytes, &mut |part| {
                if let RespPart::Line(LineKind::Error, text) = part {
                    note(status_of_error(text), text);
                }
                Ok(())
            }),
            BeginningForm::Postgres(splitter) => {
                let keep = |kind| if kind == b'E' { MAX_ERROR } else { 0 };
                let (used, message) = splitter.read(bytes, keep)?;
                let Some(message) = message else { return Ok((used, false)) };
                if message.kind != b'E' {
                    return Ok((used, message.kind == b'Z'));
                }
                let code = error_field(message.payload, b'C').unwrap_or_default();
                note(status::of_sqlstate(code), error_text(message.payload).as_bytes());
                Ok((used, is_fatal(message.payload)))
            }
        }
    }

    fn is_accepted(&self) -> bool {
        self.status == Some(status::of_code(self.protocol(), 0))
    }
}

impl ReadsResponse for BeginningReader {
    fn read_at(&mut self, now: Time) {
        self.at = now;
    }

    fn feed(
        &mut self,
        mut bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        self.received += bytes.len();
        let failed = |kind| AttemptOutcome::Failed(AttemptPhase::FirstByte, kind);
        while !bytes.is_empty() {
            let (used, is_complete) = self.read(bytes, capture).map_err(failed)?;
            bytes = &bytes[used..];
            if !is_complete {
                continue;
            }
            let ok = status::of_code(self.protocol(), 0);
            self.status = Some(self.error.unwrap_or(ok));
            if self.is_accepted() {
                capture.rare().taken = Some(TakenResponse::session(self.at, bytes.to_vec()));
            }
            return Ok(true);
        }
        if self.received > MAX_RECEIVED {
            return Err(failed(FailureKind::BadReply));
        }
        Ok(false)
    }

    fn end(&mut self) -> bool {
        false
    }

    fn status(&self) -> u16 {
        self.status.or(self.error).unwrap_or(0)
    }

    fn may_reuse(&self) -> bool {
        false
    }

    fn is_taken_over(&self) -> bool {
        self.is_accepted()
    }

    fn has_begun(&self) -> bool {
        self.received > 0
    }
}
