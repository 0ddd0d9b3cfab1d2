//! Mistakes in a user's files: each with its place, what was expected, and a cure.
//!
//! Every part of `scenario` reports into a [`Review`]; `cli` prints the [`Mistakes`].
//! Invariant: reporting never stops the reading, so all mistakes come at once, in file order.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use super::files::ReadableFolders;
use crate::plan::SourceFile;
use crate::printable::printable;
use crate::redact::{self, MASK, Redactor, SensitiveNames};
pub(crate) use crate::suggest::nearest;

/// The most mistakes kept; the rest is counted.
const MAX_MISTAKES: usize = 100;

/// A longer line is not shown: it is data, not something to read.
const MAX_LINE: usize = 1_000;

/// One thing to mend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistake {
    /// The file as the user named it, or the flag of the command line.
    pub file: String,
    /// Where in the file; `None`: the file as a whole.
    pub place: Option<SourcePlace>,
    /// What is wrong.
    pub message: String,
    /// What belongs there instead: a fragment that follows "expected".
    pub expected: Option<String>,
    /// How to mend it, "did you mean" included.
    pub help: Vec<String>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePlace {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line; empty when it is too long to show.
    pub snippet: String,
    /// The part of the line that is meant, in bytes.
    pub marked: Range<usize>,
}

/// Something doubtful that does not stop a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Mistake);

/// Everything that is wrong, in the order of the files; never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// The first of them.
    pub list: Vec<Mistake>,
    /// How many more there are.
    pub more: usize,
}

/// A range of bytes in one of the files under review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceSpan {
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

/// The files read so far and what was found wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    sources: Vec<SourceFile>,
    /// Names of keys whose values no message shows.
    names: SensitiveNames,
    /// What the scenario may read.
    pub(crate) readable: ReadableFolders,
    mistakes: Vec<(Option<SourceSpan>, Mistake)>,
    warnings: Vec<Warning>,
    more: usize,
    /// Where reports go that are beyond the bound.
    spill: Mistake,
}

impl Mistake {
    /// Says what belongs there: a fragment that follows "expected".
    pub(crate) fn expected(&mut self, expected: impl Into<String>) -> &mut Self {
        self.expected = Some(clean(&expected.into()));
        self
    }

    /// Adds a way to mend it.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help.push(clean(&help.into()));
        self
    }

    /// Adds "did you mean" when `known` has a name close to `word`.
    pub(crate) fn did_you_mean<'a>(
        &mut self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        match nearest(word, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// As text for a terminal: `file:line:column`, the line, what was expected, the cure.
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
    /// As text for a terminal.
    pub fn render(&self, colour: bool) -> String {
        self.0.render_as(Level::WARNING, colour)
    }
}

impl Mistakes {
    /// Whether one of them was made on the command line: those stand under the name of a flag.
    pub fn has_wrong_words(&self) -> bool {
        self.list.iter().any(|mistake| mistake.file.starts_with("--"))
    }

    /// A line for each, without the text of the files: `file:line:column: message`.
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

    /// As text for a terminal, a blank line between two.
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

impl Diagnostics {
    /// Takes a file in; spans in it carry the number returned.
    pub(crate) fn open(&mut self, name: String, text: String) -> usize {
        self.sources.push(SourceFile { name, text });
        self.sources.len() - 1
    }

    /// Says whose values no message shows, of what was reported before, too.
    pub(crate) fn hide(&mut self, names: &SensitiveNames) {
        self.names = names.clone();
    }

    /// A value as a name may hold it: not under a sensitive key.
    pub(crate) fn shown(&self, key: &str, value: &str) -> String {
        let redactor = Redactor::new(&self.names);
        let text = redactor.text(value);
        if redactor.is_sensitive(key) { MASK.to_owned() } else { super::fields::short(&text) }
    }

    /// The files that were read.
    pub(crate) fn sources(&self) -> Vec<SourceFile> {
        self.sources.clone()
    }

    /// What a span covers.
    pub(crate) fn text(&self, span: SourceSpan) -> &str {
        let text = &self.sources[span.source].text;
        text.get(span.start..span.end).unwrap_or_default()
    }

    /// Where files are looked up that are named at a place: beside its file, beside the first.
    pub(crate) fn folders(&self, span: SourceSpan) -> Vec<PathBuf> {
        let folder = |source: &SourceFile| {
            Path::new(&source.name).parent().unwrap_or(Path::new("")).to_path_buf()
        };
        let mut folders = vec![folder(&self.sources[span.source])];
        folders.extend(self.sources.first().map(folder));
        folders.dedup();
        folders
    }

    /// Reports a mistake at a place.
    pub(crate) fn mistake(&mut self, span: SourceSpan, message: impl Into<String>) -> &mut Mistake {
        if self.mistakes.len() == MAX_MISTAKES {
            // Not even its line is looked for: a hostile file may hold a million of them.
            return self.push(None, Mistake::default());
        }
        let mistake = self.at(span, &message.into());
        self.push(Some(span), mistake)
    }

    /// Reports a mistake about a file as a whole, or about the command line.
    pub(crate) fn general(
        &mut self,
        file: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Mistake {
        let (file, message) = (clean(&file.into()), clean(&message.into()));
        let mistake = Mistake { file, message, ..Mistake::default() };
        self.push(None, mistake)
    }

    /// Reports something doubtful.
    pub(crate) fn warn(&mut self, span: SourceSpan, message: impl Into<String>, help: &str) {
        if self.warnings.len() < MAX_MISTAKES {
            let mut mistake = self.at(span, &message.into());
            mistake.help(help);
            self.warnings.push(Warning(mistake));
        }
    }

    /// The mistake reported last, to say more about it.
    pub(crate) fn last(&mut self) -> &mut Mistake {
        match self.mistakes.last_mut() {
            Some((_, mistake)) if self.more == 0 => mistake,
            _ => &mut self.spill,
        }
    }

    /// How many mistakes there are so far.
    pub(crate) fn count(&self) -> usize {
        self.mistakes.len() + self.more
    }

    /// The mistakes, in the order of the files; or, when there are none, `value` and the warnings.
    pub(crate) fn close<T>(mut self, value: Option<T>) -> Result<(T, Vec<Warning>), Mistakes> {
        self.redact();
        match value {
            Some(value) if self.count() == 0 => Ok((value, self.warnings)),
            _ => {
                let place = |span: &Option<SourceSpan>| span.map(|span| (span.source, span.start));
                self.mistakes.sort_by_key(|(span, _)| place(span));
                let list = self.mistakes.into_iter().map(|(_, mistake)| mistake).collect();
                Err(Mistakes { list, more: self.more })
            }
        }
    }

    /// Takes credentials out of all that was reported. A line alone does not tell what it belongs
    /// to, so whole files are looked through.
    fn redact(&mut self) {
        let redactor = Redactor::new(&self.names);
        if self.mistakes.is_empty() && self.warnings.is_empty() {
            return;
        }
        let shown: Vec<String> =
            self.sources.iter().map(|source| redactor.yaml_in_place(&source.text)).collect();
        let line = |text: &str, number: usize| {
            let line = text.split('\n').nth(number - 1)?;
            Some(line.trim_end_matches('\r').to_owned())
        };
        let warnings = self.warnings.iter_mut().map(|Warning(mistake)| mistake);
        for mistake in self.mistakes.iter_mut().map(|(_, mistake)| mistake).chain(warnings) {
            let Some(place) = &mut mistake.place else { continue };
            // Settings of the command line have one name, all of them.
            let from = self.sources.iter().zip(&shown).find(|(source, _)| {
                clean(&source.name) == mistake.file
                    && line(&source.text, place.line).as_ref() == Some(&place.snippet)
            });
            let line = from.and_then(|(_, shown)| line(shown, place.line));
            let Some(line) = line.filter(|line| *line != place.snippet) else { continue };
            // What is quoted of the line stands in the message, too.
            let marked = place.marked.clone();
            let meant = place.snippet.get(marked.clone()).unwrap_or_default().to_owned();
            let hidden = line.get(marked).unwrap_or_default().to_owned();
            place.snippet = line;
            let quotes = ['"', '\''];
            let (meant, hidden) = (meant.trim_matches(quotes), hidden.trim_matches(quotes));
            let hidden = if hidden.chars().all(|c| c == '*') { MASK } else { hidden };
            if hidden != meant && !meant.is_empty() {
                let texts = mistake.help.iter_mut().chain(&mut mistake.expected);
                for text in texts.chain([&mut mistake.message]) {
                    *text =
                        text.replace(meant, hidden).replace(&super::fields::short(meant), hidden);
                }
            }
        }
    }

    fn push(&mut self, span: Option<SourceSpan>, mistake: Mistake) -> &mut Mistake {
        if self.mistakes.len() == MAX_MISTAKES {
            self.more += 1;
            self.spill = mistake;
            return &mut self.spill;
        }
        self.mistakes.push((span, mistake));
        let last = self.mistakes.len() - 1;
        &mut self.mistakes[last].1
    }

    fn at(&self, span: SourceSpan, message: &str) -> Mistake {
        let SourceFile { name, text } = &self.sources[span.source];
        let start = floor(text, span.start);
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line = text[begin..end].trim_end_matches('\r');
        // Never past what is shown: a place among the carriage returns at its end is not in it.
        let marked_start = (start - begin).min(line.len());
        let marked_end = (floor(text, span.end.max(start)) - begin).min(line.len());
        let shown = if line.len() > MAX_LINE { "" } else { line };
        let place = SourcePlace {
            line: text[..begin].matches('\n').count() + 1,
            column: text[begin..start].chars().count() + 1,
            snippet: shown.to_owned(),
            marked: marked_start..marked_end,
        };
        let (file, message) = (clean(name), clean(message));
        Mistake { file, place: Some(place), message, ..Mistake::default() }
    }
}

/// A text on one line, without what may not be shown.
fn clean(text: &str) -> String {
    printable(text)
}

/// The last boundary between two characters at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
