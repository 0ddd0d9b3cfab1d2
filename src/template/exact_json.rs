//! JSON that preserves the digits of integers beyond 64 bits.
//!
//! `extract`, feeds and `scenario` parse responses, rows and values with it.
//! Invariant: an integer that fits 64 bits is a JSON number; any other is a text behind `MARK`, so
//! that it is equal only to itself. That takes one additional pass, and only if such an integer may
//! be present.
//!
//! Why a mark: `arbitrary_precision` of serde_json would make each number of each response a text.

use std::borrow::Cow;

use serde_json::Value as Json;

use minijinja::Value;

/// Prefix of the digits of an integer beyond 64 bits. No other text begins so, unless a target
/// constructs one.
const MARK: &str = "\0int:";

/// [`MARK`] in a JSON text, including the opening quote.
const WRITTEN: &str = "\"\\u0000int:";

/// The fewest digits that may not fit 64 bits: 2^63 has 19.
const FEWEST: usize = 19;

/// Parses a JSON text.
///
/// # Errors
/// If it is not JSON.
pub fn parse(text: &[u8]) -> serde_json::Result<Json> {
    serde_json::from_slice(&marked(text))
}

/// Writes a value as a JSON text with its original numbers.
pub fn show(json: &Json) -> String {
    let written = json.to_string();
    let mut parts = written.split(WRITTEN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, after) = part.split_once('"').unwrap_or((part, ""));
        out.push_str(digits);
        out.push_str(after);
    }
    out
}

/// Converts a text for templates: a marked integer becomes an exact integer up to 128 bits and a
/// text of its digits beyond; other texts stay.
pub(super) fn text(text: &str) -> Value {
    let Some(digits) = text.strip_prefix(MARK) else { return Value::from(text) };
    match (digits.parse::<i128>(), digits.parse::<u128>()) {
        (Ok(integer), _) => Value::from(integer),
        (_, Ok(integer)) => Value::from(integer),
        _ => Value::from(digits),
    }
}

/// Replaces integers beyond 64 bits by marked texts.
fn marked(text: &[u8]) -> Cow<'_, [u8]> {
    if !has_long_run(text) {
        return text.into();
    }
    let (mut out, mut copied, mut at) = (Vec::new(), 0, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = after_string(text, at + 1),
            b'-' | b'0'..=b'9' => {
                let part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = text[at..].iter().take_while(|byte| part(byte)).count();
                let number = &text[at..at + length];
                // An object key must be a text already; it must not become one here.
                let next = text[at + length..].trim_ascii_start().first();
                if is_long_integer(number) && next != Some(&b':') {
                    out.extend_from_slice(&text[copied..at]);
                    out.extend_from_slice(WRITTEN.as_bytes());
                    out.extend_from_slice(number);
                    out.push(b'"');
                    copied = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    out.extend_from_slice(&text[copied..]);
    out.into()
}

/// Whether there are [`FEWEST`] digits in a row anywhere. Every run of that length covers a
/// position that is a multiple of `FEWEST`, so only those positions are checked.
fn has_long_run(text: &[u8]) -> bool {
    let digit = |byte: &&u8| byte.is_ascii_digit();
    (FEWEST - 1..text.len()).step_by(FEWEST).any(|at| {
        let before = text[..at].iter().rev().take(FEWEST).take_while(digit).count();
        let after = text[at..].iter().take(FEWEST).take_while(digit).count();
        after > 0 && before + after >= FEWEST
    })
}

/// Returns the position after the closing quote of a string.
fn after_string(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// Whether the text is a JSON integer that does not fit 64 bits.
fn is_long_integer(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let fits = |text: &str| text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    digits.len() >= FEWEST
        && digits[0] != b'0'
        && digits.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(number).is_ok_and(|text| !fits(text))
}

/// Converts a JSON value for templates; types are preserved.
pub fn to_value(node: &Json) -> Value {
    match node {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64()),
        },
        Json::String(marked) => text(marked),
        Json::Array(items) => items.iter().map(to_value).collect::<Vec<_>>().into(),
        Json::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, item)| (key.as_str(), to_value(item))))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_keep_their_digits() {
        for digits in [
            "0",
            "-1",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "170141183460469231731687303715884105728",
            "340282366920938463463374607431768211455",
        ] {
            let json = parse(format!("{{\"a\": [{digits} ]}}").as_bytes()).unwrap();
            let value = to_value(&json["a"][0]);
            assert_eq!((value.to_string().as_str(), value.is_integer()), (digits, true));
            assert_eq!(show(&json), format!("{{\"a\":[{digits}]}}"));
            assert_eq!(json, parse(show(&json).as_bytes()).unwrap());
        }
        let beyond = "9".repeat(60);
        assert_eq!(to_value(&parse(beyond.as_bytes()).unwrap()).as_str(), Some(&*beyond));
    }

    #[test]
    fn texts_and_fractions_are_unchanged() {
        for text in [
            r#""123456789012345678901234567890""#,
            r#""a\"123456789012345678901234567890""#,
            "1234567890123456789012.5",
            "1e30",
            "12345678901234567890e3",
            "0.1234567890123456789012345",
            "1234567890",
        ] {
            let plain: Json = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text.as_bytes()).unwrap(), plain, "{text}");
        }
        for text in [
            "01234567890123456789012",
            "-",
            "12345678901234567890123x",
            "\"1",
            "--1",
            "{12345678901234567890123: 1}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parses_exactly_the_texts_that_are_json(
            text in r#"[\[\]{}:, "\\0-9a.e+-]{0,40}"#,
            digits in "[1-9][0-9]{18,25}",
            at in 0usize..41,
        ) {
            let mut text = text;
            text.insert_str(text.len().min(at), &digits);
            let plain = serde_json::from_str::<Json>(&text);
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), plain.is_ok(), "{}", text);
        }
    }
}
