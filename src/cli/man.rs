//! `manada man`: man pages, made from the command line's own description.
//!
//! Invariant: each visible command has a page; the text is that of `--help`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::output::{finish, print_error};
use crate::exit::ExitStatus;
use crate::suggest::did_you_mean;

/// Date of this version in the pages: that of CHANGELOG.md, so that builds are reproducible.
pub(super) const RELEASED: &str = "2026-11-29";

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada man | man -l -
  manada man run | man -l -
  manada man --out ~/.local/share/man/man1")]
pub(super) struct Args {
    /// Command, e.g. run (default: the overview)
    #[arg(conflicts_with = "out")]
    command: Option<String>,
    /// Write all pages to a folder, e.g. ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints a page, or writes all of them. `root` is the whole command line.
pub(super) fn run(args: &Args, root: Command) -> ExitStatus {
    let pages = match pages(root) {
        Ok(pages) => pages,
        Err(error) => {
            print_error(&format_args!("cannot make the man pages: {error}"));
            return ExitStatus::Broken;
        }
    };
    if let Some(folder) = &args.out {
        return match write(folder, &pages) {
            Ok(()) => ExitStatus::Pass,
            Err(error) => {
                print_error(&format_args!("cannot write to {}: {error}", folder.display()));
                ExitStatus::Broken
            }
        };
    }
    let wanted = args.command.as_ref().map_or("manada".into(), |name| format!("manada-{name}"));
    match pages.iter().find(|page| page.name == wanted) {
        Some(page) => finish(io::stdout().write_all(&page.text), ExitStatus::Pass),
        None => {
            print_error(&unknown_command(args.command.as_deref().unwrap_or_default(), &pages));
            ExitStatus::Usage
        }
    }
}

/// Names the commands that have a page, and the one that `name` resembles.
fn unknown_command(name: &str, pages: &[ManPage]) -> String {
    let known: Vec<&str> =
        pages.iter().filter_map(|page| page.name.strip_prefix("manada-")).collect();
    let suggestion = did_you_mean(name, known.iter().copied());
    format!("unknown command `{name}`; expected one of {}{suggestion}", known.join(", "))
}

/// A man page in roff.
pub(super) struct ManPage {
    /// `manada`, or `manada-COMMAND`.
    pub(super) name: String,
    /// Its content.
    pub(super) text: Vec<u8>,
}

/// Makes the pages of a command and of its visible subcommands.
///
/// # Errors
/// None in practice: the pages are written to memory.
pub(super) fn pages(root: Command) -> io::Result<Vec<ManPage>> {
    let mut root = root.disable_help_subcommand(true);
    root.build();
    // The library leaves the text of an option out that is not in `-h` and has no longer text.
    let root = root.mut_subcommands(|command| command.mut_args(with_long_help));
    let visible = root.get_subcommands().filter(|command| !command.is_hide_set());
    let commands: Vec<Command> = std::iter::once(&root).chain(visible).cloned().collect();
    commands.into_iter().map(page).collect()
}

fn with_long_help(arg: Arg) -> Arg {
    match arg.get_long_help().or(arg.get_help()).cloned() {
        Some(text) => arg.long_help(text),
        None => arg,
    }
}

fn page(command: Command) -> io::Result<ManPage> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let extra = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let has_subcommands = command.has_subcommands();
    let source = concat!("manada ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).date(RELEASED).source(source).manual("User Commands");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_subcommands {
        man.render_subcommands_section(&mut text)?;
    }
    sections(&extra).to_writer(&mut text)?;
    Ok(ManPage { name, text: tidied(&text) })
}

/// A page without what checkers of man pages reject: definitions that each section repeats, blank
/// lines, and blanks at the end of a line.
fn tidied(page: &[u8]) -> Vec<u8> {
    let page = String::from_utf8_lossy(page);
    let is_definition = |line: &str| line.starts_with(".ie ") || line.starts_with(".el ");
    let (head, body): (Vec<_>, Vec<_>) = page.lines().partition(|line| is_definition(line));
    let mut lines: Vec<&str> = head.into_iter().take(2).collect();
    for line in body {
        match (line.trim_end(), lines.last().copied()) {
            ("" | ".br", Some(".br")) | (".br", Some(".sp")) => {}
            ("", _) => lines.push(".sp"),
            (line, _) => lines.push(line),
        }
    }
    lines.into_iter().flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

/// Lays out the text after the options: `Title:` and `Title (remark):` start a section, indented
/// lines stay as they are.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    let mut is_verbatim = false;
    for line in text.lines() {
        let indented = line.strip_prefix("  ");
        if is_verbatim != indented.is_some() {
            roff.control(if is_verbatim { "fi" } else { "nf" }, []);
            is_verbatim = !is_verbatim;
        }
        match (indented, line.strip_suffix(':')) {
            (Some(line), _) => roff.text([roman(line)]),
            (None, Some(title)) => {
                let (title, remark) = title.split_once(" (").unwrap_or((title, ""));
                roff.control("SH", [title.to_uppercase().as_str()]);
                match remark.strip_suffix(')') {
                    Some(remark) => roff.text([roman(remark)]),
                    None => &mut roff,
                }
            }
            (None, None) if line.is_empty() => &mut roff,
            (None, None) => roff.text([roman(line)]),
        };
    }
    if is_verbatim {
        roff.control("fi", []);
    }
    roff
}

/// Writes the pages to a folder, which is made if it is missing.
fn write(folder: &Path, pages: &[ManPage]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut written =
        pages.iter().map(|page| fs::write(folder.join(format!("{}.1", page.name)), &page.text));
    written.try_for_each(|one| one)
}
