//! Reads files: the scenario, and the archetypes it names.
//!
//! `compile` looks up archetypes by name.
//! Invariant: at most 4 MiB of a file are read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::diagnostics::{Diagnostics, SourceSpan, nearest};
use super::node::{Node, parse};
use super::{files, include};

/// Maximum file size, bytes.
pub(super) const MAX_FILE: u64 = 4 << 20;

/// The archetypes built into the program.
pub(super) const BUILT_IN: &[(&str, &str)] = &[
    ("api-client", include_str!("../../archetypes/api-client.yaml")),
    ("browser", include_str!("../../archetypes/browser.yaml")),
    ("buyer", include_str!("../../archetypes/buyer.yaml")),
    ("crawler", include_str!("../../archetypes/crawler.yaml")),
    ("impatient", include_str!("../../archetypes/impatient.yaml")),
    ("mobile", include_str!("../../archetypes/mobile.yaml")),
    ("poller", include_str!("../../archetypes/poller.yaml")),
];

/// Folders to search for archetypes, in this order, before the built-in ones.
#[derive(Debug)]
pub(super) struct ArchetypeLibrary {
    folders: Vec<PathBuf>,
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct SourceDocument {
    pub node: Node,
    pub name: String,
}

impl ArchetypeLibrary {
    /// Builds the search path for a scenario at `path`: its folder, `archetypes/` in it, and
    /// `archetypes/` in the working directory.
    pub(super) fn beside(path: &Path) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut folders = vec![folder.clone(), folder.join("archetypes")];
        let working = PathBuf::from("archetypes");
        if !folders.contains(&working) {
            folders.push(working);
        }
        Self { folders }
    }

    /// Returns the archetype of this name; `inline` are the names that the scenario defines
    /// itself, and `span` is the place of the name.
    pub(super) fn archetype(
        &self,
        diagnostics: &mut Diagnostics,
        name: &str,
        span: SourceSpan,
        inline: &[&str],
    ) -> Option<SourceDocument> {
        for folder in &self.folders {
            for ending in ["yaml", "yml"] {
                let path = folder.join(format!("{name}.{ending}"));
                // The found file may be the scenario itself, if it has the archetype's name.
                if path.is_file() {
                    if !files::check_readable(diagnostics, span, &path) {
                        return None;
                    }
                    return read(diagnostics, &path, Some(span));
                }
            }
        }
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            let shown = format!("{name}.yaml (built in)");
            return document(diagnostics, shown, (*text).to_owned());
        }
        self.unknown(diagnostics, name, span, inline);
        None
    }

    fn unknown(
        &self,
        diagnostics: &mut Diagnostics,
        name: &str,
        span: SourceSpan,
        inline: &[&str],
    ) {
        let mut known: Vec<String> = inline.iter().map(|&name| name.to_owned()).collect();
        known.extend(BUILT_IN.iter().map(|(name, _)| (*name).to_owned()));
        for folder in &self.folders[1..] {
            known.extend(names_in(folder));
        }
        known.sort();
        known.dedup();
        let suggestion = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        let looked: Vec<String> = self
            .folders
            .iter()
            .map(|folder| format!("`{}`", folder.join(format!("{name}.yaml")).display()))
            .collect();
        let mistake = diagnostics.mistake(span, format!("there is no archetype `{name}`"));
        mistake.expected(format!("one of {}", known.join(", ")));
        if let Some(suggestion) = suggestion {
            mistake.help(format!("did you mean `{suggestion}`?"));
        }
        mistake.help(format!(
            "write it inline under `archetypes:`, or as a file: {}",
            looked.join(", ")
        ));
    }
}

/// Returns the names of archetypes in a folder, from at most 100 entries, because they are only
/// used in a message.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .take(100)
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"))
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .collect()
}

/// Reads and parses a file; `span` is the place that names it, if any.
pub(super) fn read(
    diagnostics: &mut Diagnostics,
    path: &Path,
    span: Option<SourceSpan>,
) -> Option<SourceDocument> {
    let shown = path.display().to_string();
    match contents(path) {
        Ok(bytes) => decode(diagnostics, shown, bytes),
        Err((message, help)) => {
            let mistake = match span {
                Some(span) => diagnostics.mistake(span, format!("{shown}: {message}")),
                None => diagnostics.global_mistake(shown, message),
            };
            if let Some(help) = help {
                mistake.help(help);
            }
            None
        }
    }
}

/// Returns the bytes of a file that is named at `span`.
pub(super) fn bytes(
    diagnostics: &mut Diagnostics,
    path: &Path,
    span: SourceSpan,
) -> Option<Vec<u8>> {
    match contents(path) {
        Ok(bytes) => Some(bytes),
        Err((message, _)) => {
            diagnostics
                .mistake(span, format!("{}: {message}", path.display()))
                .help("files are looked up beside the scenario");
            None
        }
    }
}

type ReadFailure = (String, Option<String>);

fn contents(path: &Path) -> Result<Vec<u8>, ReadFailure> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => (
            "there is no such file".to_owned(),
            Some("a path from the working directory, such as scenarios/quickstart.yaml".into()),
        ),
        _ => (format!("this file cannot be read: {error}"), None),
    })?;
    if metadata.is_dir() {
        return Err((
            "this is a folder".to_owned(),
            Some("name one of the files in it".to_owned()),
        ));
    }
    if metadata.len() > MAX_FILE {
        return Err(too_large(metadata.len()));
    }
    let failed = |error: std::io::Error| (format!("this file cannot be read: {error}"), None);
    let mut bytes = Vec::new();
    // A pipe has no length, so the limit applies to the read as well.
    let mut file = File::open(path).map_err(failed)?.take(MAX_FILE + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn too_large(bytes: u64) -> ReadFailure {
    let size = crate::units::show_bytes(bytes);
    (
        format!("this file is too large for a scenario: {size}, and at most 4 MiB are read"),
        Some("is it the scenario? data belongs in files of its own".to_owned()),
    )
}

/// Opens and parses the bytes of a file.
pub(super) fn decode(
    diagnostics: &mut Diagnostics,
    shown: String,
    bytes: Vec<u8>,
) -> Option<SourceDocument> {
    let text = text(diagnostics, &shown, bytes)?;
    document(diagnostics, shown, text)
}

/// Decodes the bytes of a file as text.
pub(super) fn text(diagnostics: &mut Diagnostics, shown: &str, bytes: Vec<u8>) -> Option<String> {
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = diagnostics.open(shown.to_owned(), text);
            diagnostics
                .mistake(SourceSpan { source, start: at, end: at + 1 }, "this is not UTF-8 text")
                .expected("a YAML file saved as UTF-8");
            None
        }
    }
}

/// Opens and parses a text under a name.
pub(super) fn document(
    diagnostics: &mut Diagnostics,
    name: String,
    text: String,
) -> Option<SourceDocument> {
    let (source, text) = open(diagnostics, &name, text);
    let mut node = parse(diagnostics, source, &text)?;
    include::expand(diagnostics, &name, &mut node);
    Some(SourceDocument { node, name })
}

/// Opens a text under a name; returns its number and the text without a byte order mark.
pub(super) fn open(diagnostics: &mut Diagnostics, name: &str, text: String) -> (usize, String) {
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    (diagnostics.open(name.to_owned(), text.clone()), text)
}
