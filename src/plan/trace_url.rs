//! Where a trace is shown: the URL of `--trace-url`, with placeholders.
//!
//! `cli` parses it, a manifest keeps it, `report` fills it for each call.
//! Invariant: a filled URL has the scheme http or https, and only characters that a URL may have.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::suggest::did_you_mean;

/// Maximum length, bytes.
const MAX_LENGTH: usize = 2_000;

/// The time that a range has before and after its call: of a trace, a call is a part.
const AROUND: Duration = Duration::from_mins(1);

/// A part of the URL that a call fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TraceUrlField {
    TraceId,
    SpanId,
    RunId,
    StartMs,
    EndMs,
}

impl TraceUrlField {
    const ALL: [Self; 5] = [Self::TraceId, Self::SpanId, Self::RunId, Self::StartMs, Self::EndMs];

    const fn name(self) -> &'static str {
        ["trace_id", "span_id", "run_id", "start_ms", "end_ms"][self as usize]
    }
}

/// The URL of a trace, with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceUrl {
    text: String,
    /// Texts, each with the field after it; the last one has none.
    parts: Vec<(String, Option<TraceUrlField>)>,
}

/// A call whose trace is shown.
#[derive(Clone, Copy, Debug)]
pub struct ShownTrace<'a> {
    /// Its trace.
    pub trace_id: u128,
    /// Its span.
    pub span_id: u64,
    /// The run.
    pub run_id: &'a str,
    /// When the call was due.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
}

impl TraceUrl {
    /// Parses a URL with placeholders, such as `http://127.0.0.1:16686/trace/{trace_id}`.
    ///
    /// # Errors
    /// What is wrong with it, and what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("expected at most {MAX_LENGTH} bytes, found {}", text.len()));
        }
        let parts = parts(text)?;
        if !parts.iter().any(|(_, field)| *field == Some(TraceUrlField::TraceId)) {
            let example = "http://127.0.0.1:16686/trace/{trace_id}";
            return Err(format!("expected the placeholder {{trace_id}}, as in {example}"));
        }
        let wrong = |c: &char| !c.is_ascii_graphic() || "\"<>\\^`|".contains(*c);
        if let Some(c) = parts.iter().flat_map(|(text, _)| text.chars()).find(wrong) {
            let mut encoded = String::new();
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                let _ = write!(encoded, "%{byte:02X}");
            });
            return Err(format!("a URL has no {c:?}: write {encoded}"));
        }
        let begin = &parts[0].0;
        let rest = begin.strip_prefix("http://").or_else(|| begin.strip_prefix("https://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        if host.contains('@') {
            return Err("a report would show the credentials of the URL: leave them out".to_owned());
        }
        let is_host = host.parse::<http::uri::Authority>().is_ok_and(|one| {
            let has_port = one.host().len() < host.len();
            !one.host().is_empty() && (!has_port || one.port_u16().is_some())
        });
        // A placeholder may follow a host, but not be a part of it.
        let is_whole = rest.is_some_and(|rest| rest.len() > host.len());
        if !is_host || !is_whole {
            return Err("expected a URL that begins with http:// or https:// and a host, such as \
                        http://127.0.0.1:16686/trace/{trace_id}"
                .to_owned());
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The URL with its placeholders.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The URL of the trace of a call.
    pub fn fill(&self, of: &ShownTrace<'_>) -> String {
        let ms = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut url = String::new();
        for (text, field) in &self.parts {
            url.push_str(text);
            let written = match field {
                None => Ok(()),
                Some(TraceUrlField::TraceId) => write!(url, "{:032x}", of.trace_id),
                Some(TraceUrlField::SpanId) => write!(url, "{:016x}", of.span_id),
                Some(TraceUrlField::RunId) => write!(url, "{}", of.run_id),
                Some(TraceUrlField::StartMs) => {
                    write!(url, "{}", ms(of.start.checked_sub(AROUND).unwrap_or(of.start)))
                }
                Some(TraceUrlField::EndMs) => {
                    write!(url, "{}", ms(of.end.checked_add(AROUND).unwrap_or(of.end)))
                }
            };
            debug_assert!(written.is_ok(), "a String takes all");
        }
        url
    }
}

/// Splits the text at its placeholders.
fn parts(text: &str) -> Result<Vec<(String, Option<TraceUrlField>)>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    let names = TraceUrlField::ALL.map(TraceUrlField::name);
    let expected = || format!("expected {{{}}}", names.join("}, {"));
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let Some(end) = after.find('}').filter(|_| rest[at..].starts_with('{')) else {
            return Err(format!(
                "a brace is no part of a placeholder: {}; write %7B for {{ and %7D for }}",
                expected()
            ));
        };
        let name = &after[..end];
        let field = TraceUrlField::ALL.into_iter().find(|field| field.name() == name);
        let Some(field) = field else {
            let near = did_you_mean(name, names);
            return Err(format!(
                "unknown placeholder {{{name}}}: {}; other braces are written %7B and %7D{near}",
                expected()
            ));
        };
        parts.push((before.to_owned(), Some(field)));
        rest = &after[end + 1..];
    }
    parts.push((rest.to_owned(), None));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let text = "https://grafana.example.com:3000/explore?q=%7B{trace_id}%7D&s={span_id}\
                    &from={start_ms}&to={end_ms}&r={run_id}#x";
        let url = TraceUrl::parse(text).unwrap();
        assert_eq!(url.text(), text);
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let of = ShownTrace {
            trace_id: 0xab,
            span_id: 0x1c,
            run_id: "19a-7",
            start: at(100_000),
            end: at(100_250),
        };
        assert_eq!(
            url.fill(&of),
            "https://grafana.example.com:3000/explore?q=%7B000000000000000000000000000000ab%7D&s=\
             000000000000001c&from=40000&to=160250&r=19a-7#x"
        );
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        for (text, wanted) in [
            ("http://h/{traceId}", "did you mean `trace_id`?"),
            (
                "http://h/{trace-id}",
                "unknown placeholder {trace-id}: expected {trace_id}, {span_id}",
            ),
            ("http://h/trace", "expected the placeholder {trace_id}, as in http://"),
            ("ftp://h/{trace_id}", "begins with http:// or https://"),
            ("javascript:alert({trace_id})", "begins with http:// or https://"),
            ("h:16686/{trace_id}", "begins with http:// or https://"),
            ("http://{trace_id}.example.com/", "begins with http:// or https:// and a host"),
            ("http://example.com{trace_id}", "and a host"),
            ("http:///{trace_id}", "and a host"),
            ("http://h:port/{trace_id}", "and a host"),
            ("http://user:s3cret@h/{trace_id}", "leave them out"),
            ("http://h/{trace_id}\"onclick=", "a URL has no '\"': write %22"),
            ("http://h/{trace_id} x", "a URL has no ' ': write %20"),
            ("http://h/\u{e9}{trace_id}", "a URL has no 'é': write %C3%A9"),
            ("http://h/{trace_id", "a brace is no part of a placeholder"),
            ("http://h/}{trace_id}", "write %7B for { and %7D for }"),
            ("http://h/{\"a\":{trace_id}}", "unknown placeholder"),
        ] {
            let error = TraceUrl::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(TraceUrl::parse(&format!("http://h/{{trace_id}}{}", "x".repeat(2_000))).is_err());
    }
}
