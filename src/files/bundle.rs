//! A bundle: the files of a scenario as one value, and as bytes.
//!
//! `recording` makes it, a bus carries it, an agent unpacks it.
//! Invariant: bytes from a bus are hostile: every length is bounded before it is read, and every
//! content has the hash under which it is named.

use std::collections::BTreeMap;

use super::error::BundleError;
use super::hash::Sha256Hash;
use super::manifest::{BundleFile, BundleManifest, MAX_FILES};

/// Maximum length of the manifest, bytes.
const MAX_MANIFEST: usize = 16 << 20;

/// The first bytes; the number is the version of the format.
const MAGIC: &[u8] = b"manada-bundle 2\n";

/// The files of a scenario, with their contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What is in it.
    pub manifest: BundleManifest,
    pub(super) contents: BTreeMap<Sha256Hash, Vec<u8>>,
}

impl Bundle {
    /// Packs it.
    ///
    /// # Errors
    /// If the manifest exceeds its bound.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let manifest = serde_json::to_vec(&self.manifest).unwrap_or_default();
        if manifest.is_empty() || manifest.len() > MAX_MANIFEST {
            let count = self.manifest.files.len();
            return Err(BundleError::TooMany { count, most: MAX_FILES });
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend((manifest.len() as u32).to_le_bytes());
        bytes.extend(manifest);
        for file in self.manifest.contents() {
            bytes.extend(&self.contents[&file.sha256]);
        }
        Ok(bytes)
    }

    /// Unpacks what [`to_bytes`](Self::to_bytes) packed.
    ///
    /// # Errors
    /// If the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let damaged = BundleError::Damaged;
        let rest = bytes.strip_prefix(MAGIC).ok_or(damaged("another format"))?;
        let (length, rest) = rest.split_first_chunk().ok_or(damaged("cut off"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_MANIFEST {
            return Err(damaged("larger than the bound"));
        }
        let (manifest, mut rest) = rest.split_at_checked(length).ok_or(damaged("cut off"))?;
        let manifest: BundleManifest =
            serde_json::from_slice(manifest).map_err(|_| damaged("no manifest"))?;
        manifest.check()?;
        let mut contents = BTreeMap::new();
        for file in manifest.contents() {
            let length = usize::try_from(file.length).map_err(|_| damaged("cut off"))?;
            let (content, after) = rest.split_at_checked(length).ok_or(damaged("cut off"))?;
            if Sha256Hash::of(content) != file.sha256 {
                return Err(damaged("a content with another hash"));
            }
            contents.insert(file.sha256, content.to_vec());
            rest = after;
        }
        if !rest.is_empty() {
            return Err(damaged("bytes after its end"));
        }
        let has_length = |file: &BundleFile| contents[&file.sha256].len() as u64 == file.length;
        if !manifest.files.iter().all(has_length) {
            return Err(damaged("a file of another length"));
        }
        Ok(Self { manifest, contents })
    }
}
