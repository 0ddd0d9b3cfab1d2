//! An entry of a log, and the line that it is in each format.
//!
//! The sink makes entries of a run's events.
//! Invariant: an entry is one line that the parsers of its format read back; it has no secrets.

use std::io::{self, Write};
use std::time::SystemTime;

use serde::Serializer;
use serde::ser::SerializeMap;
use serde_json::Value;

use super::options::{LogFormat, LogLevel};
use crate::report::json_parts::hide;

/// Maximum characters of a text; longer ones are cut.
const MAX_TEXT: usize = 1_000;

/// An entry of a log.
#[derive(Clone, Debug)]
pub(super) struct RunLogEntry {
    /// When it happened.
    pub(super) at: SystemTime,
    pub(super) level: LogLevel,
    pub(super) kind: &'static str,
    /// What happened, as a sentence.
    pub(super) text: String,
    /// What is known of it, in the order of the line.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl RunLogEntry {
    /// Appends the entry as a line; `run`: the fields that all lines of the run have.
    ///
    /// # Errors
    /// None that a line in memory can have.
    pub(super) fn write(
        &self,
        format: LogFormat,
        run: &[(&'static str, Value)],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let text = |text: &str| Value::from(text);
        let head = [
            ("time", Value::from(humantime::format_rfc3339_millis(self.at).to_string())),
            ("level", text(self.level.name())),
            ("kind", text(self.kind)),
            ("msg", text(&self.text)),
        ];
        let fields = head.into_iter().chain(run.iter().chain(&self.fields).cloned());
        let fields = fields.filter(|(_, value)| !value.is_null()).map(|(key, mut value)| {
            hide(&mut value);
            cut(&mut value);
            (key, value)
        });
        match format {
            LogFormat::Json => write_json(fields, out)?,
            LogFormat::Logfmt => write_logfmt(fields, out)?,
        }
        out.push(b'\n');
        Ok(())
    }
}

/// Cuts the texts of a value.
fn cut(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(MAX_TEXT) {
                text.truncate(at);
                text.push('…');
            }
        }
        Value::Array(items) => items.iter_mut().for_each(cut),
        Value::Object(entries) => entries.values_mut().for_each(cut),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn write_json(
    fields: impl Iterator<Item = (&'static str, Value)>,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::new(out);
    let mut map = serializer.serialize_map(None)?;
    for (key, value) in fields {
        map.serialize_entry(key, &value)?;
    }
    map.end()
}

fn write_logfmt(
    fields: impl Iterator<Item = (&'static str, Value)>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut between = "";
    for (key, value) in fields {
        write!(out, "{between}{key}=")?;
        between = " ";
        // Objects are texts of JSON: the format has no other values.
        let text = match value {
            Value::String(text) => text,
            value => value.to_string(),
        };
        if needs_quotes(&text) {
            // go-logfmt reads and writes the quoted strings of JSON.
            serde_json::to_writer(&mut *out, &text)?;
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
    Ok(())
}

/// Whether a value is quoted: as in go-logfmt, and if it is empty.
fn needs_quotes(text: &str) -> bool {
    let is_special = |c: char| {
        c <= ' ' || matches!(c, '=' | '"' | '\\' | '\u{7f}' | char::REPLACEMENT_CHARACTER)
    };
    text.is_empty() || text.contains(is_special)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::redact::register_secret;

    /// Reads a line by the grammar of go-logfmt: keys without spaces, quotes and `=`; values
    /// without them, or quoted strings of JSON; one space between pairs.
    pub(in super::super) fn parse_logfmt(line: &str) -> Vec<(String, String)> {
        let mut rest = line.strip_suffix('\n').expect("a line ends");
        assert!(!rest.contains(['\n', '\r']), "one line: {rest:?}");
        let mut pairs = Vec::new();
        loop {
            let (key, tail) = rest.split_once('=').expect("a pair");
            assert!(!key.is_empty() && !key.contains(|c: char| c <= ' ' || c == '"'), "{key:?}");
            let (value, tail) = if tail.starts_with('"') {
                let mut read = serde_json::Deserializer::from_str(tail).into_iter::<String>();
                let value = read.next().expect("a string").expect("a string of JSON");
                (value, &tail[read.byte_offset()..])
            } else {
                let end = tail.find(' ').unwrap_or(tail.len());
                assert!(!tail[..end].contains(['=', '"', '\\']), "{tail:?}");
                (tail[..end].to_owned(), &tail[end..])
            };
            pairs.push((key.to_owned(), value));
            let Some(tail) = tail.strip_prefix(' ') else {
                assert!(tail.is_empty(), "{tail:?} follows a value");
                return pairs;
            };
            rest = tail;
        }
    }

    fn line(format: LogFormat, text: &str, value: Value) -> String {
        let entry = RunLogEntry {
            at: SystemTime::UNIX_EPOCH + Duration::from_micros(1_500),
            level: LogLevel::Warn,
            kind: "note",
            text: text.to_owned(),
            fields: vec![("value", value), ("none", Value::Null)],
        };
        let mut out = Vec::new();
        entry.write(format, &[("run_id", json!("r1"))], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_stand_in_the_order_of_their_fields() {
        let (json, logfmt) = (LogFormat::Json, LogFormat::Logfmt);
        assert_eq!(
            line(json, "a note", json!(1.5)),
            "{\"time\":\"1970-01-01T00:00:00.001Z\",\"level\":\"warn\",\"kind\":\"note\",\
             \"msg\":\"a note\",\"run_id\":\"r1\",\"value\":1.5}\n"
        );
        assert_eq!(
            line(logfmt, "a note", json!(1.5)),
            "time=1970-01-01T00:00:00.001Z level=warn kind=note msg=\"a note\" run_id=r1 \
             value=1.5\n"
        );
    }

    #[test]
    fn each_text_is_read_back_from_one_line() {
        for (text, shown) in [
            ("", ""),
            ("plain", "plain"),
            ("größe-世界-🦓", "größe-世界-🦓"),
            ("two words", "two words"),
            ("a=b", "a=b"),
            ("say \"x\"", "say \"x\""),
            ("back\\slash", "back\\slash"),
            ("two\nlines\tand a tab", "two\nlines\tand a tab"),
            ("\u{1b}[31mred\u{7}\r\n", "\u{fffd}[31mred\u{fffd}\u{fffd}\n"),
            ("\u{202e}txt.exe\u{2028}", "\u{fffd}txt.exe\u{fffd}"),
            ("\u{7f}\u{0}\u{85}", "\u{fffd}\u{fffd}\u{fffd}"),
            ("null", "null"),
            ("{\"a\":1}", "{\"a\":1}"),
        ] {
            for value in [text, "last"] {
                let written = line(LogFormat::Json, text, json!(value));
                assert_eq!(written.lines().count(), 1, "{written:?}");
                let read: Value = serde_json::from_str(&written).unwrap();
                assert_eq!(read["msg"], shown, "{written:?}");
                let pairs = parse_logfmt(&line(LogFormat::Logfmt, text, json!(value)));
                assert_eq!(pairs[3], ("msg".to_owned(), shown.to_owned()));
                assert_eq!(pairs.len(), 6);
            }
        }
        let pairs = parse_logfmt(&line(LogFormat::Logfmt, "x", json!({ "rate": [1, true] })));
        assert_eq!(pairs[5].1, "{\"rate\":[1,true]}");
    }

    #[test]
    fn texts_are_cut_and_without_secrets() {
        register_secret("run-log-s3cret").unwrap();
        let hidden = line(LogFormat::Logfmt, "token run-log-s3cret", json!(["run-log-s3cret"]));
        assert!(!hidden.contains("s3cret") && hidden.contains("***"), "{hidden}");
        let long = line(LogFormat::Json, &"ö".repeat(1_001), json!({ "x": "y".repeat(2_000) }));
        let read: Value = serde_json::from_str(&long).unwrap();
        assert_eq!(read["msg"], format!("{}…", "ö".repeat(1_000)));
        assert_eq!(read["value"]["x"].as_str().unwrap().chars().count(), 1_001);
    }
}
