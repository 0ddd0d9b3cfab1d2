//! `include:` inserts steps and archetypes from other files.
//!
//! `library` expands each file that it reads, before its keys are read.
//! Invariant: inserted nodes keep their own spans, so that a mistake shows the included file and
//! line; cycles and oversized expansions are mistakes.

use std::path::{Path, PathBuf};

use crate::files::FileRole;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::parse_value;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::{source, values};

/// Keys whose values contain no steps, even if they look like steps.
pub(crate) const KEYS_WITHOUT_STEPS: [&str; 7] =
    ["json", "form", "body", "multipart", "headers", "data", "vars"];

/// The key.
pub(crate) const KEY: &str = "include";

/// Maximum depth of nested includes.
const MAX_DEPTH: usize = 16;

/// Maximum number of included steps per file.
const MAX_INCLUDED: usize = 10_000;

/// The stack of files being included, and the number of steps that they added.
struct Includes {
    /// Resolved path and name in messages.
    open: Vec<(PathBuf, String)>,
    steps: usize,
}

/// Inserts the steps and archetypes of included files.
pub(crate) fn expand(diagnostics: &mut Diagnostics, name: &str, node: &mut Node) {
    let own = diagnostics.files.real_path(Path::new(name)).map(|real| (real, name.to_owned()));
    let mut includes = Includes { open: own.into_iter().collect(), steps: 0 };
    archetypes(diagnostics, node);
    includes.walk(diagnostics, node);
}

impl Includes {
    fn walk(&mut self, diagnostics: &mut Diagnostics, node: &mut Node) {
        match &mut node.kind {
            NodeKind::List(items) => {
                if items.iter().any(|item| included(item).is_some()) {
                    let old = std::mem::take(items);
                    for mut item in old {
                        match included(&item) {
                            Some((key, file, alone)) => {
                                let (key, file) = (key.span, file.clone());
                                items.extend(self.steps_of(diagnostics, key, &file, alone));
                            }
                            None => {
                                self.walk(diagnostics, &mut item);
                                items.push(item);
                            }
                        }
                    }
                } else {
                    items.iter_mut().for_each(|item| self.walk(diagnostics, item));
                }
            }
            NodeKind::Map(entries) => {
                let steps = |key: &NodeKey| !KEYS_WITHOUT_STEPS.contains(&key.name.as_str());
                let entries = entries.iter_mut().filter(|(key, _)| steps(key));
                entries.for_each(|(_, value)| self.walk(diagnostics, value));
            }
            _ => {}
        }
    }

    /// Returns the steps of a file, with those that it includes itself.
    fn steps_of(
        &mut self,
        diagnostics: &mut Diagnostics,
        key: SourceSpan,
        node: &Node,
        is_alone: bool,
    ) -> Vec<Node> {
        if !is_alone {
            diagnostics
                .mistake(key, "`include` must be the only key of its step")
                .help("move the other keys to the included file");
            return Vec::new();
        }
        let Some(path) = values::file(diagnostics, node) else { return Vec::new() };
        let real = diagnostics.files.real_path(&path).unwrap_or_else(|_| path.clone());
        let includes_itself = self.open.iter().any(|(open, _)| *open == real);
        if includes_itself || self.open.len() > MAX_DEPTH {
            let shown: Vec<String> =
                self.open.iter().map(|(_, shown)| format!("`{shown}`")).collect();
            let message = if includes_itself {
                "this file includes itself".to_owned()
            } else {
                format!("includes are nested more than {MAX_DEPTH} levels deep")
            };
            diagnostics
                .mistake(node.span, message)
                .help(format!("chain of includes: {}", shown.join(", ")));
            return Vec::new();
        }
        let expected = "a list of steps, such as `- get: /products`";
        let Some(mut steps) = parsed(diagnostics, &path, node.span) else { return Vec::new() };
        if !matches!(steps.kind, NodeKind::List(_)) {
            diagnostics.mistake(steps.span, "an included file has steps").expected(expected);
            return Vec::new();
        }
        self.open.push((real, path.display().to_string()));
        self.walk(diagnostics, &mut steps);
        self.open.pop();
        let NodeKind::List(items) = steps.kind else { return Vec::new() };
        self.steps += items.len();
        if self.steps > MAX_INCLUDED {
            let message = format!("included files have more than {MAX_INCLUDED} steps");
            diagnostics.mistake(node.span, message).expected("fewer or smaller includes");
            return Vec::new();
        }
        items
    }
}

/// Returns the file that a step includes, its key, and whether the step has no other key.
fn included(step: &Node) -> Option<(&NodeKey, &Node, bool)> {
    let NodeKind::Map(entries) = &step.kind else { return None };
    let (key, file) = entries.iter().find(|(key, _)| key.name == KEY)?;
    Some((key, file, entries.len() == 1))
}

/// Adds the archetypes of the files under a scenario's `include:` to its own.
fn archetypes(diagnostics: &mut Diagnostics, root: &mut Node) {
    let NodeKind::Map(entries) = &mut root.kind else { return };
    let Some(at) = entries.iter().position(|(key, _)| key.name == KEY) else { return };
    let (key, files) = entries.remove(at);
    let mut found: Vec<(NodeKey, Node)> = Vec::new();
    for file in values::one_or_more(&files) {
        found.extend(archetypes_of(diagnostics, file));
    }
    let own = entries.iter_mut().find(|(key, _)| key.name == "archetypes");
    let (_, own) = match own {
        Some(own) => own,
        None => {
            let name = "archetypes".to_owned();
            let kind = NodeKind::Map(Vec::new());
            let key = NodeKey { name, span: key.span };
            entries.push((key, Node { span: files.span, kind }));
            let Some(last) = entries.last_mut() else { return };
            last
        }
    };
    // If `archetypes` is not a map, its reader reports it.
    let NodeKind::Map(own) = &mut own.kind else { return };
    for (key, node) in found {
        if own.iter().any(|(known, _)| known.name == key.name) {
            let message = format!("duplicate archetype `{}`", truncate(&key.name));
            diagnostics.mistake(key.span, message).help("rename one of the two");
        } else {
            own.push((key, node));
        }
    }
}

/// Returns the archetypes of an included file.
fn archetypes_of(diagnostics: &mut Diagnostics, file: &Node) -> Vec<(NodeKey, Node)> {
    let expected = "`archetypes:` and a map of them";
    let Some(path) = values::file(diagnostics, file) else { return Vec::new() };
    let Some(root) = parsed(diagnostics, &path, file.span) else { return Vec::new() };
    let NodeKind::Map(entries) = root.kind else {
        diagnostics.mistake(root.span, "an included file has archetypes").expected(expected);
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, node) in entries {
        match (key.name.as_str(), node.kind) {
            ("archetypes", NodeKind::Map(archetypes)) => found.extend(archetypes),
            _ => {
                let message = format!("`{}` in an included file", truncate(&key.name));
                diagnostics.mistake(key.span, message).expected(expected);
            }
        }
    }
    found
}

/// Parses a file that is named at `span`.
fn parsed(diagnostics: &mut Diagnostics, path: &Path, span: SourceSpan) -> Option<Node> {
    let shown = path.display().to_string();
    let bytes = source::bytes(diagnostics, path, FileRole::Scenario, span)?;
    let text = source::text(diagnostics, &shown, bytes)?;
    let (source, text) = source::open(diagnostics, &shown, text);
    parse_value(diagnostics, source, &text)
}
