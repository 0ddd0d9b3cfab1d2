//! The options of `manada hit` for streams.
//!
//! `hit` flattens them into its own.
//! Invariant: a parsed value is valid; a parse error says what was expected.

use super::args;
use crate::plan::stream::{AnswerFormat, GoodAnswer};

/// Streams: WebSockets, event streams, and responses that come in pieces.
#[derive(Debug, clap::Args)]
pub(super) struct HitStreamArgs {
    /// Message to send over a WebSocket (default: a stamp)
    ///
    /// @FILE reads it from a file. Text, or bytes if it is not UTF-8. A stamp is a text of 48
    /// characters with the number of the message and its times.
    #[arg(long, value_name = "TEXT", hide_short_help = true, help_heading = "Request")]
    pub(super) message: Option<String>,
    /// Open a WebSocket or event stream per user, and listen
    ///
    /// For ws:// and wss:// a WebSocket, for http:// and https:// an event stream. It stays open to
    /// the end, and all that comes is counted.
    #[arg(long, conflicts_with = "format", help_heading = "Request")]
    pub(super) listen: bool,
    /// Response in pieces: openai, anthropic, sse or lines
    ///
    /// Measures it piece by piece: times to the first content, between pieces and per token, and
    /// tokens. With --body, requests for openai and anthropic are sent as application/json.
    #[arg(long, value_name = "FORMAT", value_parser = answer_format, help_heading = "Request")]
    pub(super) stream: Option<AnswerFormat>,
    /// What makes such a response good, e.g. first=300ms,tpot=50ms
    ///
    /// Limits on `first`, `tpot` and `response`; the summary has the share of good responses.
    #[arg(long, value_name = "LIMITS", value_parser = good, hide_short_help = true,
        help_heading = "Request")]
    pub(super) good: Option<GoodAnswer>,
}

fn answer_format(text: &str) -> Result<AnswerFormat, String> {
    let known = AnswerFormat::NAMES.into_iter().find(|(name, _)| *name == text);
    known.map(|(_, format)| format).ok_or_else(|| {
        let names = AnswerFormat::NAMES.map(|(name, _)| name).join(", ");
        format!("expected one of {names}")
    })
}

/// Parses limits such as `first=300ms,tpot=50ms`.
fn good(text: &str) -> Result<GoodAnswer, String> {
    let mut limits = GoodAnswer::default();
    for limit in text.split(',') {
        let expected =
            "expected LIMIT=DURATION, separated by commas, such as first=300ms,tpot=50ms";
        let (name, value) = limit.split_once('=').ok_or(expected)?;
        let place = match name.trim() {
            "first" => &mut limits.first,
            "tpot" => &mut limits.tpot,
            "response" => &mut limits.response,
            other => {
                return Err(format!("unknown limit `{other}`; expected first, tpot or response"));
            }
        };
        if place.replace(args::duration(value.trim())?).is_some() {
            return Err(format!("`{}` is given twice", name.trim()));
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn limits_are_durations_by_name() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let limits = GoodAnswer { first: ms(300), tpot: ms(50), response: None };
        assert_eq!(good("first=300ms, tpot=50ms"), Ok(limits));
        for (text, says) in [
            ("first", "expected LIMIT=DURATION"),
            ("last=1s", "unknown limit `last`"),
            ("first=1s,first=2s", "given twice"),
            ("tpot=soon", "duration"),
        ] {
            let error = good(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert_eq!(answer_format("sse"), Ok(AnswerFormat::Events));
        assert!(answer_format("SSE").unwrap_err().contains("openai"));
    }
}
