//! The query of a request: its keys, decoded and parsed.
//!
//! `shop` reads texts from it, streams their settings.
//! Invariant: a value that does not parse is an error that names its key; unknown keys are ignored.

use std::time::Duration;

use crate::curve::Distribution;
use crate::units::{Rate, parse_duration, parse_rate, parse_share, parse_size};

/// What follows the `?` of a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueryString<'a>(pub &'a str);

/// A value that does not parse: what is wrong with which key, for the body of a response 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueryError(pub String);

impl<'a> QueryString<'a> {
    /// The value of a key, undecoded; `None` if the key is not there.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The decoded value of a key.
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(decoded)
    }

    /// The value of a key, parsed by `parse`.
    pub fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, QueryError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        parse(&value)
            .map(Some)
            .map_err(|error| QueryError(format!("query key `{name}`: expected {error}")))
    }

    /// A share such as `1%`, at most 1; 0 if the key is not there.
    pub fn share(&self, name: &str) -> Result<f64, QueryError> {
        let share = self.parsed(name, parse_share)?.unwrap_or(0.0);
        if share <= 1.0 {
            return Ok(share);
        }
        Err(QueryError(format!("query key `{name}`: expected at most 100%")))
    }

    /// A rate above zero.
    pub fn rate(&self, name: &str) -> Result<Option<Rate>, QueryError> {
        let rate = self.parsed(name, parse_rate)?;
        if rate == Some(Rate::default()) {
            return Err(QueryError(format!("query key `{name}`: expected a rate above zero")));
        }
        Ok(rate)
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, QueryError> {
        self.parsed(name, parse_duration)
    }

    /// A distribution of durations, in its compact form.
    pub fn distribution(&self, name: &str) -> Result<Option<Distribution>, QueryError> {
        // Not from a file: a client must not make the server read one.
        self.parsed(name, |text| {
            if text.trim_start().starts_with("empirical") {
                return Err("a distribution without a file".to_owned());
            }
            Distribution::parse_compact(text).map_err(|error| format!("a distribution: {error}"))
        })
    }

    /// A size in bytes, at most `max`.
    pub fn size(&self, name: &str, max: usize) -> Result<Option<usize>, QueryError> {
        let size = self.parsed(name, parse_size)?.map(|size| usize::try_from(size).ok());
        match size {
            None => Ok(None),
            Some(Some(size)) if size <= max => Ok(Some(size)),
            Some(_) => Err(QueryError(format!("query key `{name}`: expected at most {max}"))),
        }
    }

    /// A whole number from `low` to `high`.
    pub fn number(&self, name: &str, low: u64, high: u64) -> Result<Option<u64>, QueryError> {
        self.parsed(name, |text| {
            text.parse()
                .ok()
                .filter(|number| (low..=high).contains(number))
                .ok_or_else(|| format!("a whole number from {low} to {high}"))
        })
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, QueryError> {
        self.parsed(name, |text| text.parse::<bool>().map_err(|_| "true or false"))
    }

    /// One of several words.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, QueryError> {
        self.parsed(name, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("one of {}", words.join(", "))
            })
        })
    }
}

/// Decodes a form or query value; invalid escapes stay.
pub(super) fn decoded(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.as_bytes();
    while let [first, rest @ ..] = bytes {
        let hex = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
        bytes = rest;
        match (first, hex(rest.first()), hex(rest.get(1))) {
            (b'+', ..) => out.push(b' '),
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                bytes = &rest[2..];
            }
            _ => out.push(*first),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_parsed() {
        let query = QueryString("q=a+b%22&rate=90%2Fm&drop=1%25&echo=false&size=1KiB&n=7&eol=lf&x");
        assert_eq!(query.text("q").as_deref(), Some("a b\""));
        assert_eq!(query.rate("rate"), Ok(Some(Rate::from_units(Rate::UNITS_PER_S * 3 / 2))));
        assert_eq!(query.share("drop"), Ok(0.01));
        assert_eq!(query.share("duplicate"), Ok(0.0));
        assert_eq!(query.flag("echo"), Ok(Some(false)));
        assert_eq!(query.size("size", 1_024), Ok(Some(1_024)));
        assert_eq!(query.number("n", 1, 10), Ok(Some(7)));
        assert_eq!(query.word("eol", &[("cr", 1), ("lf", 2)]), Ok(Some(2)));
        assert_eq!(query.duration("x"), Ok(None));
    }

    #[test]
    fn errors_name_key_and_expectation() {
        let query = QueryString(
            "rate=0/s&drop=200%&echo=yes&size=2KiB&n=0&delay=x&eol=y&file=empirical:a,b",
        );
        for (error, part) in [
            (query.rate("rate").unwrap_err(), "`rate`: expected a rate above zero"),
            (query.share("drop").unwrap_err(), "`drop`: expected at most 100%"),
            (query.flag("echo").unwrap_err(), "`echo`: expected true or false"),
            (query.size("size", 1_024).unwrap_err(), "`size`: expected at most 1024"),
            (query.number("n", 1, 9).unwrap_err(), "`n`: expected a whole number from 1 to 9"),
            (query.distribution("file").unwrap_err(), "`file`: expected a distribution without a"),
            (query.distribution("delay").unwrap_err(), "`x` is not a distribution"),
            (query.duration("delay").unwrap_err(), "`delay`: expected a duration such as"),
            (query.word("eol", &[("cr", 1), ("lf", 2)]).unwrap_err(), "one of cr, lf"),
        ] {
            assert!(error.0.contains(part), "{error:?}");
        }
    }
}
