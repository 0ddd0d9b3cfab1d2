//! How a worker process ended, in words.
//!
//! `workers` asks when a worker is gone.
//! Invariant: the words name the signal or the exit code, and what may have sent it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a process ended that should not have.
pub(super) fn how_it_ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "killed by SIGKILL (`kill -9`, or the system was out of memory)".to_owned(),
        (Some(6), _) => "aborted (SIGABRT); its error is on standard error".to_owned(),
        (Some(11), _) => "crashed (SIGSEGV), a bug in Manada; please report it".to_owned(),
        (Some(15), _) => "ended by SIGTERM".to_owned(),
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended in a way that the system does not tell".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_and_codes_are_named() {
        for (raw, expected) in [
            (9, "killed by SIGKILL (`kill -9`, or the system was out of memory)"),
            (6, "aborted (SIGABRT); its error is on standard error"),
            (2, "ended by signal 2"),
            (101 << 8, "exited with code 101"),
        ] {
            assert_eq!(how_it_ended(ExitStatus::from_raw(raw)), expected);
        }
    }
}
