//! The examples of the book: blocks of code of its pages, with what a comment above them says.
//!
//! A comment `<!-- file: shop.yaml -->` above a block names how it is tested; see [`Role`].

use std::path::{Path, PathBuf};

/// How a block is tested.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Role {
    /// No comment: a whole scenario, or commands of which all succeed.
    Plain,
    /// `file: NAME`: a file in the folder in which the commands of the page run.
    File(String),
    /// `append: NAME`: further lines of such a file.
    Append(String),
    /// `in: FRAME`: a part of a scenario; [`FRAMES`] complete it.
    In(String),
    /// `exit: CODE`: commands that end with this code.
    Exit(i32),
    /// `job: TOOL`: a file of another tool, whose commands are tested.
    Job,
    /// `parsed: WHY`: commands whose arguments are tested, but which cannot run here.
    Parsed,
}

/// A block of code.
pub(crate) struct Block {
    /// Of its first line.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) role: Role,
    pub(crate) text: String,
}

/// Scenarios with a place for a part, by name: `@` stands where the part begins.
const FRAMES: [(&str, &str); 12] = [
    (
        "scenario",
        "services: { s: builtin }\nworkloads: { w: { users: 1, flow: [ { get: / } ] } }\n@",
    ),
    ("service", "workloads: { w: { users: 1, flow: [ { get: / } ] } }\nservices:\n  s:\n    @"),
    ("workload", "services: { s: builtin }\nworkloads:\n  w:\n    flow: [ { get: / } ]\n    @"),
    (
        "archetype",
        "services: { s: builtin }\nworkloads: { w: { users: 1, archetypes: { a: 1 } } }\n\
         archetypes:\n  a:\n    flow: [ { get: / } ]\n    @",
    ),
    ("steps", "services: { s: builtin }\nworkloads:\n  w:\n    users: 1\n    flow:\n      @"),
    (
        "step of db",
        "services: { s: 'postgres://127.0.0.1' }\nworkloads:\n  w:\n    users: 1\n    \
         flow:\n      @",
    ),
    (
        "transactions",
        "services: { log: 'kafka://127.0.0.1' }\n\
         workloads: { w: { users: 1, archetypes: { a: 1 } } }\n\
         archetypes:\n  a:\n    @",
    ),
    (
        "step of line",
        "services: { s: 'tcp://127.0.0.1:9' }\nworkloads:\n  w:\n    users: 1\n    flow:\n      @",
    ),
    (
        "step of gram",
        "services: { s: 'udp://127.0.0.1:9' }\nworkloads:\n  w:\n    users: 1\n    flow:\n      @",
    ),
    (
        "step of names",
        "services: { s: 'dns://127.0.0.1' }\nworkloads:\n  w:\n    users: 1\n    flow:\n      @",
    ),
    (
        "request",
        "services: { s: builtin }\nworkloads:\n  w:\n    users: 1\n    flow:\n      - get: /\n\
        \x20       @",
    ),
    (
        "thresholds",
        "services: { s: builtin }\nworkloads:\n  w:\n    users: 1\n    duration: 10m\n    \
         flow: [ { get: /, check: { status: 200 } } ]\nthresholds:\n  @",
    ),
];

/// Returns the folder of the book.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// Returns the names of all pages, from the folder of the book.
pub(crate) fn names() -> Vec<String> {
    let mut names = Vec::new();
    for part in ["", "howto/"] {
        for entry in std::fs::read_dir(folder().join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                names.push(format!("{part}{}", path.file_name().unwrap().display()));
            }
        }
    }
    names.sort();
    names
}

/// Returns the blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(folder().join(page)).unwrap();
    let (mut blocks, mut open, mut comment) = (Vec::new(), None::<Block>, None);
    for (at, line) in text.lines().enumerate() {
        let is_indented = line.trim_start().starts_with("```") && !line.starts_with("```");
        assert!(!is_indented, "{page}:{}: an indented block is not tested", at + 1);
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, Some(language)) => {
                assert!(!language.is_empty(), "{page}:{}: name its language, or `text`", at + 1);
                let role = comment.take().map_or(Role::Plain, |comment| role(page, at, comment));
                let language = language.to_owned();
                open = Some(Block { line: at + 2, language, role, text: String::new() });
            }
            (None, None) if line.starts_with("<!--") => comment = Some(line),
            (None, None) => comment = None,
        }
    }
    assert!(open.is_none(), "{page}: a block is not closed");
    blocks
}

fn role(page: &str, at: usize, comment: &str) -> Role {
    let words = comment.trim_start_matches("<!--").trim_end_matches("-->").trim();
    let (name, value) = words.split_once(": ").unwrap_or((words, ""));
    match name {
        "file" => Role::File(value.to_owned()),
        "append" => Role::Append(value.to_owned()),
        "in" => Role::In(value.to_owned()),
        "exit" => Role::Exit(value.parse().unwrap()),
        "job" => Role::Job,
        "parsed" => Role::Parsed,
        other => panic!("{page}:{at}: unknown comment `{other}`"),
    }
}

/// Returns a scenario with this part in it.
pub(crate) fn framed(frame: &str, part: &str) -> String {
    let (_, text) = FRAMES.iter().find(|(name, _)| *name == frame).expect(frame);
    let (before, _) = text.split_once('@').unwrap();
    let indent = before.rsplit('\n').next().unwrap();
    // A key of the part takes the place of the frame's.
    let keys: Vec<&str> =
        part.lines().filter_map(|line| line.split_once(':')).map(|key| key.0).collect();
    let is_given = |line: &&str| {
        let (own, key) = (line.trim_start(), line.trim_start().split(':').next().unwrap());
        line.len() - own.len() == indent.len() && keys.contains(&key)
    };
    let head = before[..before.len() - indent.len()].lines().filter(|line| !is_given(line));
    let mut scenario: String = head.flat_map(|line| [line, "\n"]).collect();
    for line in part.lines() {
        scenario.extend([indent, line, "\n"]);
    }
    scenario
}
