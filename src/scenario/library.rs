//! Reads files: the scenario, and the archetypes it names.
//!
//! `compile` looks up archetypes by name.
//! Invariant: at most 4 MiB of a file are read.

use std::path::{Path, PathBuf};

use crate::files::{FileRole, Files};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::node::parse;
use crate::scenario::syntax::{files, include, source};
use crate::suggest::nearest;

/// The archetypes built into the program.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("api-client", include_str!("../../archetypes/api-client.yaml")),
    ("browser", include_str!("../../archetypes/browser.yaml")),
    ("buyer", include_str!("../../archetypes/buyer.yaml")),
    ("crawler", include_str!("../../archetypes/crawler.yaml")),
    ("graphql-ws", include_str!("../../archetypes/graphql-ws.yaml")),
    ("impatient", include_str!("../../archetypes/impatient.yaml")),
    ("mobile", include_str!("../../archetypes/mobile.yaml")),
    ("poller", include_str!("../../archetypes/poller.yaml")),
    ("socket-io", include_str!("../../archetypes/socket-io.yaml")),
    ("stomp", include_str!("../../archetypes/stomp.yaml")),
];

/// Folders to search for archetypes, in this order, before the built-in ones.
#[derive(Debug)]
pub(crate) struct ArchetypeLibrary {
    folders: Vec<PathBuf>,
}

/// A parsed file.
#[derive(Debug)]
pub(crate) struct SourceDocument {
    pub node: Node,
    pub name: String,
}

impl ArchetypeLibrary {
    /// Builds the search path for a scenario at `path`: its folder, `archetypes/` in it, and
    /// `archetypes/` in the working directory.
    pub(crate) fn beside(path: &Path) -> Self {
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
    pub(crate) fn archetype(
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
                if diagnostics.files.is_file(&path) {
                    if !files::check_readable(diagnostics, span, &path) {
                        return None;
                    }
                    return read(diagnostics, &path, FileRole::Scenario, Some(span));
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
            known.extend(names_in(&diagnostics.files, folder));
        }
        known.sort();
        known.dedup();
        let suggestion = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        let looked: Vec<String> = self
            .folders
            .iter()
            .map(|folder| format!("`{}`", folder.join(format!("{name}.yaml")).display()))
            .collect();
        let mistake = diagnostics.mistake(span, format!("unknown archetype `{name}`"));
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
fn names_in(files: &Files, folder: &Path) -> Vec<String> {
    files
        .names_in(folder, 100)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"))
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .collect()
}

/// Reads and parses a file; `span` is the place that names it, if any.
pub(crate) fn read(
    diagnostics: &mut Diagnostics,
    path: &Path,
    role: FileRole,
    span: Option<SourceSpan>,
) -> Option<SourceDocument> {
    let shown = path.display().to_string();
    match source::contents(&diagnostics.files, path, role) {
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

/// Opens and parses the bytes of a file.
pub(crate) fn decode(
    diagnostics: &mut Diagnostics,
    shown: String,
    bytes: Vec<u8>,
) -> Option<SourceDocument> {
    let text = source::text(diagnostics, &shown, bytes)?;
    document(diagnostics, shown, text)
}

/// Opens and parses a text under a name.
pub(crate) fn document(
    diagnostics: &mut Diagnostics,
    name: String,
    text: String,
) -> Option<SourceDocument> {
    let (source, text) = source::open(diagnostics, &name, text);
    let mut node = parse(diagnostics, source, &text)?;
    include::expand(diagnostics, &name, &mut node);
    Some(SourceDocument { node, name })
}
