//! Texts derived from other texts: hashes, base64, percent-encoding, JSON.
//!
//! `functions` offers each as a function and as a filter.
//! Invariant: pure; the same text gives the same result.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use minijinja::value::ValueKind;
use minijinja::{Error, Value};
use ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
use sha2::{Digest, Sha256, Sha512};

use super::encode::{self, Encoding};
use super::error::invalid;
use crate::hex::hex;

/// Returns a value as text, in the form it has outside of JSON.
pub(super) fn text(value: &Value) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    if value.kind() == ValueKind::Bytes {
        return Ok(value.as_bytes().unwrap_or_default().to_vec());
    }
    encode::value(value, Encoding::Plain, &mut out).map_err(|error| invalid(error.to_string()))?;
    Ok(out)
}

/// Returns the hash of a text, in hexadecimal.
pub(super) fn hash(value: &Value, algorithm: Option<&str>) -> Result<String, Error> {
    let text = text(value)?;
    Ok(match algorithm.unwrap_or("sha256") {
        "sha256" => hex(&Sha256::digest(&text)),
        "sha1" => hex(ring::digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &text).as_ref()),
        "sha512" => hex(&Sha512::digest(&text)),
        "md5" => hex(&Md5::digest(&text)),
        other => {
            let known = "\"sha256\", \"sha512\", \"sha1\" and \"md5\"";
            return Err(invalid(format!("hash() supports {known}, not {other:?}")));
        }
    })
}

/// Encodes a text as padded base64 (RFC 4648 §4).
pub(super) fn base64(value: &Value) -> Result<String, Error> {
    Ok(STANDARD.encode(text(value)?))
}

/// Percent-encodes everything but letters, digits and `-._~` (RFC 3986 §2.3).
pub(super) fn urlencode(value: &Value) -> Result<String, Error> {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text(value)? {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(out)
}

/// Writes a value as JSON.
pub(super) fn json(value: &Value) -> Result<String, Error> {
    let mut out = Vec::new();
    encode::value(value, Encoding::JsonValue, &mut out)
        .map_err(|error| invalid(error.to_string()))?;
    String::from_utf8(out).map_err(|error| invalid(error.to_string()))
}
