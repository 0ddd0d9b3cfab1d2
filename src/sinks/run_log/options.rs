//! Options of a log: its format, place, level, rate and rotation, and their parsers.
//!
//! `cli` parses them; the sink obeys them.
//! Invariant: a parsed value is valid; a parse error says what was expected.

use std::path::PathBuf;
use std::str::FromStr;

use crate::suggest::did_you_mean;
use crate::units::parse_size;

/// The default number of former files that are kept.
const KEPT: u32 = 5;

/// Maximum number of former files that are kept.
const MOST_KEPT: u32 = 1_000;

/// The smallest size at which a file is rotated, bytes.
const SMALLEST: u64 = 1_024;

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// An object of JSON.
    Json,
    /// `key=value key="a value"`.
    Logfmt,
}

impl LogFormat {
    const ALL: [(&str, Self); 2] = [("json", Self::Json), ("logfmt", Self::Logfmt)];
}

/// How important an entry is; a log has all entries that are at least as important as its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A failed call, or lost load.
    Error,
    /// The client or the run does less than it should.
    Warn,
    /// What happens to the run.
    Info,
    /// Single calls and iterations.
    Debug,
}

impl LogLevel {
    /// All levels, the most important one first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// The name in a line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The value of `--log`: the form of its lines, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// The form of lines.
    pub format: LogFormat,
    /// The file; `None`: standard error.
    pub path: Option<PathBuf>,
}

impl FromStr for LogTarget {
    type Err = String;

    /// Parses `FORMAT` and `FORMAT:FILE`.
    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected json or logfmt for standard error, or with a file, such \
                                as json:run.log";
        let (name, place) = match text.split_once(':') {
            Some((name, place)) => (name, Some(place)),
            None => (text, None),
        };
        let Some((_, format)) = LogFormat::ALL.into_iter().find(|(known, _)| *known == name) else {
            let near = did_you_mean(name, LogFormat::ALL.map(|(name, _)| name));
            return Err(format!("unknown log format `{name}`: {EXPECTED}{near}"));
        };
        match place {
            Some("") => Err(format!("no file after `{name}:`; {EXPECTED}")),
            Some("-") => Err(format!(
                "standard output is for the summary and --json; {EXPECTED}, or {name}:/dev/stdout"
            )),
            place => Ok(Self { format, path: place.map(PathBuf::from) }),
        }
    }
}

/// The value of `--log-rotate`: when a new file begins, and how many former ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRotation {
    /// The size that a file does not exceed, bytes, unless a single line does.
    pub size: u64,
    /// The number of former files: FILE.1 is the latest.
    pub kept: u32,
}

impl FromStr for LogRotation {
    type Err = String;

    /// Parses `SIZE` and `SIZE:KEEP`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (size, kept) = match text.split_once(':') {
            Some((size, kept)) => (size, Some(kept)),
            None => (text, None),
        };
        let size = parse_size(size).map_err(|error| format!("expected {error}"))?;
        if size < SMALLEST {
            return Err("expected a size of at least 1KiB, such as 100MB".to_owned());
        }
        let kept = match kept.map(str::parse) {
            None => KEPT,
            Some(Ok(kept @ 1..=MOST_KEPT)) => kept,
            Some(_) => {
                return Err(format!(
                    "expected the number of former files after the colon, from 1 to {MOST_KEPT}, \
                     such as 100MB:5"
                ));
            }
        };
        Ok(Self { size, kept })
    }
}

/// The options of a log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The form of lines, and where they go.
    pub target: LogTarget,
    /// The least important entries that it has.
    pub level: LogLevel,
    /// Maximum entries of a kind per second.
    pub per_second: usize,
    /// When a new file begins; `None`: never.
    pub rotation: Option<LogRotation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_a_format_with_or_without_a_file() {
        let target =
            |format, path: Option<&str>| Ok(LogTarget { format, path: path.map(PathBuf::from) });
        for (text, expected) in [
            ("json", target(LogFormat::Json, None)),
            ("logfmt", target(LogFormat::Logfmt, None)),
            ("json:run.log", target(LogFormat::Json, Some("run.log"))),
            ("logfmt:a:b", target(LogFormat::Logfmt, Some("a:b"))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for (text, says) in [
            ("", "unknown log format ``"),
            ("jsn:run.log", "did you mean `json`?"),
            ("run.log", "expected json or logfmt for standard error, or with a file"),
            ("json:", "no file after `json:`"),
            ("logfmt:-", "standard output is for the summary"),
        ] {
            let error = text.parse::<LogTarget>().unwrap_err();
            assert!(error.contains(says) && error.contains("json:run.log"), "{error}");
        }
    }

    #[test]
    fn rotation_has_a_size_and_a_number_of_files() {
        for (text, size, kept) in
            [("100MB", 100_000_000, 5), ("1KiB:1", 1_024, 1), ("1GiB:1000", 1 << 30, 1_000)]
        {
            assert_eq!(text.parse(), Ok(LogRotation { size, kept }), "{text}");
        }
        for (text, says) in [
            ("", "a size such as"),
            ("ten", "a size such as"),
            ("1023B", "at least 1KiB"),
            ("0", "at least 1KiB"),
            ("100MB:", "from 1 to 1000"),
            ("100MB:0", "from 1 to 1000"),
            ("100MB:1001", "from 1 to 1000"),
            ("100MB:5:6", "from 1 to 1000"),
        ] {
            let error = text.parse::<LogRotation>().unwrap_err();
            assert!(error.contains(says) && error.contains("expected"), "{text}: {error}");
        }
    }
}
