//! A statement of SQL as a command of psql that repeats it.
//!
//! `repeat` calls it.
//! Invariant: as of `repeat`: no password, and no secret of a parameter or a text.

use super::curl::quoted;
use crate::plan::operation::{SqlMode, SqlStatement};
use crate::plan::{Address, Service};
use crate::redact::Redactor;

/// Returns the command. Without the password: psql asks for it, or reads PGPASSWORD.
pub(super) fn line(
    (service, address): (&Service, &Address),
    statement: &SqlStatement,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> String {
    let (host, port) = match &service.transport.connect_to {
        Some((host, port)) => (host, *port),
        None => (&address.host, address.port),
    };
    let login = service.transport.login.clone().unwrap_or_default();
    let user = login.user.unwrap_or_else(|| "postgres".to_owned());
    let database = login.database.unwrap_or_else(|| user.clone());
    let encoded = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let (user, database) = (encoded(&user), encoded(&database));
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let tls = if address.tls { "?sslmode=require" } else { "" };
    let url = match &service.transport.unix {
        // libpq takes the folder of a socket, and finds its name by the port.
        Some(path) => {
            let folder = path.parent().map(|folder| folder.to_string_lossy().into_owned());
            format!("postgres://{user}@{}/{database}", encoded(&folder.unwrap_or_default()))
        }
        None => format!("postgres://{user}@{host}:{port}/{database}{tls}"),
    };
    let (sql, params) = parts(statement, bytes, redactor);
    let url = quoted(url.as_bytes());
    if params.is_empty() {
        // The data of a copy are the standard input.
        let data = if statement.copies { " < DATA" } else { "" };
        return format!("psql {url} -c {}{data}", quoted(&sql));
    }
    // `\\bind` is a command of psql from version 16 on; it reads one line.
    let one_line: Vec<u8> =
        sql.iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }).collect();
    let mut script = one_line;
    script.extend_from_slice(b" \\bind");
    for param in params {
        script.push(b' ');
        script.extend_from_slice(&param);
    }
    script.extend_from_slice(b" \\g");
    format!("echo {} | psql {url}", quoted(&script))
}

/// What a step does, for a dry run: the statement, and its parameters.
pub(super) fn describe(
    statement: &SqlStatement,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> Vec<String> {
    let (sql, params) = parts(statement, bytes, redactor);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> = text(&sql).lines().map(str::to_owned).collect();
    lines.extend(
        params.iter().enumerate().map(|(at, param)| format!("${} = {}", at + 1, text(param))),
    );
    lines
}

/// The text of a statement, and its parameters as psql reads them, without secrets.
fn parts(
    statement: &SqlStatement,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    if statement.copies {
        return (redactor.body(statement.text.as_static().unwrap_or_default(), ""), Vec::new());
    }
    if statement.mode == SqlMode::Simple {
        // Kind and length before it, and a zero byte behind.
        let text = bytes.get(5..bytes.len().saturating_sub(1)).unwrap_or_default();
        return (redactor.body(text, ""), Vec::new());
    }
    let text = redactor.body(statement.text.as_static().unwrap_or_default(), "");
    let values = bound(bytes).unwrap_or_default();
    let shown = values.into_iter().map(|value| match value {
        None => b"null".to_vec(),
        Some(value) => literal(&redactor.body(value, "")),
    });
    (text, shown.collect())
}

/// A parameter in quotes, as `\\bind` reads it.
fn literal(value: &[u8]) -> Vec<u8> {
    let mut text = vec![b'\''];
    for byte in value {
        match byte {
            b'\'' | b'\\' => text.extend([b'\\', *byte]),
            byte if byte.is_ascii_control() => text.push(b' '),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
    text
}

/// The parameters in the message that binds; `None` if there is none.
fn bound(mut bytes: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    loop {
        let (kind, rest) = bytes.split_first()?;
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let (message, after) = rest.split_at_checked(length)?;
        if *kind == b'B' {
            let portal = memchr::memchr(0, message.get(4..)?)? + 5;
            let name = memchr::memchr(0, message.get(portal..)?)? + portal + 1;
            // After the count of formats, which is 0.
            let (count, mut rest) = message.get(name + 2..)?.split_first_chunk::<2>()?;
            let mut values = Vec::new();
            for _ in 0..u16::from_be_bytes(*count) {
                let (length, after) = rest.split_first_chunk()?;
                let length = i32::from_be_bytes(*length);
                let Ok(length) = usize::try_from(length) else {
                    values.push(None);
                    rest = after;
                    continue;
                };
                let (value, after) = after.split_at_checked(length)?;
                values.push(Some(value));
                rest = after;
            }
            return Some(values);
        }
        bytes = after;
    }
}
