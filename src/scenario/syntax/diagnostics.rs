//! The opened files, and the mistakes found in them.
//!
//! All parts of `scenario` report to [`Diagnostics`]; `loader` and `hit` finish it.
//! Invariant: a report never stops the compilation, so all mistakes appear at once, in file order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::files::Files;
use crate::grpc::reflection::ReflectedSets;
use crate::plan::SourceFile;
use crate::plan::data::sanitize::ColumnRule;
use crate::redact::{MASK, Redactor, SensitiveNames};
use crate::scenario::syntax::folders::ReadableFolders;
use crate::scenario::syntax::mistake::{Mistake, Mistakes, SourcePlace, Warning};
use crate::scenario::syntax::mistake::{clean, truncate};

/// Maximum number of mistakes kept; further ones are only counted.
const MAX_MISTAKES: usize = 100;

/// Longer lines are not shown, because they are data, not text.
const MAX_LINE: usize = 1_000;

/// A range of bytes in an opened file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceSpan {
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

/// The opened files and the mistakes found in them.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    sources: Vec<SourceFile>,
    /// Names of keys whose values must not appear in messages.
    names: SensitiveNames,
    /// Where files are read from.
    pub(crate) files: Files,
    /// The folders that the scenario may read.
    pub(crate) readable: ReadableFolders,
    /// Descriptors that servers of gRPC have told, or why they did not, by service.
    pub(crate) reflected: ReflectedSets,
    /// Rules for columns of all data, of safety files.
    pub(crate) required_rules: Vec<(String, ColumnRule)>,
    /// Opened files whose text no report has.
    hidden: BTreeSet<usize>,
    mistakes: Vec<(Option<SourceSpan>, Mistake)>,
    warnings: Vec<Warning>,
    more: usize,
    /// Receives reports beyond the maximum.
    overflow: Mistake,
}

impl Diagnostics {
    /// Returns diagnostics of a scenario whose files are read from `files`.
    pub(crate) fn reading(files: &Files) -> Self {
        Self { files: files.clone(), ..Self::default() }
    }

    /// Adds a file; returns its number for spans.
    pub(crate) fn open(&mut self, name: String, text: String) -> usize {
        self.sources.push(SourceFile { name, text });
        self.sources.len() - 1
    }

    /// Sets the names of secrets, also for mistakes reported before.
    pub(crate) fn set_sensitive_names(&mut self, names: &SensitiveNames) {
        self.names = names.clone();
    }

    /// Returns a value for a message: masked under a sensitive key, truncated otherwise.
    pub(crate) fn redact_value(&self, key: &str, value: &str) -> String {
        let redactor = Redactor::new(&self.names);
        let text = redactor.text(value);
        if redactor.is_sensitive(key) { MASK.to_owned() } else { truncate(&text) }
    }

    /// Leaves the text of a file out of reports.
    pub(crate) fn hide_source(&mut self, span: SourceSpan) {
        self.hidden.insert(span.source);
    }

    /// Returns the opened files, as reports have them.
    pub(crate) fn sources(&self) -> Vec<SourceFile> {
        let mut sources = self.sources.clone();
        for hidden in &self.hidden {
            "# (left out: it has rows with rules of `sanitize`)"
                .clone_into(&mut sources[*hidden].text);
        }
        sources
    }

    /// Returns the text of a span.
    pub(crate) fn text(&self, span: SourceSpan) -> &str {
        let text = &self.sources[span.source].text;
        text.get(span.start..span.end).unwrap_or_default()
    }

    /// Returns the folders to search for files named at a place: the folder of its file, and the
    /// folder of the scenario.
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
            // Without its line, because a hostile file may contain a million mistakes.
            return self.push(None, Mistake::default());
        }
        let mistake = self.locate(span, &message.into());
        self.push(Some(span), mistake)
    }

    /// Reports a mistake about a whole file or the command line.
    pub(crate) fn global_mistake(
        &mut self,
        file: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Mistake {
        let (file, message) = (clean(&file.into()), clean(&message.into()));
        let mistake = Mistake { file, message, ..Mistake::default() };
        self.push(None, mistake)
    }

    /// Reports a warning.
    pub(crate) fn warn(&mut self, span: SourceSpan, message: impl Into<String>, help: &str) {
        if self.warnings.len() < MAX_MISTAKES {
            let mut mistake = self.locate(span, &message.into());
            mistake.help(help);
            self.warnings.push(Warning(mistake));
        }
    }

    /// Returns the mistake reported last, to add to it.
    pub(crate) fn last(&mut self) -> &mut Mistake {
        match self.mistakes.last_mut() {
            Some((_, mistake)) if self.more == 0 => mistake,
            _ => &mut self.overflow,
        }
    }

    /// Returns the number of mistakes so far.
    pub(crate) fn count(&self) -> usize {
        self.mistakes.len() + self.more
    }

    /// Returns all mistakes in file order; if there are none, `value` and the warnings.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<(T, Vec<Warning>), Mistakes> {
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

    /// Redacts credentials in all reports. A line alone does not show which key it belongs to, so
    /// whole files are searched.
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
            // All `--set` settings share one file name.
            let from = self.sources.iter().zip(&shown).find(|(source, _)| {
                clean(&source.name) == mistake.file
                    && line(&source.text, place.line).as_ref() == Some(&place.snippet)
            });
            let line = from.and_then(|(_, shown)| line(shown, place.line));
            let Some(line) = line.filter(|line| *line != place.snippet) else { continue };
            // The message may quote the marked part of the line.
            let marked = place.marked.clone();
            let quoted = place.snippet.get(marked.clone()).unwrap_or_default().to_owned();
            let hidden = line.get(marked).unwrap_or_default().to_owned();
            place.snippet = line;
            let quotes = ['"', '\''];
            let (quoted, hidden) = (quoted.trim_matches(quotes), hidden.trim_matches(quotes));
            let hidden = if hidden.chars().all(|c| c == '*') { MASK } else { hidden };
            if hidden != quoted && !quoted.is_empty() {
                let texts = mistake.help.iter_mut().chain(&mut mistake.expected);
                for text in texts.chain([&mut mistake.message]) {
                    *text = text.replace(quoted, hidden).replace(&truncate(quoted), hidden);
                }
            }
        }
    }

    fn push(&mut self, span: Option<SourceSpan>, mistake: Mistake) -> &mut Mistake {
        if self.mistakes.len() == MAX_MISTAKES {
            self.more += 1;
            self.overflow = mistake;
            return &mut self.overflow;
        }
        self.mistakes.push((span, mistake));
        let last = self.mistakes.len() - 1;
        &mut self.mistakes[last].1
    }

    fn locate(&self, span: SourceSpan, message: &str) -> Mistake {
        let SourceFile { name, text } = &self.sources[span.source];
        let start = floor_char_boundary(text, span.start);
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line = text[begin..end].trim_end_matches('\r');
        // A place inside the trailing carriage returns is beyond the shown line.
        let marked_start = (start - begin).min(line.len());
        let marked_end = (floor_char_boundary(text, span.end.max(start)) - begin).min(line.len());
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

/// Returns the last character boundary at or before `at`.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
