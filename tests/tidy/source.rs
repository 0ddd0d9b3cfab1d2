//! The Rust files of the repository, with comments and the insides of literals blanked.
//!
//! All rules of `tidy` read them.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A Rust file of the repository.
pub struct File {
    /// From the repository's root.
    pub path: String,
    pub text: String,
    /// The text with comments and the insides of literals blanked; lines stay where they are.
    pub code: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder with an extension, in order.
pub fn below(folder: &str, extension: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

pub fn rust(folders: &[&str]) -> Vec<File> {
    let paths = folders.iter().flat_map(|folder| below(folder, "rs"));
    paths
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            File { code: code(&text), path, text }
        })
        .collect()
}

/// Blanks comments and the insides of string and character literals, so that only code is left.
pub fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = out.chars().next_back().unwrap_or(' ');
        let (length, keep) = token(rest, first, before);
        let blank = |c: char| if c == '\n' || keep { c } else { ' ' };
        out.extend(rest[..length].chars().map(blank));
        rest = &rest[length..];
    }
    out
}

/// The length of what `rest` begins with, and whether it is code.
fn token(rest: &str, first: char, before: char) -> (usize, bool) {
    let to = |end: Option<usize>| end.unwrap_or(rest.len());
    let in_word = before.is_alphanumeric() || before == '_';
    if rest.starts_with("//") {
        return (to(rest.find('\n')), false);
    }
    if rest.starts_with("/*") {
        return (to(rest.find("*/").map(|at| at + 2)), false);
    }
    if first == '"' {
        return (to(closing(rest, 1, '"')), false);
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !in_word);
    let hashes = raw.map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
    if let Some(raw) = raw.filter(|raw| raw[hashes..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(hashes));
        let open = rest.len() - raw.len() + hashes + 1;
        return (to(rest[open..].find(&end).map(|at| open + at + end.len())), false);
    }
    // A quote is a character literal when it closes soon, else a lifetime.
    let mut after = rest.chars().skip(1);
    if first == '\'' && (after.next() == Some('\\') || after.next() == Some('\'')) {
        return (to(closing(rest, 1, '\'')), false);
    }
    (first.len_utf8(), true)
}

/// Where the literal that is open at `from` is closed; a backslash escapes.
fn closing(text: &str, from: usize, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text[from..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(from + at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

impl File {
    /// A finding at a byte offset.
    pub fn at(&self, offset: usize, what: impl Display) -> String {
        let line = self.code[..offset].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }

    /// Where a word stands by itself in the code.
    pub fn uses<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        self.code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
            let after = &self.code[at + word.len()..];
            let open = word.ends_with(part);
            !(self.code[..at].ends_with(part) || open && after.starts_with(part))
        })
    }

    /// Whether a `type` at an offset is that of a trait or its implementation: it is indented.
    pub fn is_associated(&self, at: usize) -> bool {
        let line = self.code[..at].rsplit('\n').next().unwrap_or("");
        self.code[at..].starts_with("type ") && line.starts_with(' ')
    }

    /// The top module it belongs to; none for `lib.rs` and `main.rs`.
    pub fn module(&self) -> Option<&str> {
        let name = self.path.strip_prefix("src/")?.split('/').next()?;
        let name = name.strip_suffix(".rs").unwrap_or(name);
        (name != "lib" && name != "main").then_some(name)
    }

    /// How deep its module lies below the crate: `a_tests.rs` is a module of `a.rs`.
    fn depth(&self) -> usize {
        let levels =
            self.path.split('/').count() - 1 + usize::from(self.path.ends_with("_tests.rs"));
        levels - usize::from(self.path.ends_with("/mod.rs"))
    }

    /// How many inline modules are open at an offset.
    fn inline(&self, offset: usize) -> usize {
        let (mut open, mut level) = (Vec::new(), 0);
        for (at, c) in self.code[..offset].char_indices() {
            match c {
                '{' => {
                    level += 1;
                    let head = self.code[..at].rsplit([';', '{', '}']).next().unwrap_or("");
                    if head.split_whitespace().rev().nth(1) == Some("mod") {
                        open.push(level);
                    }
                }
                '}' => {
                    open.retain(|&opened| opened < level);
                    level -= 1;
                }
                _ => {}
            }
        }
        open.len()
    }

    /// Each top module it names, and where.
    pub fn names(&self) -> Vec<(usize, String)> {
        let mut names = Vec::new();
        for at in self.uses("crate::") {
            let roots = roots(&self.code[at + "crate::".len()..]);
            names.extend(roots.into_iter().map(|name| (at, name)));
        }
        for at in self.uses("super::").filter(|&at| !self.code[..at].ends_with("super::")) {
            let tail = self.code[at..].trim_start_matches("super::");
            let climbed = (self.code.len() - at - tail.len()) / "super::".len();
            if climbed >= self.depth() + self.inline(at) {
                names.extend(roots(tail).into_iter().map(|name| (at, name)));
            }
        }
        names
    }
}

/// The first names of a path or of a group of paths.
pub fn roots(path: &str) -> Vec<String> {
    let first = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![first(path)] };
    let (mut found, mut level) = (vec![first(group)], 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            ',' if level == 0 => found.push(first(&group[at + 1..])),
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn the_rules_see_code_and_nothing_else() {
    let text = r##"let a = "dbg!("; // dbg!(
let b = ('"', '\'', b"\"dbg!(", r#"" dbg!("#); fn c<'a>(_: &'a str) {} /* dbg!( */ done"##;
    let seen = code(text);
    assert_eq!(seen.len(), text.len());
    assert!(!seen.contains("dbg!(") && seen.ends_with("done") && seen.contains("fn c<'a>"));
    assert_eq!(roots("{clock::{self, Time}, plan, wire::Wire};"), ["clock", "plan", "wire"]);
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: String::new(),
        code: code(text),
    };
    let named = |path, text| file(path, text).names().into_iter().map(|(_, name)| name).collect();
    let cases: [(&str, &str, &[&str]); 4] = [
        ("src/a/b.rs", "use super::super::c::D; use super::e;", &["c"]),
        ("src/a/mod.rs", "use super::c; mod t { use super::super::d; use super::e; }", &["c", "d"]),
        ("src/a.rs", "mod t { use super::x; } fn f() { super::g::h() }", &["g"]),
        ("src/a.rs", "use crate::{b, c::{d, e}}; // crate::f", &["b", "c"]),
    ];
    for (path, text, expect) in cases {
        let found: Vec<String> = named(path, text);
        assert_eq!(found, expect, "{text}");
    }
}
