//! The secrets of this process: what `secret("NAME")` read.
//!
//! Invariant: what was learnt is hidden in every form a request gives it: as it is,
//! percent-encoded, in JSON, in HTML, in base64 at any alignment.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::MASK;

/// The most secrets of one process.
pub const MAX: usize = 256;

/// The shortest secret, bytes: a shorter one would blot out half of every report.
pub const SHORTEST: usize = 4;

/// The most forms of a value.
pub(super) const FORMS: usize = 18;

/// The secrets, and all their forms from the longest to the shortest.
static KNOWN: RwLock<(Vec<String>, Vec<String>)> = RwLock::new((Vec::new(), Vec::new()));

/// Why a secret cannot be hidden, and so must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefused {
    /// It has fewer than [`SHORTEST`] bytes.
    #[error("it has fewer than {SHORTEST} bytes, and so cannot be hidden in reports")]
    TooShort,
    /// There are [`MAX`] of them.
    #[error("a run has at most {MAX} different secrets")]
    TooMany,
}

/// Hides a value from now on, in all that this process says.
///
/// # Errors
/// When it is too short to be hidden, or there are [`MAX`] secrets.
pub fn learn(secret: &str) -> Result<(), SecretRefused> {
    if secret.len() < SHORTEST {
        return Err(SecretRefused::TooShort);
    }
    // A panic in here cannot leave half a secret: what was learnt stays known.
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

/// The text with every secret in it replaced.
pub fn secrets(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    replace(&known.1, Cow::Borrowed(text))
}

/// The text with each of these replaced.
pub(super) fn replace<'t>(forms: &[String], text: Cow<'t, str>) -> Cow<'t, str> {
    forms.iter().fold(text, |text, form| {
        if text.contains(form.as_str()) {
            Cow::Owned(text.replace(form.as_str(), MASK))
        } else {
            text
        }
    })
}

/// A value as requests may write it.
pub(super) fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), json(secret), html(secret)];
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let in_form = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    // What may stand in a URL is left alone there.
    let in_url = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    for plain in [&unreserved as &dyn Fn(u8) -> bool, &in_form, &in_url] {
        let encoded = percent(secret, plain);
        forms.push(encoded.replace("%20", "+"));
        forms.push(encoded.to_lowercase());
        forms.push(encoded);
    }
    // In base64 a text looks different at each of three alignments; its edges are mixed with what
    // stands beside it, the rest is its own.
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
    fn a_secret_is_hidden_in_every_form() {
        let secret = "s3cr\"t \\/+&pàss";
        assert_eq!(secrets("nothing learnt"), "nothing learnt");
        assert_eq!((learn(secret), learn(secret)), (Ok(()), Ok(())));
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
            let hidden = secrets(&text);
            assert!(hidden.contains(MASK), "{text} → {hidden}");
            assert!(hidden.len() < text.len() - 8, "{text} → {hidden}");
        }
        assert_eq!(learn("abc"), Err(SecretRefused::TooShort));
        assert_eq!(secrets("abc"), "abc");
    }
}
