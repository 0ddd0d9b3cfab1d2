//! Messages of PostgreSQL's protocol 3.0 that a client sends.
//!
//! `engine::call::operation` renders requests with it, and `sql_login` its own.
//! Invariant: a value never changes where a message ends: each message and each parameter has its
//! length before it, and a text that is ended by a zero byte has none inside.

/// Why a message cannot be sent: the end of a sentence after the statement.
pub const TOO_LONG: &str = "is longer than a message of PostgreSQL can be (1 GiB)";

/// Why a text cannot be sent: the end of a sentence after the statement.
pub const ZERO_BYTE: &str = "has a zero byte, which a statement cannot have";

/// The longest message: PostgreSQL's own limit of a message from a client.
const MAX_MESSAGE: usize = (1 << 30) - 2;

/// The name of a prepared statement on its connections.
pub fn statement_name(id: u64) -> String {
    format!("manada_{id:016x}")
}

/// Begins a message of this kind; returns where it begins.
pub fn begin(out: &mut Vec<u8>, kind: u8) -> usize {
    out.push(kind);
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

/// Ends the message that [`begin`] began.
///
/// # Errors
/// [`TOO_LONG`].
pub fn end(out: &mut [u8], start: usize) -> Result<(), &'static str> {
    let length = out.len() - start;
    let length = Some(length).filter(|length| *length <= MAX_MESSAGE);
    let length = length.and_then(|length| u32::try_from(length).ok()).ok_or(TOO_LONG)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Appends a text and the zero byte that ends it.
///
/// # Errors
/// [`ZERO_BYTE`].
pub fn text(out: &mut Vec<u8>, text: &[u8]) -> Result<(), &'static str> {
    if text.contains(&0) {
        return Err(ZERO_BYTE);
    }
    out.extend_from_slice(text);
    out.push(0);
    Ok(())
}

/// Appends the message that parses a statement under a name; the server chooses the types of its
/// parameters.
///
/// # Errors
/// [`TOO_LONG`], [`ZERO_BYTE`].
pub fn parse(out: &mut Vec<u8>, name: &str, sql: &[u8]) -> Result<(), &'static str> {
    let start = begin(out, b'P');
    text(out, name.as_bytes())?;
    text(out, sql)?;
    out.extend_from_slice(&[0, 0]);
    end(out, start)
}

/// Begins the message that binds this many parameters to a statement; each follows by
/// [`parameter`]. Returns where it begins, for [`end_execution`].
pub fn begin_bind(out: &mut Vec<u8>, name: &str, parameters: u16) -> usize {
    let start = begin(out, b'B');
    // The portal without a name.
    out.push(0);
    out.extend_from_slice(name.as_bytes());
    // No list of formats: all parameters are texts.
    out.extend_from_slice(&[0, 0, 0]);
    out.extend_from_slice(&parameters.to_be_bytes());
    start
}

/// Appends a parameter as a text; `None` is null.
///
/// # Errors
/// [`TOO_LONG`].
pub fn parameter(out: &mut Vec<u8>, value: Option<&[u8]>) -> Result<(), &'static str> {
    let Some(value) = value else {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    };
    let length = i32::try_from(value.len()).map_err(|_| TOO_LONG)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

/// Ends the message that binds, and appends those that describe the columns, execute the statement
/// and end the exchange. The columns are described in each call: the response names them.
///
/// # Errors
/// [`TOO_LONG`].
pub fn end_execution(out: &mut Vec<u8>, start: usize) -> Result<(), &'static str> {
    // All columns as texts.
    out.extend_from_slice(&[0, 0]);
    end(out, start)?;
    // Describe the portal; execute it without a limit of rows; sync.
    out.extend_from_slice(b"D\0\0\0\x06P\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04");
    Ok(())
}

/// Appends data that are copied into a table, in messages that a server reads one by one.
pub fn copy_data(out: &mut Vec<u8>, data: &[u8]) {
    for piece in data.chunks(COPY_PIECE) {
        let start = begin(out, b'd');
        out.extend_from_slice(piece);
        // A piece is shorter than any limit.
        let _ = end(out, start);
    }
}

/// Appends the end of the data.
pub fn copy_done(out: &mut Vec<u8>) {
    out.extend_from_slice(b"c\0\0\0\x04");
}

/// Bytes of a message with data.
const COPY_PIECE: usize = 64 << 10;

/// Appends a value of a row in the text format of COPY; `None` is null.
pub fn copy_value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        out.extend_from_slice(b"\\N");
        return;
    };
    for byte in value {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => out.push(*byte),
        }
    }
}

/// Appends a text of statements without parameters.
///
/// # Errors
/// [`TOO_LONG`], [`ZERO_BYTE`].
pub fn query(out: &mut Vec<u8>, sql: &[u8]) -> Result<(), &'static str> {
    let start = begin(out, b'Q');
    text(out, sql)?;
    end(out, start)
}
