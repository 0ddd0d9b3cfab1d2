//! Channels of PostgreSQL: LISTEN, and messages by `pg_notify`.
//!
//! `session` calls it.
//! Invariant: as of `sql_messages`; a payload is a parameter, never a part of a statement.

use super::command_queue::CommandQueue;
use super::dialect::PubSubDialect;
use crate::clock::Time;
use crate::protocol::{Protocol, status};
use crate::stats::FailureKind;
use crate::wire::broker::command::PublishCommand;
use crate::wire::framed::sql_encode as encode;
use crate::wire::framed::sql_messages::{
    MessageSplitter, ServerMessage, error_field, error_text, is_fatal, split_text,
};
use crate::wire::message_stream::{Message, MessageKind};

/// The statement that publishes, and its name on the connection.
const NOTIFY: &[u8] = b"select pg_notify($1, $2)";
const NOTIFY_NAME: &str = "manada_notify";

/// The longest message that is kept: PostgreSQL's payloads have less than 8,000 bytes.
const MAX_KEPT: usize = 64 << 10;

/// Appends what begins a session: the statement that publishes is parsed, and stays.
pub fn begin_session(out: &mut Vec<u8>) {
    // Two short fixed texts fit a message.
    let _ = encode::parse(out, NOTIFY_NAME, NOTIFY);
    out.extend_from_slice(b"S\0\0\0\x04");
}

/// The words of PostgreSQL.
#[derive(Debug, Default)]
pub(in crate::wire) struct PostgresDialect {
    splitter: MessageSplitter,
    /// The error of the command that is answered next.
    error: Option<(u16, String)>,
}

/// Takes a message of the server. Returns the status with which it ends the connection.
fn take(
    error: &mut Option<(u16, String)>,
    message: ServerMessage<'_>,
    (now, commands): (Time, &mut CommandQueue),
    receive: &mut dyn FnMut(Time, Message<'_>),
) -> Result<Option<u16>, FailureKind> {
    match message.kind {
        b'A' => {
            let rest = message.payload.get(4..).ok_or(FailureKind::BadReply)?;
            let (channel, rest) = split_text(rest).ok_or(FailureKind::BadReply)?;
            let (payload, _) = split_text(rest).ok_or(FailureKind::BadReply)?;
            commands.deliver(now, (channel, channel), (MessageKind::Text, payload), receive);
        }
        b'E' => {
            let code = error_field(message.payload, b'C').unwrap_or_default();
            let code = status::of_sqlstate(code);
            if is_fatal(message.payload) {
                return Ok(Some(code));
            }
            error.get_or_insert_with(|| (code, error_text(message.payload)));
        }
        b'Z' => {
            let (status, reason) = error
                .take()
                .unwrap_or_else(|| (status::of_code(Protocol::Postgres, 0), String::new()));
            commands.answer(now, status, &reason)?;
        }
        b'R' | b'K' | b'G' | b'W' => return Err(FailureKind::BadReply),
        // What completes a part, the empty result of `pg_notify`, notices and parameters.
        _ => {}
    }
    Ok(None)
}

impl PubSubDialect for PostgresDialect {
    fn feed(
        &mut self,
        mut bytes: &[u8],
        now: Time,
        commands: &mut CommandQueue,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<Option<u16>, FailureKind> {
        while !bytes.is_empty() {
            let Self { splitter, error } = self;
            let keep = |kind| if matches!(kind, b'A' | b'E') { MAX_KEPT } else { 0 };
            let (used, message) = splitter.read(bytes, keep)?;
            bytes = &bytes[used..];
            let Some(message) = message else { continue };
            if let Some(code) = take(error, message, (now, &mut *commands), receive)? {
                return Ok(Some(code));
            }
        }
        Ok(None)
    }

    fn publish(
        &mut self,
        message: &PublishCommand<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FailureKind> {
        let start = encode::begin_bind(out, NOTIFY_NAME, 2);
        let sent = (|| {
            encode::parameter(out, Some(message.destination.as_bytes()))?;
            encode::parameter(out, Some(message.payload))?;
            encode::end_execution(out, start)
        })();
        sent.map_err(|_| FailureKind::MessageTooLarge)
    }

    fn subscribe(&mut self, source: &str, out: &mut Vec<u8>) -> Result<(), FailureKind> {
        let statement = format!("listen \"{}\"", source.replace('"', "\"\""));
        encode::query(out, statement.as_bytes()).map_err(|_| FailureKind::MessageTooLarge)
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"X\0\0\0\x04");
    }
}
