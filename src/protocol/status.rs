//! Statuses of responses: the numbers of HTTP, and the words of other protocols as numbers from
//! [`FIRST_NAMED`] on.
//!
//! `wire` gives each complete response a status; checks, policies and reports read them here.
//! Invariant: the number of a named status does not change, since records hold it.

use std::borrow::Cow;

use super::Protocol;
use super::named::SPACES;
use super::named::StatusSpace;
pub use super::named::{NamedStatus, StatusClass};

/// The first number that is none of HTTP.
pub const FIRST_NAMED: u16 = 1_000;

/// A status as outputs show it: a number of HTTP as a number, others as protocol and word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownStatus(pub u16);

impl std::fmt::Display for ShownStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&name(self.0))
    }
}

impl serde::Serialize for ShownStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 < FIRST_NAMED {
            serializer.serialize_u16(self.0)
        } else {
            serializer.serialize_str(&name(self.0))
        }
    }
}

/// What a status says.
#[inline]
pub fn class(status: u16) -> StatusClass {
    match status {
        429 | 503 => StatusClass::Rejected,
        0..400 => StatusClass::Success,
        400..500 => StatusClass::ClientError,
        500..FIRST_NAMED => StatusClass::ServerError,
        _ => named(status).map_or(StatusClass::ServerError, |(_, status)| status.class),
    }
}

/// Whether a call with this status failed unless its step expects it.
#[inline]
pub fn is_error(status: u16) -> bool {
    if status < FIRST_NAMED { status >= 400 } else { class(status) != StatusClass::Success }
}

/// Whether the target failed: no fault of the request.
#[inline]
pub fn is_server_failure(status: u16) -> bool {
    match status {
        0..500 => false,
        500..FIRST_NAMED => true,
        _ => matches!(class(status), StatusClass::ServerError | StatusClass::Rejected),
    }
}

/// The status of HTTP that policies treat a status as: itself, or one of its class.
#[inline]
pub fn as_http(status: u16) -> u16 {
    if status < FIRST_NAMED {
        return status;
    }
    match class(status) {
        StatusClass::Success => 200,
        StatusClass::ClientError => 400,
        StatusClass::ServerError => 500,
        StatusClass::Rejected => 503,
    }
}

/// The name in reports: `404`, or protocol and word such as `redis WRONGTYPE`.
pub fn name(status: u16) -> Cow<'static, str> {
    match named(status) {
        Some((protocol, status)) => Cow::Owned(format!("{} {}", protocol.word(), status.name)),
        None => Cow::Owned(status.to_string()),
    }
}

/// The word of a status in its protocol, such as `WRONGTYPE`, or the number of HTTP.
pub fn word(status: u16) -> Cow<'static, str> {
    match named(status) {
        Some((_, status)) => Cow::Borrowed(status.name),
        None => Cow::Owned(status.to_string()),
    }
}

/// The status of a word in a protocol, in any case.
pub fn of_word(protocol: Protocol, word: &str) -> Option<u16> {
    let space = space(protocol)?;
    let found = space.statuses.iter().position(|known| known.name.eq_ignore_ascii_case(word))?;
    Some(space.base + found as u16)
}

/// The statuses that a word names in some protocol, or in the one whose word stands before it:
/// `WRONGTYPE`, `redis WRONGTYPE`.
pub fn of_name(name: &str) -> Vec<u16> {
    let of = |protocol: Protocol| match name.split_once(' ') {
        Some((word, rest)) if protocol.word().eq_ignore_ascii_case(word) => {
            of_word(protocol, rest.trim())
        }
        Some(_) => None,
        None => of_word(protocol, name),
    };
    SPACES.iter().filter_map(|space| of(space.protocol)).collect()
}

/// The words of a protocol's statuses; empty for HTTP.
pub fn words(protocol: Protocol) -> impl Iterator<Item = &'static str> {
    space(protocol).into_iter().flat_map(|space| space.statuses).map(|status| status.name)
}

/// The status of a code that the protocol itself numbers from 0 on: that of its last word if the
/// code is larger.
pub fn of_code(protocol: Protocol, code: usize) -> u16 {
    space(protocol).map_or(0, |space| space.base + code.min(space.statuses.len() - 1) as u16)
}

/// The status of a SQLSTATE: its own, or that of its class, or `other`.
pub fn of_sqlstate(code: &[u8]) -> u16 {
    let code = std::str::from_utf8(code).unwrap_or_default();
    // A success is none of the codes of errors.
    let own = of_word(Protocol::Postgres, code).filter(|_| code.len() == SQLSTATE);
    let class = code.get(..2).map(|class| format!("{class}xxx"));
    own.or_else(|| of_word(Protocol::Postgres, &class?)).unwrap_or(of_code(Protocol::Postgres, 1))
}

/// The length of a SQLSTATE.
const SQLSTATE: usize = 5;

fn space(protocol: Protocol) -> Option<&'static StatusSpace> {
    SPACES.iter().find(|space| space.protocol.word() == protocol.word())
}

fn named(status: u16) -> Option<(Protocol, NamedStatus)> {
    let space = SPACES.iter().rev().find(|space| space.base <= status)?;
    Some((space.protocol, *space.statuses.get(usize::from(status - space.base))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_http_keep_their_meaning() {
        for (status, class) in [
            (0, StatusClass::Success),
            (101, StatusClass::Success),
            (399, StatusClass::Success),
            (404, StatusClass::ClientError),
            (429, StatusClass::Rejected),
            (500, StatusClass::ServerError),
            (503, StatusClass::Rejected),
            (999, StatusClass::ServerError),
        ] {
            assert_eq!(super::class(status), class, "{status}");
            assert_eq!(is_error(status), status >= 400, "{status}");
            assert_eq!(is_server_failure(status), status >= 500, "{status}");
            assert_eq!(name(status), status.to_string());
            assert_eq!(as_http(status), status);
        }
        let equivalents = ["OK", "ERR", "IOERR", "LOADING"]
            .map(|word| as_http(of_word(Protocol::Redis, word).unwrap()));
        assert_eq!(equivalents, [200, 400, 500, 503]);
    }

    #[test]
    fn a_word_is_the_number_it_was_recorded_as() {
        for (protocol, word, status) in [
            (Protocol::Redis, "OK", 1_000),
            (Protocol::Redis, "other", 1_001),
            (Protocol::Redis, "ERR", 1_002),
            (Protocol::Tcp, "OK", 1_100),
            (Protocol::Udp, "OK", 1_110),
            (Protocol::Dns, "NOERROR", 1_120),
            (Protocol::Dns, "NXDOMAIN", 1_123),
            (Protocol::Postgres, "OK", 1_200),
            (Protocol::Postgres, "23505", 1_202),
            (Protocol::Grpc, "OK", 1_400),
            (Protocol::Grpc, "UNAUTHENTICATED", 1_416),
            (Protocol::Mqtt, "OK", 1_500),
            (Protocol::Mqtt, "WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED", 1_538),
            (Protocol::Amqp, "OK", 1_600),
            (Protocol::Amqp, "NOT_FOUND", 1_609),
            (Protocol::Amqp, "CONSUMER_CANCELLED", 1_621),
            (Protocol::Kafka, "OK", 1_700),
            (Protocol::Kafka, "UNKNOWN_TOPIC_OR_PARTITION", 1_705),
            (Protocol::Kafka, "INVALID_RECORD", 1_757),
            (Protocol::Kafka, "PRODUCER_FENCED", 1_762),
        ] {
            assert_eq!(of_word(protocol, word), Some(status), "{word}");
            assert_eq!(super::word(status), word);
            assert_eq!(name(status), format!("{} {word}", protocol.word()));
            assert_eq!(of_name(&name(status)), [status]);
        }
        assert_eq!(of_word(Protocol::Redis, "wrongtype"), Some(1_003));
        assert_eq!(of_name("WRONGTYPE"), [1_003]);
        assert_eq!(of_name("OK"), [1_000, 1_100, 1_110, 1_200, 1_400, 1_500, 1_600, 1_700]);
        assert!(of_name("http OK").is_empty());
        assert_eq!(name(1_099), "1099");
        assert_eq!(class(1_099), StatusClass::ServerError);
        assert_eq!(of_code(Protocol::Dns, 3), 1_123);
        assert_eq!(of_code(Protocol::Dns, 4_000), 1_120 + 16);
    }

    #[test]
    fn a_sqlstate_is_its_own_status_or_that_of_its_class() {
        for (code, wanted, class) in [
            ("23505", "23505", StatusClass::ClientError),
            ("23999", "23xxx", StatusClass::ClientError),
            ("40001", "40001", StatusClass::Rejected),
            ("40003", "40xxx", StatusClass::Rejected),
            ("53300", "53300", StatusClass::Rejected),
            ("08001", "08xxx", StatusClass::Rejected),
            ("55P03", "55P03", StatusClass::Rejected),
            ("55006", "55006", StatusClass::ClientError),
            ("57P03", "57P03", StatusClass::Rejected),
            ("57P01", "57P01", StatusClass::ServerError),
            ("XX000", "XX000", StatusClass::ServerError),
            ("58000", "58xxx", StatusClass::ServerError),
            ("ZZ000", "other", StatusClass::ClientError),
            ("OK", "other", StatusClass::ClientError),
            ("other", "other", StatusClass::ClientError),
            ("", "other", StatusClass::ClientError),
        ] {
            let status = of_sqlstate(code.as_bytes());
            assert_eq!((&*word(status), super::class(status)), (wanted, class), "{code}");
        }
        assert_eq!(of_sqlstate(&[0xff; 5]), of_code(Protocol::Postgres, 1));
    }

    #[test]
    fn spaces_do_not_overlap_and_words_are_unique() {
        for pair in SPACES.windows(2) {
            assert!(usize::from(pair[0].base) + pair[0].statuses.len() <= pair[1].base.into());
        }
        for space in SPACES {
            let words: std::collections::HashSet<_> =
                space.statuses.iter().map(|status| status.name.to_lowercase()).collect();
            assert_eq!(words.len(), space.statuses.len(), "{:?}", space.protocol);
        }
    }
}
