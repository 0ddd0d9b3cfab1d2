//! The help of each command: `-h` is short, the examples of `--help` parse, man pages are clean.

use std::io::Write;
use std::process::{Command as Process, Stdio};

use clap::{Command, CommandFactory, Parser};

use super::parse_error::{add_suggestions, redacted};
use super::{Cli, man, spellings};

/// Maximum lines of `-h` on a terminal of 80 columns: the commands with the most options.
const LONG: usize = 37;

/// Maximum lines of `-h` of all others.
const SHORT: usize = 30;

/// Maximum lines of `-h` of the program itself, which lists every command.
const LIST: usize = 34;

/// All visible commands, beginning with the command line itself.
fn commands() -> Vec<Command> {
    let mut root = Cli::command().disable_help_subcommand(true).term_width(80);
    root.build();
    let visible = root.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    visible.chain([root.clone()]).map(|command| command.term_width(80)).collect()
}

/// The lines of an `Examples:` block: the command without its remark, a pipe, or a redirection.
fn examples(command: &Command) -> Vec<String> {
    let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let lines = text.lines().skip_while(|line| *line != "Examples:").skip(1);
    let lines = lines.map_while(|line| line.strip_prefix("  "));
    let cut = |line: &str| {
        let ends = ["   ", " | ", " > ", " >> "].map(|mark| line.find(mark));
        line[..ends.into_iter().flatten().min().unwrap_or(line.len())].to_owned()
    };
    lines.map(cut).collect()
}

#[test]
fn short_help_fits_a_screen() {
    for mut command in commands() {
        let help = command.render_help().to_string();
        let name = command.get_name();
        let most = match name {
            "manada" => LIST,
            "run" | "hit" | "shift" => LONG,
            _ => SHORT,
        };
        assert!(help.lines().count() <= most, "{name}: {} lines\n{help}", help.lines().count());
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{help}");
    }
}

#[test]
fn examples_of_the_long_help_parse() {
    let mut parsed = 0;
    for command in commands() {
        let examples = examples(&command);
        assert!(!examples.is_empty(), "{} has no examples", command.get_name());
        for example in examples {
            let words = shlex::split(&example).unwrap();
            let (words, _) = spellings::rewrite(words.into_iter().map(Into::into));
            let result = Cli::try_parse_from(words);
            assert!(result.is_ok(), "{example}: {}", result.unwrap_err());
            parsed += 1;
        }
    }
    assert!(parsed > 30, "{parsed}");
}

#[test]
fn long_help_has_every_option_and_ends_with_its_last_section() {
    for command in commands() {
        let help = command.clone().render_long_help().to_string();
        for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
            if let Some(long) = option.get_long() {
                assert!(help.contains(&format!("--{long}")), "{help}");
            }
        }
        // Long lines wrap with the terminal.
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let extra = command.get_after_long_help().unwrap().to_string();
        assert!(words(&help).ends_with(&words(&extra)), "{help}");
    }
}

#[test]
fn each_command_has_a_man_page_without_warnings() {
    let pages = man::pages(Cli::command()).unwrap();
    let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
    for command in commands() {
        let name = command.get_display_name().unwrap_or("manada");
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for page in &pages {
        let text = String::from_utf8(page.text.clone()).unwrap();
        assert!(text.contains(&format!(".TH {} 1 ", page.name)), "{text}");
        assert!(text.contains(".SH EXAMPLES"), "{text}");
        for (tool, args) in [
            ("mandoc", &["-Tlint", "-Wwarning"][..]),
            ("groff", &["-man", "-z", "-ww", "-Kutf8", "-rLL=100n"]),
        ] {
            if let Some(complaints) = lint(tool, args, &page.text) {
                assert_eq!(complaints, "", "{tool} of {}:\n{text}", page.name);
            }
        }
    }
}

/// What a checker of man pages says of a page; `None` if this machine has no such program.
fn lint(tool: &str, args: &[&str], page: &[u8]) -> Option<String> {
    let mut child = Process::new(tool)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(page).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn wrong_words_get_a_suggestion() {
    for (line, near) in [
        ("manada rn x", "'run'"),
        ("manada pln x", "'plan'"),
        ("manada run x --usres 3", "'--users'"),
        ("manada run x --ui tiu", "'tui'"),
        ("manada schema archtype", "'archetype'"),
        ("manada hit u --format k5", "'k6'"),
    ] {
        let mut error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        add_suggestions(&mut error, line.split(' ').nth(1).unwrap());
        let text = error.render().to_string();
        let tip = text.lines().find(|line| line.contains("tip:")).unwrap_or_default();
        assert!(tip.contains(near), "{line}: {text}");
    }
}

#[test]
fn date_of_the_man_pages_is_that_of_the_changelog() {
    let changes = include_str!("../../CHANGELOG.md");
    let head = format!("## [{}] - {}", env!("CARGO_PKG_VERSION"), man::RELEASED);
    assert!(changes.lines().any(|line| line == head), "CHANGELOG.md has no line `{head}`");
}

/// Returns what is printed for these arguments, which are wrong.
fn error_of(line: &str) -> String {
    let words = shlex::split(line).unwrap();
    let name = words[1].clone();
    let (words, _) = spellings::rewrite(words.into_iter().map(Into::into));
    let mut error = Cli::try_parse_from(words).unwrap_err();
    add_suggestions(&mut error, &name);
    let text = error.render().to_string();
    redacted(&text).unwrap_or(text)
}

#[test]
fn flags_of_other_tools_are_errors_with_advice() {
    for (line, tip) in [
        ("manada hit --vus 5 u", "tip: for users: '-c 5'"),
        ("manada hit --vus=5 u", "tip: for users: '-c 5'"),
        ("manada hit -R 100 u", "tip: for a rate: '-r 100/s'"),
        ("manada hit -R100 u", "tip: for a rate: '-r 100/s'"),
        ("manada hit -t 4 u", "tip: for a timeout: '--timeout 5s'; for threads: '--shards 2'"),
        ("manada hit -T a/b u", "tip: for a content type: \"-H 'content-type: application/json'\""),
        ("manada hit -o f u", "tip: for a file of the results: '--report results.json'"),
        ("manada hit --no-tui u", "tip: without a dashboard: '--ui plain'"),
        ("manada hit -X POST u", "tip: for a method: '-m POST'"),
        ("manada hit -d '{\"a\": 1}' u", "tip: for a body: \"-b '{}'\", or '-b @FILE'"),
        ("manada run --vus 5 s.yaml", "tip: for users: '--users 5'"),
        ("manada run -k s.yaml", "tip: to accept any certificate, write 'tls: { insecure: true }'"),
        ("manada run --summary-export f s.yaml", "results: '--report summary.json'"),
    ] {
        let error = error_of(line);
        assert!(error.contains(tip), "{line}: {error}");
        assert!(!error.contains("similar argument"), "{line}: {error}");
        assert_eq!(error.matches("tip:").count(), 1, "{line}: {error}");
    }
    let usage = "Usage: manada hit [OPTIONS] [URL]...";
    assert!(error_of("manada hit --vus 5 u").contains(usage));
    // A misspelt duration, and a flag of no tool, keep the words of clap.
    assert!(!error_of("manada hit -d 5x u").contains("tip:"));
    assert!(error_of("manada hit --timeot 5s u").contains("'--timeout'"));
}

#[test]
fn placeholders_are_no_credentials() {
    let error = error_of("manada hit --user");
    assert!(error.contains("for '--user <USER:PASSWORD>' but none"), "{error}");
    assert!(error_of("manada hit --usr x u").contains("--user <USER:PASSWORD>"));
    let error = error_of("manada hit -d https://me:zq7@h/ u");
    assert!(error.contains("***@h") && !error.contains("zq7"), "{error}");
}

#[test]
fn md_is_a_short_name_of_markdown() {
    let words = |form: &str| Cli::try_parse_from(["manada", "hit", "u", "--report", form]);
    let reports = |form: &str| match words(form).unwrap().command {
        super::CliCommand::Hit(args) => format!("{args:?}"),
        _ => unreachable!("the words are those of `hit`"),
    };
    assert_eq!(reports("md:-"), reports("markdown:-"));
    assert_eq!(reports("md:x"), reports("markdown:x"));
}
