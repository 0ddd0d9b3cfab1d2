//! The documentation as text: its table of contents, links, line lengths and words.
//!
//! Code is left out where a rule is about prose: fenced blocks and `spans`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::none;
use super::source::{below, root};

const MAX_COLUMNS: usize = 119;

/// Words that PLAIN.md replaces by field terms.
const FORBIDDEN: [&str; 20] = [
    "mend",
    "mended",
    "herd",
    "herds",
    "nobody",
    "somebody",
    "what is asked",
    "is asked of",
    "lent",
    "wish",
    "wishes",
    "who comes",
    "who has",
    "who was",
    "and who",
    "be rid of",
    "meanwhile leaves",
    "of a law",
    "the laws",
    "doors",
];

/// Coined terms that pages for newcomers link to the glossary.
const COINED: [&str; 12] = [
    "amplification",
    "archetype",
    "blocked time",
    "closed model",
    "coordinated omission",
    "dropped",
    "generator error",
    "open model",
    "response time",
    "service time",
    "suppressed",
    "workload",
];

/// A page of documentation.
struct Page {
    /// From the repository's root, as `docs/report.md`.
    path: String,
    text: String,
}

/// Returns the pages of the book, then those beside `docs`.
fn pages() -> Vec<Page> {
    let root_pages = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "md");
    let page = |path: PathBuf| Page {
        text: std::fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(),
    };
    below("docs", "md").into_iter().chain(root_pages.filter(is_page)).map(page).collect()
}

impl Page {
    fn is_of_book(&self) -> bool {
        self.path.starts_with("docs/")
    }

    /// Returns its lines with their numbers, outside of fenced blocks.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        self.text.lines().enumerate().filter_map(move |(at, line)| {
            let fence = line.trim_start().starts_with("```");
            is_code ^= fence;
            (!fence && !is_code).then_some((at + 1, line))
        })
    }

    /// Returns the targets of its links and pictures, with their lines.
    fn links(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, line) in self.prose() {
            let line = without_spans(line);
            // A label may begin on the line before.
            for (end, _) in line.match_indices("](") {
                let target = line[end + 2..].split(')').next().unwrap_or_default();
                found.push((at, target.to_owned()));
            }
        }
        found
    }

    /// Returns the anchors of its headings as GitHub and mdBook make them.
    fn anchors(&self) -> Vec<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let headings = self.prose().filter_map(|(_, line)| line.strip_prefix('#'));
        let mut anchors: Vec<String> = Vec::new();
        for heading in headings {
            let slug = anchor(heading.trim_start_matches('#').trim());
            let count = counts.entry(slug.clone()).or_default();
            anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
            *count += 1;
        }
        anchors
    }

    fn finding(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// Blanks the insides of code spans.
fn without_spans(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { part } else { "" }).collect::<Vec<_>>().join("`")
}

/// Returns the anchor of a heading: lower case, words joined by `-`, other signs left out.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the path that a link of a page leads to, with `..` resolved.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn summary_lists_every_page_once() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.path == "docs/SUMMARY.md").unwrap();
    let mut listed: Vec<String> =
        summary.links().iter().map(|(_, target)| resolve(&summary.path, target)).collect();
    listed.sort();
    let book = pages.iter().filter(|page| page.is_of_book() && page.path != summary.path);
    let book: Vec<&String> = book.map(|page| &page.path).collect();
    assert_eq!(listed.iter().collect::<Vec<_>>(), book, "docs/SUMMARY.md lists each page once");
}

#[test]
fn links_lead_to_pages_and_headings() {
    let pages = pages();
    let mut findings = Vec::new();
    let mut count = 0;
    for page in &pages {
        for (line, target) in page.links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, fragment) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => page.path.clone(),
                file => resolve(&page.path, file),
            };
            if page.is_of_book() && !path.starts_with("docs/") {
                findings.push(page.finding(line, format_args!("`{target}` leads out of the book")));
            } else if !root().join(&path).exists() {
                findings.push(page.finding(line, format_args!("`{target}`: there is no {path}")));
            } else if !fragment.is_empty() {
                let to = pages.iter().find(|page| page.path == path);
                if !to.is_some_and(|to| to.anchors().iter().any(|anchor| anchor == fragment)) {
                    let what = format_args!("`{target}`: {path} has no such heading");
                    findings.push(page.finding(line, what));
                }
            }
        }
        // Pages that are named in running text, as `docs/report.md`.
        for (line, text) in page.text.lines().enumerate() {
            let ends = |c: char| !(c.is_alphanumeric() || "/._-".contains(c));
            for name in text.split(ends).filter(|word| word.starts_with("docs/")) {
                let name = name.trim_end_matches(['.', '/']);
                if !root().join(name).exists() {
                    findings.push(page.finding(line + 1, format_args!("there is no {name}")));
                }
            }
        }
    }
    assert!(count > 100, "only {count} links");
    none(&findings);
}

#[test]
fn lines_of_the_book_are_short() {
    let mut findings = Vec::new();
    for page in pages().iter().filter(|page| page.is_of_book()) {
        for (at, line) in page.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > MAX_COLUMNS {
                let what = format_args!("{columns} columns; break it at {MAX_COLUMNS}");
                findings.push(page.finding(at + 1, what));
            }
        }
    }
    none(&findings);
}

#[test]
fn the_book_uses_field_terms() {
    let mut findings = Vec::new();
    for page in pages().iter().filter(|page| page.is_of_book()) {
        for (at, line) in page.prose() {
            let line = without_spans(line).to_lowercase();
            let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            let text = format!(" {} ", words.collect::<Vec<_>>().join(" "));
            for word in FORBIDDEN {
                if text.contains(&format!(" {word} ")) {
                    findings.push(page.finding(at, format_args!("`{word}`; use the field's term")));
                }
            }
        }
    }
    none(&findings);
}

#[test]
fn coined_terms_link_to_the_glossary() {
    let mut findings = Vec::new();
    let is_for_newcomers = |page: &&Page| {
        let names = ["docs/howto/", "docs/tutorial.md", "docs/methodology.md"];
        names.iter().any(|name| page.path.starts_with(name))
    };
    let pages = pages();
    for page in pages.iter().filter(is_for_newcomers) {
        let lines = page.prose().filter(|(_, line)| !line.starts_with(['#', '|', '<']));
        let text: String = lines.flat_map(|(_, line)| [without_spans(line), " ".into()]).collect();
        let text = text.to_lowercase().replace("  ", " ");
        for term in COINED {
            let link = format!("glossary.md#{}", anchor(term));
            if text.contains(&format!(" {term}")) && !page.text.contains(&link) {
                findings.push(page.finding(1, format_args!("`{term}`: link its first use")));
            }
        }
    }
    none(&findings);
}

#[test]
fn anchors_are_those_of_github_and_mdbook() {
    let pairs = [
        ("Rates, and a spike", "rates-and-a-spike"),
        ("run.record, and `manada report`", "runrecord-and-manada-report"),
        ("k6_workload × 2", "k6_workload--2"),
    ];
    for (heading, wanted) in pairs {
        assert_eq!(anchor(heading), wanted);
    }
}
