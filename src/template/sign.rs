//! Signatures that APIs require: HMAC (RFC 2104) and JSON Web Tokens (RFC 7515, 7519).
//!
//! `functions` offers both as functions, the first as a filter too.
//! Invariant: a key never appears in a message; the same text and key give the same signature,
//! except for ES256, whose signatures are partly random.

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use minijinja::value::ValueKind;
use minijinja::{Error, Value};
use ring::hmac;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;

use super::codec::{json, text};
use super::error::invalid;
use super::work::charge;
use crate::hex::hex;

/// Maximum signing keys that a thread caches, so that each is parsed once.
const MAX_CACHED_KEYS: usize = 16;

/// The work of a signature with a key pair, in units: about that of hashing as many bytes.
const SIGNING_WORK: u64 = 64 << 10;

thread_local! {
    /// The keys used last by their PEM texts, the newest last.
    static PARSED: RefCell<Vec<(String, Arc<dyn SigningKey>)>> = const { RefCell::new(Vec::new()) };
}

/// Returns the HMAC of a value's text. `algorithm` is sha256 or sha1, `form` hex, base64 or
/// base64url, `key_encoding` the encoding of the key: text or base64.
pub(super) fn hmac(
    value: &Value,
    key: &Value,
    algorithm: Option<&str>,
    form: Option<&str>,
    key_encoding: Option<&str>,
) -> Result<String, Error> {
    let algorithm = match algorithm.unwrap_or("sha256") {
        "sha256" => hmac::HMAC_SHA256,
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        other => {
            return Err(invalid(format!("hmac() supports \"sha256\" and \"sha1\", not {other:?}")));
        }
    };
    let key = hmac::Key::new(algorithm, &secret(key, key_encoding)?);
    let tag = hmac::sign(&key, &text(value)?);
    Ok(match form.unwrap_or("hex") {
        "hex" => hex(tag.as_ref()),
        "base64" => STANDARD.encode(tag),
        "base64url" => URL_SAFE_NO_PAD.encode(tag),
        other => {
            let known = "\"hex\", \"base64\" and \"base64url\"";
            return Err(invalid(format!("hmac() supports {known}, not {other:?}")));
        }
    })
}

/// Returns a signed token with these claims. `key` is a text for HS256, and a private key in PEM
/// for RS256 and ES256; `header` holds additional header fields, if it is defined.
pub(super) fn jwt(
    claims: &Value,
    key: &Value,
    algorithm: Option<&str>,
    header: &Value,
) -> Result<String, Error> {
    let algorithm = algorithm.unwrap_or("HS256");
    if claims.kind() != ValueKind::Map {
        return Err(invalid("jwt() takes claims such as {\"sub\": user.number}"));
    }
    let mut parts = vec![
        (Value::from("alg"), Value::from(algorithm)),
        (Value::from("typ"), Value::from("JWT")),
    ];
    if !header.is_undefined() {
        if header.kind() != ValueKind::Map {
            return Err(invalid("the header of jwt() is a map such as {\"kid\": \"1\"}"));
        }
        for name in header.try_iter()? {
            if name.as_str() == Some("alg") {
                return Err(invalid("jwt() takes `alg` as its third argument"));
            }
            parts.retain(|(known, _)| *known != name);
            parts.push((name.clone(), header.get_item(&name)?));
        }
    }
    let header = json(&Value::from_pairs(parts))?;
    let signed =
        [header, json(claims)?].map(|part| URL_SAFE_NO_PAD.encode(part.as_bytes())).join(".");
    let signature = match algorithm {
        "HS256" => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret(key, None)?);
            hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        }
        "RS256" => sign(key, SignatureScheme::RSA_PKCS1_SHA256, signed.as_bytes())?,
        "ES256" => {
            let signature = sign(key, SignatureScheme::ECDSA_NISTP256_SHA256, signed.as_bytes())?;
            fixed_length(&signature).ok_or_else(|| invalid("jwt() cannot sign"))?
        }
        other => {
            let known = "\"HS256\", \"RS256\" and \"ES256\"";
            return Err(invalid(format!("jwt() supports {known}, not {other:?}")));
        }
    };
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Decodes a secret key.
fn secret(key: &Value, form: Option<&str>) -> Result<Vec<u8>, Error> {
    let text = text(key)?;
    match form.unwrap_or("text") {
        "text" => Ok(text),
        "base64" => {
            let text = text.trim_ascii();
            STANDARD.decode(text).map_err(|_| invalid("the key of hmac() is not base64"))
        }
        other => Err(invalid(format!("a key is \"text\" or \"base64\", not {other:?}"))),
    }
}

/// Signs with a private key.
fn sign(key: &Value, scheme: SignatureScheme, signed: &[u8]) -> Result<Vec<u8>, Error> {
    charge(SIGNING_WORK)?;
    let key = parse_key(key.as_str().unwrap_or_default())?;
    let signer = key.choose_scheme(&[scheme]);
    let signer = signer.ok_or_else(|| {
        let required = if scheme == SignatureScheme::RSA_PKCS1_SHA256 { "RSA" } else { "P-256" };
        invalid(format!("jwt() needs a key of {required} for that algorithm"))
    })?;
    signer.sign(signed).map_err(|_| invalid("jwt() cannot sign"))
}

/// Parses the private key of a PEM text, or takes it from the cache.
fn parse_key(pem: &str) -> Result<Arc<dyn SigningKey>, Error> {
    let known = PARSED.with_borrow(|keys| {
        keys.iter().find(|(text, _)| text == pem).map(|(_, key)| Arc::clone(key))
    });
    if let Some(key) = known {
        return Ok(key);
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .ok()
        .and_then(|key| any_supported_type(&key).ok())
        .ok_or_else(|| invalid("jwt() takes a private key of RSA or P-256 in PEM"))?;
    PARSED.with_borrow_mut(|keys| {
        if keys.len() == MAX_CACHED_KEYS {
            keys.remove(0);
        }
        keys.push((pem.to_owned(), Arc::clone(&key)));
    });
    Ok(key)
}

/// Converts a P-256 signature from ASN.1 to two numbers of 32 bytes (RFC 7518 §3.4).
fn fixed_length(der: &[u8]) -> Option<Vec<u8>> {
    let (&[0x30, length], mut rest) = der.split_first_chunk::<2>()? else { return None };
    if usize::from(length) != rest.len() {
        return None;
    }
    let mut out = Vec::with_capacity(64);
    for _ in 0..2 {
        let (&[0x02, length], after) = rest.split_first_chunk::<2>()? else { return None };
        let (number, after) = after.split_at_checked(usize::from(length))?;
        // A leading zero keeps a number positive.
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        out.extend(std::iter::repeat_n(0, 32usize.checked_sub(number.len())?));
        out.extend_from_slice(number);
        rest = after;
    }
    rest.is_empty().then_some(out)
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
    use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::super::work::{MAX_WORK, within};
    use super::*;

    fn hmac_of(text: &str, key: &str, algorithm: &str, form: &str) -> String {
        hmac(&text.into(), &key.into(), Some(algorithm), Some(form), None).unwrap()
    }

    /// Test cases of RFC 2202 §3 and RFC 4231 §4 whose keys are texts.
    #[test]
    fn hmacs_match_the_rfcs() {
        let text = "what do ya want for nothing?";
        for (algorithm, expected) in [
            ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ] {
            assert_eq!(hmac_of(text, "Jefe", algorithm, "hex"), expected);
        }
        // RFC 4231 §4.2: 20 bytes of 0x0b.
        let key = Value::from("CwsLCwsLCwsLCwsLCwsLCwsLCws=");
        let made = hmac(&"Hi There".into(), &key, None, None, Some("base64")).unwrap();
        assert_eq!(made, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_eq!(hmac_of(text, "Jefe", "sha1", "base64"), "7/zfauXrL6LSdBbV8YTfnCWafHk=");
        assert_eq!(hmac_of(text, "Jefe", "sha1", "base64url"), "7_zfauXrL6LSdBbV8YTfnCWafHk");
        for (algorithm, form, key_encoding) in
            [("sha512", "hex", "text"), ("sha1", "bin", "text"), ("sha1", "hex", "base64")]
        {
            let key = Value::from("geheim!");
            let error = hmac(&"x".into(), &key, Some(algorithm), Some(form), Some(key_encoding));
            assert!(!error.unwrap_err().to_string().contains("geheim"));
        }
    }

    /// Makes a token within the work of one evaluation.
    fn made(
        claims: &Value,
        key: &Value,
        algorithm: Option<&str>,
        header: &Value,
    ) -> Result<String, Error> {
        within(&mut MAX_WORK.clone(), || jwt(claims, key, algorithm, header))
    }

    fn claims() -> Value {
        Value::from_pairs([("sub", Value::from("u1")), ("iat", Value::from(1_516_239_022))])
    }

    fn parts(token: &str) -> (String, Vec<u8>, String) {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let head = signed.split('.').next().unwrap();
        let head = String::from_utf8(URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
        (head, URL_SAFE_NO_PAD.decode(signature).unwrap(), signed.to_owned())
    }

    #[test]
    fn tokens_are_signed_by_their_algorithm() {
        let key = Value::from("secret");
        let token = made(&claims(), &key, None, &Value::UNDEFINED).unwrap();
        let (head, signature, signed) = parts(&token);
        assert_eq!(head, r#"{"alg":"HS256","typ":"JWT"}"#);
        let body = signed.split('.').nth(1).unwrap();
        let body = String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, serde_json::json!({ "sub": "u1", "iat": 1_516_239_022 }));
        let known = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        hmac::verify(&known, signed.as_bytes(), &signature).unwrap();

        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = Value::from(pair.serialize_pem());
        let header = Value::from_pairs([("kid", Value::from("k1"))]);
        // ASN.1 omits leading zeros; in fifty signatures some have one.
        for _ in 0..50 {
            let token = made(&claims(), &key, Some("ES256"), &header).unwrap();
            let (head, signature, signed) = parts(&token);
            assert_eq!(head, r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#);
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key_raw());
            public.verify(signed.as_bytes(), &signature).unwrap();
        }
    }

    /// An RSA key of 2,048 bits, generated for this test.
    const RSA: &str = include_str!("../../tests/keys/rsa.pem");

    #[test]
    fn rsa_signatures_are_deterministic() {
        let key = Value::from(RSA);
        let token = made(&claims(), &key, Some("RS256"), &Value::UNDEFINED).unwrap();
        assert_eq!(token, made(&claims(), &key, Some("RS256"), &Value::UNDEFINED).unwrap());
        let (_, signature, signed) = parts(&token);
        let der = PrivateKeyDer::from_pem_slice(RSA.as_bytes()).unwrap();
        let pair = ring::signature::RsaKeyPair::from_pkcs8(der.secret_der()).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref());
        public.verify(signed.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn errors_do_not_contain_the_key() {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        for (claims, key, algorithm, expected) in [
            (claims(), "geheim", "RS256", "private key of RSA or P-256 in PEM"),
            (claims(), pair.as_str(), "RS256", "needs a key of RSA"),
            (claims(), RSA, "ES256", "needs a key of P-256"),
            (claims(), "geheim", "HS512", "supports \"HS256\""),
            (Value::from("x"), "geheim", "HS256", "takes claims such as"),
        ] {
            let error = made(&claims, &key.into(), Some(algorithm), &Value::UNDEFINED)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn asn1_numbers_are_padded() {
        let der = [&[0x30, 0x08, 0x02, 0x02, 0x00, 0x80][..], &[0x02, 0x02, 0x01, 0x02]].concat();
        let raw = fixed_length(&der).unwrap();
        assert_eq!(raw.len(), 64);
        assert_eq!((raw[31], &raw[62..]), (0x80, &[1, 2][..]));
        for cut in 0..der.len() {
            assert!(fixed_length(&der[..cut]).is_none());
        }
    }
}
