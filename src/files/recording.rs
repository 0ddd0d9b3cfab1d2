//! Notes which files a compilation reads, and makes a bundle of them.
//!
//! [`FileRecorder`](super::FileRecorder) keeps it.
//! Invariant: a bundle has exactly the content that was compiled: a file that changes between is an
//! error.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::bundle::Bundle;
use super::error::BundleError;
use super::hash::Sha256Hash;
use super::manifest::{BundleFile, BundleManifest, MAX_BUNDLE, MAX_FILES};
use super::role::FileRole;
use super::variable::VariableCheck;

/// A word in the first and the last line of all private keys in PEM (RFC 7468).
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Recording {
    files: BTreeMap<PathBuf, RecordedFile>,
    has_standard_input: bool,
}

#[derive(Clone, Debug)]
struct RecordedFile {
    real: PathBuf,
    role: FileRole,
    content: RecordedContent,
}

#[derive(Clone, Debug, PartialEq)]
enum RecordedContent {
    Read(Sha256Hash, u64),
    /// Read twice, with two contents.
    Changed,
    NotRegular,
    StaysHere,
}

impl Recording {
    /// Opens a file and notes its content.
    pub(super) fn open(&mut self, path: &Path, role: FileRole) -> io::Result<File> {
        let mut file = File::open(path)?;
        let content = if !role.travels() {
            RecordedContent::StaysHere
        } else if file.metadata()?.is_file() {
            let (sha256, length) = hash(&mut file)?;
            file.rewind()?;
            RecordedContent::Read(sha256, length)
        } else {
            RecordedContent::NotRegular
        };
        let real = path.canonicalize()?;
        let recorded = RecordedFile { real, role, content: content.clone() };
        let known = self.files.entry(path.to_owned()).or_insert(recorded);
        if known.content != content {
            known.content = RecordedContent::Changed;
        }
        Ok(file)
    }

    /// Makes a bundle of the files; see [`FileRecorder::bundle`](super::FileRecorder::bundle).
    pub(super) fn bundle(
        &self,
        variables: BTreeMap<String, VariableCheck>,
    ) -> Result<Bundle, BundleError> {
        if self.has_standard_input {
            return Err(BundleError::StandardInput);
        }
        let mut manifest = BundleManifest { files: Vec::new(), not_sent: Vec::new(), variables };
        for (path, file) in &self.files {
            let path = text(path)?;
            match file.content {
                RecordedContent::Read(sha256, length) => {
                    let (real, role) = (text(&file.real)?, file.role);
                    manifest.files.push(BundleFile { path, real, role, sha256, length });
                }
                RecordedContent::StaysHere => manifest.not_sent.push(path),
                RecordedContent::Changed => return Err(BundleError::Changed(path)),
                RecordedContent::NotRegular => return Err(BundleError::NotRegular(path)),
            }
        }
        check_size(&manifest.files)?;
        let mut contents = BTreeMap::new();
        for file in &manifest.files {
            let bytes = content(file)?;
            contents.insert(file.sha256, bytes);
        }
        Ok(Bundle { manifest, contents })
    }

    /// The files, as they were named.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files.keys().cloned().collect()
    }

    /// Notes that standard input was read.
    pub(super) fn read_standard_input(&mut self) {
        self.has_standard_input = true;
    }
}

/// Checks the number and the total length of files; one content counts once.
pub(super) fn check_size(files: &[BundleFile]) -> Result<(), BundleError> {
    if files.len() > MAX_FILES {
        return Err(BundleError::TooMany { count: files.len(), most: MAX_FILES });
    }
    let mut contents: Vec<&BundleFile> = files.iter().collect();
    contents.sort_by_key(|file| (u64::MAX - file.length, file.sha256));
    contents.dedup_by_key(|file| file.sha256);
    let length = contents.iter().map(|file| file.length).sum();
    if length <= MAX_BUNDLE {
        return Ok(());
    }
    let largest = contents.iter().take(3).map(|file| (file.path.clone(), file.length)).collect();
    Err(BundleError::TooLarge { length, most: MAX_BUNDLE, largest })
}

/// Reads a file again, and checks that it may be sent.
fn content(file: &BundleFile) -> Result<Vec<u8>, BundleError> {
    let unreadable = |error| BundleError::Unreadable { path: file.path.clone(), error };
    let mut bytes = Vec::new();
    let opened = File::open(&file.path).map_err(unreadable)?;
    opened.take(file.length + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if Sha256Hash::of(&bytes) != file.sha256 {
        return Err(BundleError::Changed(file.path.clone()));
    }
    // Bodies and rows are content for the target, whatever is in them.
    let is_ours =
        matches!(file.role, FileRole::Scenario | FileRole::Limits | FileRole::Certificates);
    if is_ours && memchr::memmem::find(&bytes, PRIVATE_KEY).is_some() {
        return Err(BundleError::PrivateKey(file.path.clone()));
    }
    Ok(bytes)
}

/// Returns the hash and the length of the rest of a file; a longer one than fits a bundle is read
/// up to there.
fn hash(file: &mut File) -> io::Result<(Sha256Hash, u64)> {
    let (mut hasher, mut buffer, mut length) = (Sha256::new(), vec![0; 1 << 16], 0);
    while length <= MAX_BUNDLE {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
    Ok((Sha256Hash(hasher.finalize().into()), length))
}

fn text(path: &Path) -> Result<String, BundleError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| BundleError::NotText(path.display().to_string()))
}
