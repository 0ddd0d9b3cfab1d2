//! The response to a statement of SQL: its status, and its rows as JSON.
//!
//! `reader` feeds it.
//! Invariant: a response ends with ReadyForQuery, or with an error that ends its connection. The
//! status is `OK`, or the code of the first error. Rows are kept only if a call looks at them, and
//! within `max_body`; an error text always is, up to a few kilobytes.

use crate::protocol::{Protocol, status};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::wire::body::bodies::BudgetExhausted;
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::framed::sql_messages::{
    MessageSplitter, ServerMessage, error_field, error_text, is_fatal, split_text,
};
use crate::wire::framed::sql_session::SessionChanges;
use crate::wire::response_reader::ReadsResponse;

/// The longest description of columns that is kept: PostgreSQL has at most 1,664 of them, with
/// names of at most 63 bytes.
const MAX_DESCRIPTION: usize = 256 << 10;

/// The longest beginning of an error that is kept.
const MAX_ERROR: usize = 16 << 10;

/// The kinds of messages with which a result begins: a row, a row that is copied out, a completion,
/// an error, an empty statement, and the end of all. Before them come notices, parameters,
/// descriptions, and confirmations of parsing, which are no part of it.
const RESULTS: &[u8] = b"DdCEIZ";

/// The longest tag of a command.
const MAX_TAG: usize = 64;

/// Reads the response to a statement.
#[derive(Debug)]
pub(in crate::wire) struct SqlReader {
    splitter: MessageSplitter,
    state: ResponseState,
    received: u64,
    /// Whether the first row, or what completes a result without rows, has begun.
    has_result: bool,
    is_clean: bool,
}

#[derive(Debug)]
struct ResponseState {
    capture: CaptureRequest,
    status: Option<u16>,
    columns: Vec<SqlColumn>,
    /// Rows in the body so far.
    listed: u64,
    /// Rows that the commands returned or changed.
    rows: u64,
    /// The tag of the last command: `SELECT 3`.
    tag: Vec<u8>,
    /// Whether the server has parsed the statement of this exchange.
    has_parsed: bool,
    /// Whether the last error ends the connection.
    is_fatal: bool,
    /// The state of the transaction at the end: idle, open or failed; `None` before the end.
    transaction: Option<u8>,
    /// Whether data to be copied follow the statement.
    copies: bool,
}

/// A column of a result.
#[derive(Debug)]
struct SqlColumn {
    /// Its name as a JSON string.
    name: Vec<u8>,
    form: ColumnForm,
}

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnForm {
    Text,
    Number,
    Boolean,
}

/// Why a response is not read to its end.
#[derive(Debug)]
enum SqlReadError {
    Kind(FailureKind),
    NoRoom,
}

impl From<FailureKind> for SqlReadError {
    fn from(kind: FailureKind) -> Self {
        Self::Kind(kind)
    }
}

impl From<BudgetExhausted> for SqlReadError {
    fn from(_: BudgetExhausted) -> Self {
        Self::NoRoom
    }
}

impl SqlReader {
    pub(in crate::wire) fn new(capture: CaptureRequest, copies: bool) -> Self {
        let state = ResponseState {
            capture,
            status: None,
            columns: Vec::new(),
            listed: 0,
            rows: 0,
            tag: Vec::new(),
            has_parsed: false,
            is_fatal: false,
            transaction: None,
            copies,
        };
        let splitter = MessageSplitter::default();
        Self { splitter, state, received: 0, has_result: false, is_clean: true }
    }

    /// What the exchange changed of its connection's session. Statements are lost if the server
    /// does not know the one of this exchange, or was made to forget them.
    pub(in crate::wire) fn session_changes(&self) -> SessionChanges {
        let state = &self.state;
        // The word is looked up after an error only.
        let is_unknown = state
            .status
            .is_some_and(|found| Some(found) == status::of_word(Protocol::Postgres, "26000"));
        let forgets = [&b"DISCARD"[..], b"DEALLO"].iter().any(|tag| state.tag.starts_with(tag));
        SessionChanges {
            has_lost_statements: is_unknown || forgets,
            has_parsed: state.has_parsed,
            is_in_transaction: state.transaction.is_some_and(|state| state != b'I'),
        }
    }
}

impl ResponseState {
    /// Takes a message. Returns true if it ends the response.
    fn take(
        &mut self,
        message: ServerMessage<'_>,
        capture: &mut ResponseCapture,
    ) -> Result<bool, SqlReadError> {
        let payload = message.payload;
        match message.kind {
            b'1' => self.has_parsed = true,
            b'T' if self.capture.keep_body => {
                self.columns = columns(payload).ok_or(FailureKind::BadReply)?;
            }
            b'D' if self.capture.keep_body && self.status.is_none() => {
                self.row(payload, capture)?;
            }
            b'C' => {
                let (tag, _) = split_text(payload).ok_or(FailureKind::BadReply)?;
                self.tag.clear();
                self.tag.extend_from_slice(tag);
                self.rows += rows_of(tag);
                self.columns.clear();
            }
            b'E' => self.error(payload, capture),
            b'Z' => {
                let [state @ (b'I' | b'T' | b'E')] = payload else {
                    return Err(FailureKind::BadReply.into());
                };
                self.transaction = Some(*state);
                if self.status.is_none() {
                    self.finish(capture)?;
                }
                return Ok(true);
            }
            // The data were sent with the statement.
            b'G' if self.copies => {}
            // Messages of a login, and a server that waits for data.
            b'R' | b'K' | b'v' | b'G' | b'W' => return Err(FailureKind::BadReply.into()),
            // Notices, parameters, notifications, data that is copied out, and what completes a
            // part.
            _ => {}
        }
        Ok(false)
    }

    fn error(&mut self, payload: &[u8], capture: &mut ResponseCapture) {
        self.is_fatal = is_fatal(payload);
        if self.status.is_some() {
            return;
        }
        self.status = Some(status::of_sqlstate(error_field(payload, b'C').unwrap_or_default()));
        capture.body.clear();
        // The budget has room for a few kilobytes, or the text is left out.
        let _ = capture.body.push(error_text(payload).as_bytes());
        capture.head.clear();
        capture.head.extend_from_slice(b"type: error\r\n");
    }

    /// Writes a row as an object.
    fn row(&mut self, payload: &[u8], capture: &mut ResponseCapture) -> Result<(), SqlReadError> {
        let bad = FailureKind::BadReply;
        let (count, mut rest) = split_number::<2>(payload).ok_or(bad)?;
        if count as usize != self.columns.len() {
            return Err(bad.into());
        }
        let body = &mut capture.body;
        body.push(if self.listed == 0 { b"[" } else { b"," })?;
        self.listed += 1;
        for (index, column) in self.columns.iter().enumerate() {
            body.push(if index == 0 { b"{" } else { b"," })?;
            body.push(&column.name)?;
            body.push(b":")?;
            let (length, after) = split_number::<4>(rest).ok_or(bad)?;
            if length == u32::MAX {
                body.push(b"null")?;
                rest = after;
                continue;
            }
            let (value, after) = after.split_at_checked(length as usize).ok_or(bad)?;
            rest = after;
            match column.form {
                ColumnForm::Number if is_json_number(value) => body.push(value)?,
                ColumnForm::Boolean if value == b"t" => body.push(b"true")?,
                ColumnForm::Boolean if value == b"f" => body.push(b"false")?,
                _ => body.push(&json_text(value))?,
            }
        }
        body.push(if self.columns.is_empty() { b"{}" } else { b"}" })?;
        Ok(())
    }

    /// Ends the body, and writes the head.
    fn finish(&self, capture: &mut ResponseCapture) -> Result<(), SqlReadError> {
        if self.capture.keep_body {
            capture.body.push(if self.listed == 0 { b"[]" } else { b"]" })?;
        }
        capture.head.clear();
        capture.head.extend_from_slice(b"type: list\r\ncommand: ");
        // A tag is words of ASCII; a foreign server's could be anything.
        capture.head.extend(self.tag.iter().filter(|byte| !byte.is_ascii_control()));
        capture.head.extend_from_slice(b"\r\nrows: ");
        capture.head.extend_from_slice(itoa::Buffer::new().format(self.rows).as_bytes());
        capture.head.extend_from_slice(b"\r\n");
        Ok(())
    }
}

impl ReadsResponse for SqlReader {
    fn feed(
        &mut self,
        mut bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        let phase = self.phase();
        self.received += bytes.len() as u64;
        let Self { splitter, state, has_result, .. } = self;
        let most = usize::try_from(state.capture.max_body).unwrap_or(usize::MAX);
        let keeps_rows = state.capture.keep_body;
        let keep = |kind| match kind {
            b'D' if keeps_rows => most,
            b'T' if keeps_rows => MAX_DESCRIPTION,
            b'E' => MAX_ERROR,
            b'C' => MAX_TAG,
            b'Z' => 2,
            _ => 0,
        };
        while !bytes.is_empty() {
            if self.received > state.capture.max_body {
                return Err(AttemptOutcome::Failed(AttemptPhase::Body, FailureKind::BodyTooLarge));
            }
            *has_result |= splitter.beginning(bytes).is_some_and(|kind| RESULTS.contains(&kind));
            let (used, message) =
                splitter.read(bytes, keep).map_err(|kind| AttemptOutcome::Failed(phase, kind))?;
            bytes = &bytes[used..];
            let Some(message) = message else { continue };
            let is_complete = state.take(message, capture).map_err(|error| match error {
                SqlReadError::Kind(kind) => AttemptOutcome::Failed(phase, kind),
                SqlReadError::NoRoom => AttemptOutcome::Own(GeneratorError::KeptBodies),
            })?;
            if is_complete {
                self.is_clean = bytes.is_empty();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end(&mut self) -> bool {
        self.state.is_fatal
    }

    fn status(&self) -> u16 {
        self.state.status.unwrap_or(status::of_code(Protocol::Postgres, 0))
    }

    fn may_reuse(&self) -> bool {
        self.is_clean && self.state.transaction.is_some()
    }

    fn has_begun(&self) -> bool {
        self.received > 0
    }

    fn phase(&self) -> AttemptPhase {
        if self.has_result { AttemptPhase::Body } else { AttemptPhase::FirstByte }
    }

    fn has_first_byte(&self) -> bool {
        self.has_result
    }
}

/// The columns of a description.
fn columns(payload: &[u8]) -> Option<Vec<SqlColumn>> {
    let (count, mut rest) = split_number::<2>(payload)?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let (name, after) = split_text(rest)?;
        // Table, column; type; its length, its modifier, and the format.
        let (fixed, after) = after.split_at_checked(18)?;
        rest = after;
        let (kind, _) = split_number::<4>(&fixed[6..])?;
        let form = match kind {
            BOOL => ColumnForm::Boolean,
            kind if NUMBERS.contains(&kind) => ColumnForm::Number,
            _ => ColumnForm::Text,
        };
        columns.push(SqlColumn { name: json_text(name), form });
    }
    Some(columns)
}

/// The id of the type `bool`.
const BOOL: u32 = 16;

/// The ids of the types int8, int2, int4, oid, float4, float8 and numeric.
const NUMBERS: [u32; 7] = [20, 21, 23, 26, 700, 701, 1700];

/// A number of N bytes, and what follows it.
fn split_number<const N: usize>(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<N>()?;
    Some((number.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)), rest))
}

/// The rows in the tag of a command: `INSERT 0 3` has three; 0 if it has none.
fn rows_of(tag: &[u8]) -> u64 {
    let last = tag.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(last).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether a number is one of JSON: `NaN` and `Infinity` are not.
fn is_json_number(text: &[u8]) -> bool {
    text.strip_prefix(b"-").unwrap_or(text).first().is_some_and(u8::is_ascii_digit)
        && text.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
}

/// A text as JSON; bytes that are not UTF-8 become U+FFFD.
fn json_text(bytes: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&*String::from_utf8_lossy(bytes)).unwrap_or_default()
}
