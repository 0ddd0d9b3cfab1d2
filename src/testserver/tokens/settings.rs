//! How token streams behave: the laws of a server, and the settings of one request.
//!
//! `cli` sets the laws, a request changes them by its query or its headers.
//! Invariant: a wrong setting is an error that names its key.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::super::query::{QueryError, QueryString};
use crate::curve::Distribution;
use crate::seed::Rng;

/// The laws of all token streams of a server.
#[derive(Clone, Debug)]
pub struct TokenLaws {
    /// Time from the request to the first token.
    pub first: Distribution,
    /// Time between two chunks of tokens.
    pub gap: Distribution,
    /// Number of tokens, before the request's own limit.
    pub tokens: TokenCounts,
}

impl Default for TokenLaws {
    fn default() -> Self {
        Self {
            first: Distribution::constant(Duration::from_millis(100)),
            gap: Distribution::constant(Duration::from_millis(10)),
            tokens: TokenCounts(Distribution::constant(Duration::from_secs(128))),
        }
    }
}

/// A distribution of numbers of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenCounts(
    /// A second stands for a token: the distributions are those of durations.
    Distribution,
);

impl TokenCounts {
    /// The most tokens of a stream.
    pub const MAX: u64 = 1_000_000;

    /// Draws a number, from 1 to [`Self::MAX`].
    pub fn sample(&self, rng: &mut Rng) -> u64 {
        let tokens = self.0.sample(rng).as_secs_f64().round();
        (tokens as u64).clamp(1, Self::MAX)
    }
}

impl FromStr for TokenCounts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "a number of tokens such as 128, uniform:50,200, normal:128,20 or \
                 exponential:128, not `{text}`"
            )
        };
        let (law, numbers) = text.trim().split_once(':').unwrap_or(("constant", text.trim()));
        let expected = match law {
            "constant" | "exponential" => 1,
            "uniform" | "normal" => 2,
            _ => return Err(wrong()),
        };
        let numbers: Vec<u64> = numbers
            .split(',')
            .map(|number| number.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| wrong())?;
        if numbers.len() != expected || numbers.iter().any(|tokens| *tokens > Self::MAX) {
            return Err(wrong());
        }
        let seconds: Vec<String> = numbers.iter().map(|tokens| format!("{tokens}s")).collect();
        let law = if law == "constant" { String::new() } else { format!("{law}:") };
        let law = Distribution::parse_compact(&format!("{law}{}", seconds.join(",")));
        law.map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for TokenCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string().replace('s', ""))
    }
}

/// The settings of one request.
#[derive(Clone, Debug)]
pub(super) struct TokenSettings {
    pub laws: TokenLaws,
    /// Tokens of a chunk.
    pub per_chunk: u64,
    /// Whether the first event, which has no token, is sent at once; if not, with the first token.
    pub is_role_early: bool,
    /// How many of the tokens are reasoning.
    pub reasoning: u64,
    /// How many of the last tokens are arguments of a tool call.
    pub tool: u64,
    /// A comment after each such silence; `None`: none.
    pub keep_alive: Option<Duration>,
    /// Whether there is an end mark.
    pub has_done: bool,
    /// After how many tokens the connection is closed within an event.
    pub eof_after: Option<u64>,
    /// After how many tokens there is an error in the stream.
    pub error_after: Option<u64>,
    /// After how many tokens the stream stalls.
    pub stall_after: Option<u64>,
    /// How long it stalls; `None`: until the client closes.
    pub stall: Option<Duration>,
    /// Events that are written together.
    pub per_write: u64,
    /// Whether each event is written in several pieces.
    pub is_split: bool,
    /// The end of a line.
    pub line_end: &'static str,
    /// The status of a response without tokens; `None`: 200 and tokens.
    pub status: Option<u16>,
    /// Seconds of its header Retry-After.
    pub retry_after: u64,
}

impl TokenSettings {
    /// Reads the settings from a query.
    pub fn read(query: QueryString<'_>, laws: &TokenLaws) -> Result<Self, QueryError> {
        let tokens = |name| query.number(name, 0, TokenCounts::MAX);
        let laws = TokenLaws {
            first: query.distribution("first")?.unwrap_or_else(|| laws.first.clone()),
            gap: query.distribution("gap")?.unwrap_or_else(|| laws.gap.clone()),
            tokens: query
                .parsed("tokens", TokenCounts::from_str)?
                .unwrap_or_else(|| laws.tokens.clone()),
        };
        Ok(Self {
            laws,
            per_chunk: query.number("per_chunk", 1, 1_000)?.unwrap_or(1),
            is_role_early: query.word("role", &[("early", true), ("late", false)])? == Some(true),
            reasoning: tokens("reasoning")?.unwrap_or(0),
            tool: tokens("tool")?.unwrap_or(0),
            keep_alive: query.duration("keep_alive")?.filter(|silence| !silence.is_zero()),
            has_done: query.flag("done")?.unwrap_or(true),
            eof_after: tokens("eof_after")?,
            error_after: tokens("error_after")?,
            stall_after: tokens("stall_after")?,
            stall: query.duration("stall")?,
            per_write: query.number("per_write", 1, 1_000)?.unwrap_or(1),
            is_split: query.flag("split")?.unwrap_or(false),
            line_end: query.word("eol", &[("lf", "\n"), ("crlf", "\r\n")])?.unwrap_or("\n"),
            status: query.number("status", 400, 599)?.map(|status| status as u16),
            retry_after: query.number("retry_after", 0, 86_400)?.unwrap_or(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    #[test]
    fn numbers_of_tokens_follow_their_law() {
        for (text, low, high) in [("128", 128, 128), ("uniform:50,60", 50, 60), ("0", 1, 1)] {
            let law: TokenCounts = text.parse().unwrap();
            let printed = law.to_string();
            assert_eq!(printed.parse(), Ok(law.clone()), "{printed}");
            let mut rng = Seed::ZERO.rng(Stream::World, 0, 0);
            for _ in 0..100 {
                assert!((low..=high).contains(&law.sample(&mut rng)), "{text}");
            }
        }
        for text in ["", "x", "gamma:5,2", "uniform:5", "-1", "1.5", "2000000"] {
            assert!(text.parse::<TokenCounts>().unwrap_err().contains("uniform:50,200"), "{text}");
        }
    }

    #[test]
    fn settings_change_the_laws() {
        let query = QueryString("first=5ms&tokens=7&per_chunk=2&role=early&stall_after=3&eol=crlf");
        let settings = TokenSettings::read(query, &TokenLaws::default()).unwrap();
        assert_eq!(settings.laws.first.mean(), Duration::from_millis(5));
        assert_eq!(settings.laws.gap.mean(), Duration::from_millis(10));
        assert_eq!((settings.per_chunk, settings.stall_after), (2, Some(3)));
        assert!(settings.is_role_early && settings.line_end == "\r\n" && settings.has_done);
        let error = TokenSettings::read(QueryString("tokens=many"), &TokenLaws::default());
        assert!(error.unwrap_err().0.contains("query key `tokens`"));
    }
}
