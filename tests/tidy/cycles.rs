//! Cycles of files inside a module: which file names which, by the paths in their code.
//!
//! A `mod` declaration and a `pub use` of a child name nothing: they say what the parent consists
//! of. A path through a `use` of a parent leads to the file behind it. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::source::File;

/// The path of a module below the crate: `["engine", "attempt"]`.
type Module = Vec<String>;

/// Who names whom.
struct Graph<'f> {
    /// The file of each module.
    files: BTreeMap<Module, &'f str>,
    /// What `use` gives each module: a name, and the path behind it.
    imports: BTreeMap<Module, BTreeMap<String, String>>,
}

/// A finding for each cycle of files inside one top module.
pub fn cycles(files: &[File]) -> Vec<String> {
    let sources: Vec<(Module, &str, String)> = files
        .iter()
        .filter(|file| !file.path.ends_with("tests.rs"))
        .map(|file| (module(&file.path), file.path.as_str(), without_tests(&file.code)))
        .collect();
    let mut graph = Graph {
        files: sources.iter().map(|(module, path, _)| (module.clone(), *path)).collect(),
        imports: BTreeMap::new(),
    };
    for (module, _, code) in &sources {
        let names = uses(code).into_iter().flat_map(|(_, tree)| expand(tree));
        let names = names.filter_map(|path| Some((path.rsplit("::").next()?.to_owned(), path)));
        graph.imports.insert(module.clone(), names.collect());
    }
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (module, path, code) in &sources {
        let named = named(code).into_iter().filter_map(|named| graph.file(module, &named, 0));
        let same = |other: &&str| top(other) == top(path) && other != path;
        edges.insert(path, named.filter(same).collect());
    }
    let mut findings = Vec::new();
    let mut reported = BTreeSet::new();
    for start in edges.keys().copied() {
        if !reported.contains(start)
            && let Some(cycle) = cycle(&edges, start)
        {
            reported.extend(cycle.iter().copied());
            let rest = cycle[1..].join(" → ");
            findings.push(format!("{start}:1: names {rest}; move what both need below both"));
        }
    }
    findings
}

/// The top module of a file.
fn top(path: &str) -> Option<&str> {
    path.split('/').nth(1)
}

/// The module of a file.
fn module(path: &str) -> Module {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Module = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The code without what is only there for tests.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = match (item.find('{'), item.find(';')) {
            // Braces before the end of a `use` are a group of names.
            (Some(open), Some(end)) if open < end && !item[..open].contains("use ") => {
                open + closing(&item[open..])
            }
            (_, Some(end)) => end + 1,
            (Some(open), None) => open + closing(&item[open..]),
            (None, None) => item.len(),
        };
        rest = &item[end..];
    }
    out + rest
}

/// The length of a block that begins with `{`.
fn closing(block: &str) -> usize {
    let mut level = 0;
    for (at, c) in block.char_indices() {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            _ => {}
        }
        if level == 0 {
            return at + 1;
        }
    }
    block.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The trees of all `use` declarations, and whether each is public.
fn uses(code: &str) -> Vec<(bool, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].trim_end_matches(' ');
        let line = before.rsplit('\n').next().unwrap_or("").trim();
        if !(line.is_empty() || line.starts_with("pub")) {
            continue;
        }
        let tree = &code[at + 4..];
        let tree = &tree[..tree.find(';').unwrap_or(tree.len())];
        found.push((line.starts_with("pub"), tree));
    }
    found
}

/// All paths of a tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or("");
        return vec![path.split_whitespace().collect()];
    };
    let group = group.trim_end().trim_end_matches('}');
    let (mut parts, mut level, mut from) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            ',' if level == 0 => {
                parts.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[from..]);
    let prefix: String = prefix.split_whitespace().collect();
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts
        .flat_map(expand)
        .map(|path| match path.as_str() {
            "self" => prefix.trim_end_matches(':').to_owned(),
            _ => format!("{prefix}{path}"),
        })
        .collect()
}

/// All paths that a file names: those of its private `use`, and those in its code.
fn named(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut body = code.to_owned();
    for (public, tree) in uses(code) {
        if !public {
            paths.extend(expand(tree));
        }
        body = body.replacen(tree, "", 1);
    }
    for (at, _) in body.match_indices("::") {
        let start = body[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        // The middle of a path was seen with its beginning.
        if start == at || body[..start].ends_with(':') {
            continue;
        }
        let end = body[start..].find(|c| !is_word(c) && c != ':').unwrap_or(body.len() - start);
        paths.push(body[start..start + end].to_owned());
    }
    paths
}

impl<'f> Graph<'f> {
    /// The file that a path in `module` leads to; `None` if it leads out of the crate.
    fn file(&self, module: &[String], path: &str, depth: usize) -> Option<&'f str> {
        let mut names: Vec<&str> = path.split("::").filter(|name| !name.is_empty()).collect();
        let mut at = module.to_vec();
        match *names.first()? {
            "crate" => {
                at.clear();
                names.remove(0);
            }
            "self" | "super" => {
                while let Some(&first) =
                    names.first().filter(|name| ["self", "super"].contains(name))
                {
                    if first == "super" {
                        at.pop();
                    }
                    names.remove(0);
                }
            }
            child => {
                let child = [&at[..], &[child.to_owned()]].concat();
                self.files.get(&child)?;
            }
        }
        while let Some(name) = names.first() {
            let child = [&at[..], &[(*name).to_owned()]].concat();
            if !self.files.contains_key(&child) {
                break;
            }
            at = child;
            names.remove(0);
        }
        let behind = names.first().and_then(|name| self.imports.get(&at)?.get(*name));
        if let Some(behind) = behind.filter(|_| depth < 8)
            && let Some(file) = self.file(&at, behind, depth + 1)
        {
            return Some(file);
        }
        self.files.get(&at).copied()
    }
}

/// A shortest way from a file back to itself.
fn cycle<'g>(edges: &BTreeMap<&'g str, BTreeSet<&'g str>>, start: &'g str) -> Option<Vec<&'g str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for &next in edges.get(file).into_iter().flatten() {
            if next == start {
                let (mut way, mut at) = (vec![start, file], file);
                while at != start {
                    at = before[at];
                    way.push(at);
                }
                way.dedup();
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(next) {
                before.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

#[test]
fn a_cycle_is_found_behind_a_reexport_and_tests_are_left_out() {
    let file = |path: &str, code: &str| File {
        path: path.to_owned(),
        text: String::new(),
        code: code.to_owned(),
    };
    let parent = "mod b;\nmod c;\npub use b::B;\nuse c::C;\n";
    let b = "use super::C;\npub struct B;";
    let find = |c: &str| {
        cycles(&[file("src/a/mod.rs", parent), file("src/a/b.rs", b), file("src/a/c.rs", c)])
    };
    assert_eq!(find("pub struct C;").len(), 0);
    assert_eq!(find("#[cfg(test)]\nmod tests {\n use super::super::B;\n}\npub struct C;").len(), 0);
    let found = find("use super::B;\npub struct C;");
    assert_eq!(
        found,
        ["src/a/b.rs:1: names src/a/c.rs → src/a/b.rs; move what both need below both"]
    );
    assert_eq!(find("fn f() { crate::a::b::g() }").len(), 1);
}
