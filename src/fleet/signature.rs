//! Signatures of plans (Ed25519): an agent can demand that what it runs was signed with a key that
//! is not on the bus.
//!
//! `agents` signs what it writes, `agent` verifies what it has read, before it unpacks any of it;
//! `cli` makes keys.
//! Invariant: a signature covers the id of the run and the setup, and thereby the files of the
//! scenario, which the setup names by their hash. It never fits another run.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// What begins a signed setup; then come the key, the signature and the setup.
const MAGIC: &[u8] = b"manada signed ed25519 1\n";

/// What begins the message that is signed: no other signature is one of a plan.
const DOMAIN: &[u8] = b"manada plan 1\n";

const PUBLIC: usize = 32;
const SIGNATURE: usize = 64;

/// The longest file of a key, bytes.
const MAX_FILE: u64 = 64 << 10;

/// How texts of a public key begin.
const PREFIX: &str = "ed25519:";

/// A key that signs plans.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

/// A key whose plans an agent runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrustedKey([u8; PUBLIC]);

/// Why a file is no key, or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the key {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It has something else.
    #[error(
        "{} is no Ed25519 key; expected PKCS#8 in PEM or DER, as `manada agent --new-key FILE` or \
         `openssl genpkey -algorithm ed25519 -out FILE` writes it",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write the key {}: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The system gave no randomness.
    #[error("cannot make a key: the system gave no random bytes")]
    NoRandomness,
}

/// Why an agent does not trust a plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It has no signature.
    #[error(
        "the plan is not signed, and this agent runs only plans that are signed with a key of \
         --trust-key; start the run with `--sign-key FILE`"
    )]
    Unsigned,
    /// Another key signed it.
    #[error(
        "the plan is signed with {0}, and this agent trusts other keys; sign it with one of those, \
         or add `--trust-key {0}`"
    )]
    OtherKey(TrustedKey),
    /// The signature is not of this plan.
    #[error(
        "the plan is not the one that was signed with {0}: it, or the id of its run, was changed \
         on the bus; find out which program wrote there"
    )]
    Changed(TrustedKey),
}

impl SigningKey {
    /// Reads a key from a file: PKCS#8 in PEM or DER.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |error| KeyError::Unreadable { path: path.to_owned(), error };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
        let der = from_pem(&bytes).unwrap_or(bytes);
        // OpenSSL writes keys without their public half.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
        let pair = pair.map_err(|_| KeyError::NoKey { path: path.to_owned() })?;
        Ok(Self(pair.into()))
    }

    /// Makes a key, and writes it to a new file that only this user can read.
    ///
    /// # Errors
    /// If there is such a file, or it cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| KeyError::NoRandomness)?;
        let lines = STANDARD.encode(made.as_ref());
        let lines: Vec<&str> =
            lines.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
        let text = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| KeyError::Unwritable { path: path.to_owned(), error })?;
        Self::read(path)
    }

    /// Its public half, which agents trust.
    pub fn public(&self) -> TrustedKey {
        let mut public = [0; PUBLIC];
        public.copy_from_slice(self.0.public_key().as_ref());
        TrustedKey(public)
    }

    /// Signs the setup of a run.
    pub(super) fn sign(&self, run: &str, setup: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&message(run, setup));
        [MAGIC, &self.public().0, signature.as_ref(), setup].concat()
    }
}

/// The content of the first block of a PEM file; `None` if it is no PEM.
fn from_pem(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (inner, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    STANDARD.decode(inner.split_whitespace().collect::<String>()).ok()
}

/// What is signed. The id has no line end, so no two pairs have one message.
fn message(run: &str, setup: &[u8]) -> Vec<u8> {
    [DOMAIN, run.as_bytes(), b"\n", setup].concat()
}

/// Returns the setup without its signature, whether it has one or not.
pub(super) fn without_signature(value: &[u8]) -> &[u8] {
    split(value).map_or(value, |(_, _, setup)| setup)
}

/// Verifies the setup of a run, by the keys that are trusted; without keys everything is.
///
/// # Errors
/// Why it is not trusted.
pub(super) fn verify(value: &[u8], run: &str, trusted: &[TrustedKey]) -> Result<(), Distrust> {
    if trusted.is_empty() {
        return Ok(());
    }
    let (key, signature, setup) = split(value).ok_or(Distrust::Unsigned)?;
    if !trusted.contains(&key) {
        return Err(Distrust::OtherKey(key));
    }
    let public = UnparsedPublicKey::new(&ED25519, key.0);
    public.verify(&message(run, setup), signature).map_err(|_| Distrust::Changed(key))
}

/// Key, signature and setup of a signed value; `None` if it is not signed.
fn split(value: &[u8]) -> Option<(TrustedKey, &[u8], &[u8])> {
    let rest = value.strip_prefix(MAGIC)?;
    let (key, rest) = rest.split_first_chunk::<PUBLIC>()?;
    let (signature, setup) = rest.split_at_checked(SIGNATURE)?;
    Some((TrustedKey(*key), signature, setup))
}

impl FromStr for TrustedKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| {
            format!(
                "expected {PREFIX} and 32 bytes in base64, as `manada run --sign-key` prints it"
            )
        })
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_setup_of_the_run_that_a_trusted_key_signed_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] =
            ["one", "two"].map(|name| SigningKey::create(&folder.path().join(name)).unwrap());
        let signed = one.sign("r1", b"setup");
        let trusted = [two.public(), one.public()];
        assert_eq!(verify(&signed, "r1", &trusted), Ok(()));
        assert_eq!(without_signature(&signed), b"setup");
        assert_eq!(without_signature(b"setup"), b"setup");
        assert_eq!(verify(b"setup", "r1", &[]), Ok(()));
        assert_eq!(verify(b"setup", "r1", &trusted), Err(Distrust::Unsigned));
        let other = Distrust::OtherKey(one.public());
        assert_eq!(verify(&signed, "r1", &[two.public()]), Err(other));
        assert_eq!(verify(&signed, "r2", &trusted), Err(Distrust::Changed(one.public())));
        // Each changed byte: of the key, the signature, the setup.
        for at in MAGIC.len()..signed.len() {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            assert!(verify(&changed, "r1", &trusted).is_err(), "{at}");
        }
        for length in 0..signed.len() {
            assert!(verify(&signed[..length], "r1", &trusted).is_err(), "{length}");
        }
    }

    #[test]
    fn keys_are_read_as_they_were_written_and_nothing_else_is_one() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = SigningKey::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SigningKey::read(&path).unwrap().public(), made.public());
        let text = made.public().to_string();
        assert_eq!(text.parse(), Ok(made.public()));
        assert!(!format!("{made:?}").contains("PRIVATE"));
        // It is not replaced.
        assert!(matches!(SigningKey::create(&path), Err(KeyError::Unwritable { .. })));
        let der = from_pem(&std::fs::read(&path).unwrap()).unwrap();
        std::fs::write(folder.path().join("der"), der).unwrap();
        assert_eq!(SigningKey::read(&folder.path().join("der")).unwrap().public(), made.public());
        std::fs::write(folder.path().join("no"), "-----BEGIN PRIVATE KEY-----\nAAAA\n").unwrap();
        assert!(matches!(SigningKey::read(&folder.path().join("no")), Err(KeyError::NoKey { .. })));
        let none = SigningKey::read(&folder.path().join("none"));
        assert!(matches!(none, Err(KeyError::Unreadable { .. })));
        for text in ["", "ed25519:", "ed25519:AAAA", &text[8..], &format!("{text}A")] {
            assert!(text.parse::<TrustedKey>().is_err(), "{text}");
        }
    }
}
