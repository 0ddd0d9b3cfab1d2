//! Injected failures of the test server: faults by share, stalls by time.
//!
//! `cli` and `process` parse and print them, `shared` draws from them.
//! Invariant: `FromStr` parses the output of `Display` to the same value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::suggest::did_you_mean;
use crate::units::{parse_duration, parse_share};

/// A fault in place of a response, at the time the response was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// A response with this status.
    Status(u16),
    /// The connection is reset (RST).
    Reset,
    /// No response, for as long as the client waits.
    Hang,
    /// The connection is closed (FIN) without a response.
    Close,
}

/// A fault and its share of the requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultShare {
    /// Share of all requests, from 0 to 1.
    pub share: f64,
    /// The fault.
    pub fault: InjectedFault,
}

/// An interval in which no work proceeds: running and arriving work waits for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerStall {
    /// Length of the stall.
    pub length: Duration,
    /// When the stall begins, after the first request.
    pub at: Duration,
}

/// An invalid argument, with what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WordError(String);

impl FromStr for FaultShare {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let wrong = |what: &str| WordError(format!("`{text}` is not a fault: {what}"));
        let (share, fault) =
            text.split_once(':').ok_or_else(|| wrong("expected SHARE:FAULT such as 1%:503"))?;
        let share = parse_share(share)
            .ok()
            .filter(|share| *share <= 1.0)
            .ok_or_else(|| wrong("the share must be from 0% to 100%"))?;
        let fault = match fault.trim() {
            "reset" => InjectedFault::Reset,
            "hang" => InjectedFault::Hang,
            "close" => InjectedFault::Close,
            code => code
                .parse()
                .ok()
                .filter(|code| (200..1_000).contains(code))
                .map(InjectedFault::Status)
                .ok_or_else(|| {
                    let near = did_you_mean(code, ["reset", "hang", "close"]);
                    wrong(&format!("expected a status from 200 to 999, reset, hang or close{near}"))
                })?,
        };
        Ok(Self { share, fault })
    }
}

impl FromStr for ServerStall {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let wrong = |what: String| WordError(format!("`{text}` is not a stall: {what}"));
        let (length, at) = text
            .split_once('@')
            .ok_or_else(|| wrong("expected LENGTH@WHEN such as 2s@20s".to_owned()))?;
        let read = |word| parse_duration(word).map_err(|e| wrong(format!("expected {e}")));
        Ok(Self { length: read(length)?, at: read(at)? })
    }
}

impl fmt::Display for FaultShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.share)?;
        match self.fault {
            InjectedFault::Status(code) => write!(f, "{code}"),
            InjectedFault::Reset => f.write_str("reset"),
            InjectedFault::Hang => f.write_str("hang"),
            InjectedFault::Close => f.write_str("close"),
        }
    }
}

impl fmt::Display for ServerStall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns@{}ns", self.length.as_nanos(), self.at.as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_failures_and_stalls_parse_back() {
        for (text, share, fault) in [
            ("1%:503", 0.01, InjectedFault::Status(503)),
            ("0.5:reset", 0.5, InjectedFault::Reset),
            ("100%: hang", 1.0, InjectedFault::Hang),
            ("0%:close", 0.0, InjectedFault::Close),
        ] {
            let failure: FaultShare = text.parse().unwrap();
            assert_eq!(failure, FaultShare { share, fault });
            assert_eq!(failure.to_string().parse(), Ok(failure));
        }
        let stall: ServerStall = "2s@1m20s".parse().unwrap();
        let (length, at) = (Duration::from_secs(2), Duration::from_secs(80));
        assert_eq!(stall, ServerStall { length, at });
        assert_eq!(stall.to_string().parse(), Ok(stall));
    }

    #[test]
    fn errors_name_what_is_expected() {
        for (text, part) in [
            ("503", "expected SHARE:FAULT such as 1%:503"),
            ("101%:503", "from 0% to 100%"),
            ("1%:1000", "expected a status from 200 to 999, reset, hang or close"),
            ("1%:explode", "expected a status from 200 to 999, reset, hang or close"),
            ("1%:rest", "hang or close; did you mean `reset`?"),
        ] {
            let message = text.parse::<FaultShare>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        for (text, part) in [
            ("2s", "expected LENGTH@WHEN such as 2s@20s"),
            ("2@20s", "expected a duration such as 250ms"),
        ] {
            let message = text.parse::<ServerStall>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
