//! The secrets of this process: values read by `secret("NAME")`.
//!
//! `template` registers them, every output redacts them.
//! Invariant: a registered value is redacted in every form that a request gives it: plain,
//! percent-encoded, in JSON, in HTML, in base64 at any alignment.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The replacement of a redacted value.
pub const MASK: &str = "***";

/// Maximum secrets of one process.
pub const MAX: usize = 256;

/// The shortest secret, bytes: redacting a shorter one would destroy half of every report.
pub const SHORTEST: usize = 4;

/// Maximum forms of a value.
pub(super) const FORMS: usize = 18;

/// The secrets, and all their forms from the longest to the shortest.
static KNOWN: RwLock<(Vec<String>, Vec<String>)> = RwLock::new((Vec::new(), Vec::new()));

/// Why a value cannot be redacted, and so must not be used as a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefused {
    /// The secret has fewer than [`SHORTEST`] bytes.
    #[error("a secret needs at least {SHORTEST} bytes to be hidden in reports")]
    TooShort,
    /// There are [`MAX`] secrets already.
    #[error("a run has at most {MAX} different secrets")]
    TooMany,
}

/// Registers a value to be redacted in all output of this process.
///
/// # Errors
/// If it is too short to be redacted, or there are [`MAX`] secrets already.
pub fn register_secret(secret: &str) -> Result<(), SecretRefused> {
    if secret.len() < SHORTEST {
        return Err(SecretRefused::TooShort);
    }
    // A panic in here cannot leave half a secret: registered secrets stay registered.
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let (secrets, all) = &mut *known;
    if secrets.iter().any(|known| known == secret) {
        return Ok(());
    }
    if secrets.len() == MAX {
        return Err(SecretRefused::TooMany);
    }
    secrets.push(secret.to_owned());
    all.extend(forms(secret));
    all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    all.dedup();
    Ok(())
}

/// Replaces every secret in a text.
pub fn redact_secrets(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    replace(&known.1, Cow::Borrowed(text))
}

/// Replaces each of these forms in a text.
pub(super) fn replace<'t>(forms: &[String], text: Cow<'t, str>) -> Cow<'t, str> {
    forms.iter().fold(text, |text, form| {
        if text.contains(form.as_str()) {
            Cow::Owned(text.replace(form.as_str(), MASK))
        } else {
            text
        }
    })
}

/// Returns the forms in which requests may contain a value.
pub(super) fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), json(secret), html(secret)];
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let in_form = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    // Characters that are valid in a URL are not encoded there.
    let in_url = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    for plain in [&unreserved as &dyn Fn(u8) -> bool, &in_form, &in_url] {
        let encoded = percent(secret, plain);
        forms.push(encoded.replace("%20", "+"));
        forms.push(encoded.to_lowercase());
        forms.push(encoded);
    }
    // In base64 a text looks different at each of three alignments; its edges are mixed with the
    // adjacent bytes, the rest is its own.
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(encoded[from..to].to_owned());
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn percent(text: &str, plain: impl Fn(u8) -> bool) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_redacted_in_every_form() {
        let secret = "s3cr\"t \\/+&pàss";
        assert_eq!(redact_secrets("nothing learnt"), "nothing learnt");
        assert_eq!((register_secret(secret), register_secret(secret)), (Ok(()), Ok(())));
        assert!(forms(secret).len() <= FORMS);
        let quoted = serde_json::to_string(secret).unwrap();
        let mut shown = vec![
            format!("a {secret} b"),
            quoted.clone(),
            "s3cr&quot;t \\/+&amp;pàss".to_owned(),
            "s3cr%22t%20%5C%2F%2B%26p%C3%A0ss".to_owned(),
            "s3cr%22t+%5C%2F%2B%26p%C3%A0ss".to_owned(),
            "s3cr%22t%20%5C/+&p%C3%A0ss".to_owned(),
        ];
        for before in ["", "u", "us", "usr:"] {
            shown.push(STANDARD_NO_PAD.encode(format!("{before}{secret}")));
            shown.push(URL_SAFE_NO_PAD.encode(format!("{before}{secret}:and more")));
        }
        for text in shown {
            let hidden = redact_secrets(&text);
            assert!(hidden.contains(MASK), "{text} → {hidden}");
            assert!(hidden.len() < text.len() - 8, "{text} → {hidden}");
        }
        assert_eq!(register_secret("abc"), Err(SecretRefused::TooShort));
        assert_eq!(redact_secrets("abc"), "abc");
    }
}
