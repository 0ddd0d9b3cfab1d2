//! `capture`: values that a step extracts from its response.
//!
//! `step` calls it; `extract` applies the result.
//! Invariant: paths and expressions are parsed here, so that they cannot fail later.

use regex::bytes::{Regex, RegexBuilder};

#[cfg(feature = "css")]
use crate::extract::CssSelector;
use crate::extract::{BoundedPath, Capture, CaptureSource, MatchPick};
use crate::protocol::Protocol;
use crate::scenario::nouns::grpc::GRPC_CAPTURE;
use crate::scenario::nouns::operations::REPLY_CAPTURE;
use crate::scenario::nouns::responses::{CAPTURE, PICKS};
use crate::scenario::nouns::sql::SQL_CAPTURE;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values;

/// Maximum length of a CSS selector, bytes, because its parser uses stack for each bracket.
#[cfg(feature = "css")]
const MAX_SELECTOR: usize = 500;

/// Maximum memory of a compiled expression: 1 MiB.
const MAX_REGEX: usize = 1 << 20;

/// Maximum length of a JSONPath, bytes, because its parser uses stack for each bracket.
const MAX_PATH: usize = 500;

/// Maximum filters in a path, because its parser repeats each alternative for each nested one.
const MAX_NESTED: usize = 4;

/// Compiles the captures of a step; `names` are the variables of its archetype by slot.
pub(crate) fn captures(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Vec<Capture> {
    let expected = "a map of variables, such as `{ token: { json: \"$.token\" } }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return Vec::new() };
    entries.iter().filter_map(|(key, node)| capture(diagnostics, key, node, names)).collect()
}

/// Compiles the captures of a response of this protocol, which is not HTTP.
pub(crate) fn of_reply(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
    protocol: Protocol,
) -> Vec<Capture> {
    let expected = "a map of variables, such as `{ price: { value: true } }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return Vec::new() };
    let one = |(key, node): &(NodeKey, Node)| reply(diagnostics, (key, node), names, protocol);
    entries.iter().filter_map(one).collect()
}

fn reply(
    diagnostics: &mut Diagnostics,
    (key, node): (&NodeKey, &Node),
    names: &[String],
    protocol: Protocol,
) -> Option<Capture> {
    let (is_grpc, has_columns) = (protocol == Protocol::Grpc, protocol == Protocol::Postgres);
    let noun = match protocol {
        Protocol::Grpc => &GRPC_CAPTURE,
        Protocol::Postgres => &SQL_CAPTURE,
        _ => &REPLY_CAPTURE,
    };
    let mut fields = Fields::read(diagnostics, node, noun)?;
    let json = fields.take("json").map(|node| path(diagnostics, node).map(CaptureSource::Json));
    let value = fields.take("value");
    let value =
        value.map(|node| values::only(diagnostics, node, true).and_then(|()| whole(is_grpc)));
    let header = if is_grpc { fields.take("header") } else { None };
    let header = header.map(|node| {
        let name = values::plain_text(diagnostics, node, "a name in metadata or trailers")?;
        Some(CaptureSource::Header(name.to_owned()))
    });
    let group = fields.take("group");
    let regex = fields.take("regex").map(|node| regex(diagnostics, node));
    let regex = regex.map(|regex| group_of(diagnostics, regex?, group));
    let pick = fields.word(diagnostics, "pick", &PICKS);
    let column_node = if has_columns { fields.take("column") } else { None };
    let column = column_node
        .map(|node| column(diagnostics, node, pick.unwrap_or_default()).map(CaptureSource::Json));
    let before = diagnostics.count();
    fields.finish(diagnostics);
    let sources: Vec<_> = [json, value, regex, column, header].into_iter().flatten().collect();
    if sources.len() != 1 && diagnostics.count() == before {
        diagnostics.mistake(node.span, "a capture has one source").expected(noun.form);
    }
    Some(Capture {
        variable: names.iter().position(|name| *name == key.name)?,
        name: format!("capture {}", key.name),
        source: sources.into_iter().next()??,
        pick: pick.unwrap_or_default(),
    })
}

/// The path of a column's values: in the first or last row, or in all of them.
fn column(diagnostics: &mut Diagnostics, node: &Node, pick: MatchPick) -> Option<BoundedPath> {
    let expected = "the name of a column, such as price";
    let name = values::plain_text(diagnostics, node, expected)?;
    if name.is_empty() || name.len() > MAX_COLUMN || name.chars().any(char::is_control) {
        return values::report_wrong(diagnostics, node, expected);
    }
    let row = match pick {
        MatchPick::First => "0",
        MatchPick::Last => "-1",
        MatchPick::Random | MatchPick::All => "*",
    };
    let quoted = name.replace('\\', r"\\").replace('\'', r"\'");
    format!("$[{row}]['{quoted}']").parse().ok()
}

/// The longest name of a column, bytes: PostgreSQL has 63, and may be built with more.
const MAX_COLUMN: usize = 200;

/// The whole response: a message of gRPC is JSON.
fn whole(is_grpc: bool) -> Option<CaptureSource> {
    if is_grpc {
        return parse_path("$").ok().map(CaptureSource::Json);
    }
    Some(CaptureSource::Value)
}

fn capture(
    diagnostics: &mut Diagnostics,
    key: &NodeKey,
    node: &Node,
    names: &[String],
) -> Option<Capture> {
    let mut fields = Fields::read(diagnostics, node, &CAPTURE)?;
    let json = fields.take("json").map(|node| path(diagnostics, node).map(CaptureSource::Json));
    let regex = fields.take("regex").map(|node| regex(diagnostics, node));
    let group = fields.entry("group");
    let header = fields.take("header").map(|node| {
        let name = values::plain_text(diagnostics, node, "the name of a header")?;
        Some(CaptureSource::Header(name.to_owned()))
    });
    let cookie = fields.take("cookie").map(|node| {
        let name = values::plain_text(diagnostics, node, "the name of a cookie")?;
        Some(CaptureSource::Cookie(name.to_owned()))
    });
    let (selector, attribute) = (fields.take("css"), fields.take("attribute"));
    let css = selector.map(|node| css(diagnostics, node, attribute));
    let pick = fields.word(diagnostics, "pick", &PICKS);
    let before = diagnostics.count();
    fields.finish(diagnostics);
    if let (Some((key, _)), None) = (group, &regex) {
        diagnostics.mistake(key.span, "`group` needs `regex`");
    }
    let regex = regex.map(|regex| group_of(diagnostics, regex?, group.map(|(_, node)| node)));
    let sources: Vec<Option<CaptureSource>> =
        [json, regex, header, cookie, css].into_iter().flatten().collect();
    if sources.len() != 1 && diagnostics.count() == before {
        diagnostics.mistake(node.span, "a capture has one source").expected(
            "one of `json: \"$.path\"`, `regex: \"id=(\\d+)\"`, `header: name`, `cookie: name` \
             or `css: \"form input\"`",
        );
    }
    Some(Capture {
        variable: names.iter().position(|name| *name == key.name)?,
        name: format!("capture {}", key.name),
        source: sources.into_iter().next()??,
        pick: pick.unwrap_or_default(),
    })
}

/// Selects the captured group: the given one, else the first, else the whole match.
fn group_of(
    diagnostics: &mut Diagnostics,
    regex: Regex,
    group: Option<&Node>,
) -> Option<CaptureSource> {
    let groups = regex.captures_len() as u64 - 1;
    let Some(node) = group else {
        return Some(CaptureSource::Regex(regex, groups.min(1) as usize));
    };
    if let NodeKind::Text(name) = &node.kind {
        let names: Vec<&str> = regex.capture_names().flatten().collect();
        let index = regex.capture_names().position(|known| known == Some(name.as_str()));
        if index.is_none() {
            let mistake =
                diagnostics.mistake(node.span, format!("the regex has no group `{name}`"));
            mistake.expected(match names.as_slice() {
                [] => "a number, since its groups have no names".to_owned(),
                names => format!("one of {}", values::list_names(names)),
            });
        }
        return index.map(|index| CaptureSource::Regex(regex, index));
    }
    let index = values::count(diagnostics, node, 0, groups)?;
    Some(CaptureSource::Regex(regex, index as usize))
}

/// Compiles a regular expression over bytes, with linear run time.
pub(crate) fn regex(diagnostics: &mut Diagnostics, node: &Node) -> Option<Regex> {
    let text = values::plain_text(diagnostics, node, "a regular expression such as \"id=(\\d+)\"")?;
    let built = RegexBuilder::new(text).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
    match built {
        Ok(regex) => Some(regex),
        Err(problem) => {
            // The message has several lines with a picture; the last line names the problem.
            let problem = problem.to_string();
            let last = problem.lines().last().unwrap_or_default();
            let last = last.strip_prefix("error: ").unwrap_or(last);
            diagnostics
                .mistake(node.span, format!("invalid regular expression: {last}"))
                .expected("RE2 syntax, without look-around and back-references");
            None
        }
    }
}

#[cfg(feature = "css")]
fn css(
    diagnostics: &mut Diagnostics,
    node: &Node,
    attribute: Option<&Node>,
) -> Option<CaptureSource> {
    let text =
        values::plain_text(diagnostics, node, "a CSS selector such as \"input[name=csrf]\"")?;
    let attribute = match attribute {
        Some(node) => {
            Some(values::plain_text(diagnostics, node, "the name of an attribute")?.to_owned())
        }
        None => None,
    };
    if text.len() > MAX_SELECTOR {
        let message = format!("a selector of more than {MAX_SELECTOR} bytes");
        diagnostics.mistake(node.span, message).expected("one such as \"form input[name=csrf]\"");
        return None;
    }
    match CssSelector::parse(text) {
        Some(selector) => Some(CaptureSource::Css(selector, attribute)),
        None => {
            let message = format!("invalid CSS selector `{}`", truncate(text));
            diagnostics
                .mistake(node.span, message)
                .expected("one such as \"form input[name=csrf]\"");
            None
        }
    }
}

#[cfg(not(feature = "css"))]
fn css(
    diagnostics: &mut Diagnostics,
    node: &Node,
    _attribute: Option<&Node>,
) -> Option<CaptureSource> {
    diagnostics
        .mistake(node.span, "this binary was built without CSS selectors")
        .help("build with `--features css`, or use `regex`");
    None
}

fn path(diagnostics: &mut Diagnostics, node: &Node) -> Option<BoundedPath> {
    let text = values::plain_text(diagnostics, node, "a JSONPath such as \"$.items[0].id\"")?;
    parse_path(text)
        .map_err(|problem| {
            diagnostics
                .mistake(node.span, format!("invalid JSONPath: {problem}"))
                .expected("a path such as \"$.items[0].id\" or \"$..id\" (RFC 9535)");
        })
        .ok()
}

/// Parses a key that is a JSONPath, or reports what is wrong with it.
pub(crate) fn path_of_key(diagnostics: &mut Diagnostics, key: &NodeKey) -> Option<BoundedPath> {
    parse_path(&key.name)
        .map_err(|problem| {
            diagnostics
                .mistake(key.span, format!("invalid JSONPath: {problem}"))
                .expected("a path such as \"$.items[0].id\" (RFC 9535)");
        })
        .ok()
}

/// Parses a JSONPath within limits.
fn parse_path(text: &str) -> Result<BoundedPath, String> {
    if !text.starts_with('$') {
        return Err("it does not start with `$`".to_owned());
    }
    if text.len() > MAX_PATH {
        return Err(format!("it has more than {MAX_PATH} bytes"));
    }
    let count = |sign: char| text.matches(sign).count();
    if count('?') > MAX_NESTED || count('(') > 2 * MAX_NESTED {
        return Err("it has too many filters or brackets".to_owned());
    }
    text.parse::<BoundedPath>().map_err(|error| match error.message() {
        "parser error" => {
            let rest = text.get(error.position()..).unwrap_or_default();
            format!("syntax error at `{}`", truncate(rest))
        }
        message => message.to_owned(),
    })
}
