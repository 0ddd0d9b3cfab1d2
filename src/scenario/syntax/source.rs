//! Reads and opens the files that a scenario names.
//!
//! `library` and `include` parse what it opens.
//! Invariant: at most 4 MiB of a file are read.

use std::io::Read;
use std::path::Path;

use crate::files::{FileRole, Files};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::suggest::nearest_path;

/// Maximum file size, bytes.
pub(crate) const MAX_FILE: u64 = 4 << 20;

/// Returns the bytes of a file that is named at `span`.
pub(crate) fn bytes(
    diagnostics: &mut Diagnostics,
    path: &Path,
    role: FileRole,
    span: SourceSpan,
) -> Option<Vec<u8>> {
    match contents(&diagnostics.files, path, role) {
        Ok(bytes) => Some(bytes),
        Err((message, _)) => {
            diagnostics
                .mistake(span, format!("{}: {message}", path.display()))
                .help("paths are relative to the scenario");
            None
        }
    }
}

/// A message, and advice if there is any.
pub(crate) type ReadFailure = (String, Option<String>);

/// Reads a file of at most 4 MiB; the error is a message with advice.
pub(crate) fn contents(files: &Files, path: &Path, role: FileRole) -> Result<Vec<u8>, ReadFailure> {
    let opened = files.open(path, role);
    let failed = |error: std::io::Error| (format!("this file cannot be read: {error}"), None);
    let file = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound if files.are_bundled() => {
            ("file not found".to_owned(), files.advice(path))
        }
        std::io::ErrorKind::NotFound => {
            let is_yaml = |path: &Path| {
                path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
            };
            let help = match nearest_path(path, &["scenarios"], is_yaml) {
                Some(near) => format!("did you mean `{}`?", near.display()),
                None => "paths begin at the working directory; the shipped scenarios are in the \
                         folder `scenarios` of Manada's source folder"
                    .into(),
            };
            ("file not found".to_owned(), Some(help))
        }
        _ => failed(error),
    })?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(("this is a folder".to_owned(), Some("name a file in it".to_owned())));
    }
    if metadata.len() > MAX_FILE {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // A pipe has no length, so the limit applies to the read as well.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn too_large(bytes: u64) -> ReadFailure {
    let size = crate::units::show_bytes(bytes);
    (
        format!("this file is too large for a scenario: {size} (limit: 4 MiB)"),
        Some("put data into files of its own (`data:`)".to_owned()),
    )
}

/// Decodes the bytes of a file as text.
pub(crate) fn text(diagnostics: &mut Diagnostics, shown: &str, bytes: Vec<u8>) -> Option<String> {
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = diagnostics.open(shown.to_owned(), text);
            diagnostics
                .mistake(SourceSpan { source, start: at, end: at + 1 }, "this is not UTF-8 text")
                .expected("a YAML file in UTF-8");
            None
        }
    }
}

/// Opens a text under a name; returns its number and the text without a byte order mark.
pub(crate) fn open(diagnostics: &mut Diagnostics, name: &str, text: String) -> (usize, String) {
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    (diagnostics.open(name.to_owned(), text.clone()), text)
}
