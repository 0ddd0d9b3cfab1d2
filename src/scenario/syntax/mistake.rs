//! Mistakes in a user's files, and how they are rendered.
//!
//! [`Diagnostics`](super::diagnostics::Diagnostics) collects them; `cli` prints the [`Mistakes`].
//! Invariant: all texts are printable, on one line each.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use crate::printable::printable;
use crate::redact::{self};
use crate::suggest::nearest;

/// A mistake in a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistake {
    /// The file as the user named it, or the command-line flag.
    pub file: String,
    /// The place in the file; `None`: the whole file.
    pub place: Option<SourcePlace>,
    /// The message.
    pub message: String,
    /// What is expected instead: a fragment after the word "expected".
    pub expected: Option<String>,
    /// How to fix it, including "did you mean".
    pub help: Vec<String>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePlace {
    /// Line number, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// The text of the line; empty if it is too long to show.
    pub snippet: String,
    /// The marked part of the line, in bytes.
    pub marked: Range<usize>,
}

/// A likely mistake that does not prevent a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Mistake);

/// All mistakes, in file order; never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// The first ones.
    pub list: Vec<Mistake>,
    /// The number of further ones.
    pub more: usize,
}

impl Mistake {
    /// Sets what is expected instead: a fragment after the word "expected".
    pub(crate) fn expected(&mut self, expected: impl Into<String>) -> &mut Self {
        self.expected = Some(clean(&expected.into()));
        self
    }

    /// Adds a way to fix it.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help.push(clean(&help.into()));
        self
    }

    /// Adds "did you mean" if `known` has a name similar to `word`.
    pub(crate) fn did_you_mean<'a>(
        &mut self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        match nearest(word, known) {
            Some(suggestion) => self.help(format!("did you mean `{suggestion}`?")),
            None => self,
        }
    }

    /// Renders it for a terminal: `file:line:column`, the line, what was expected, the help.
    pub fn render(&self, colour: bool) -> String {
        self.render_as(Level::ERROR, colour)
    }

    fn render_as(&self, level: Level<'_>, colour: bool) -> String {
        let mut group: Group<'_> = Group::with_title(level.primary_title(self.message.as_str()));
        match &self.place {
            Some(place) if !place.snippet.is_empty() => {
                let label = self.expected.as_ref().map(|expected| format!("expected {expected}"));
                group = group.element(
                    Snippet::source(place.snippet.as_str())
                        .line_start(place.line)
                        .path(self.file.as_str())
                        .annotation(
                            AnnotationKind::Primary.span(place.marked.clone()).label(label),
                        ),
                );
            }
            place => {
                let mut origin = Origin::path(self.file.as_str());
                if let Some(place) = place {
                    origin = origin.line(place.line).char_column(place.column);
                }
                group = group.element(origin);
                if let Some(expected) = &self.expected {
                    let note = normalize_untrusted_str(&format!("expected {expected}"));
                    group = group.element(Level::NOTE.message(note));
                }
            }
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        redact::redact_secrets(&renderer.render(&[group])).into_owned()
    }
}

impl Warning {
    /// Renders it for a terminal.
    pub fn render(&self, colour: bool) -> String {
        self.0.render_as(Level::WARNING, colour)
    }
}

impl Mistakes {
    /// Whether a mistake was made on the command line; its file is then the name of a flag.
    pub fn has_flag_mistake(&self) -> bool {
        self.list.iter().any(|mistake| mistake.file.starts_with("--"))
    }

    /// Renders one line per mistake, without file content: `file:line:column: message`.
    pub fn lines(&self) -> String {
        let line = |one: &Mistake| match &one.place {
            Some(place) => {
                format!("{}:{}:{}: {}", one.file, place.line, place.column, one.message)
            }
            None => format!("{}: {}", one.file, one.message),
        };
        let mut lines: Vec<String> = self.list.iter().map(line).collect();
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        lines.join("\n")
    }

    /// Renders all for a terminal, separated by blank lines.
    pub fn render(&self, colour: bool) -> String {
        let mut parts: Vec<String> = self.list.iter().map(|one| one.render(colour)).collect();
        if self.more > 0 {
            parts.push(format!("and {} more", self.more));
        }
        parts.join("\n\n")
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}

/// Puts a text on one line, without unprintable characters.
pub(crate) fn clean(text: &str) -> String {
    printable(text)
}

/// Truncates a text for a message.
pub(crate) fn truncate(text: &str) -> String {
    let mut cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
