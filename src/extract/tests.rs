//! Captures and checks on valid, invalid and hostile responses.

use std::cell::Cell;
use std::time::Duration;

use regex::bytes::Regex;

use super::limits::{MAX_JSON, MAX_SEARCHED};
use super::*;
use crate::seed::{Seed, Stream};
use crate::template::Value;
use crate::verdict::Comparison;
use serde_json::json;

const BODY: &[u8] = br#"{"items":[{"id":1,"n":"a"},{"id":2},{"id":3.5}],"ok":true,"none":null}"#;
const HEAD: &[u8] = b"Content-Type: application/json; charset=utf-8\r\nSet-Cookie: a=1\r\n\
    set-cookie:  b=2 \r\nX-Bad: \xff\r\n\r\n";

fn response<'a>(head: &'a [u8], body: &'a [u8]) -> ResponseView<'a> {
    let (service, first_byte) = (Duration::from_millis(20), Duration::from_millis(15));
    let body = Some(BodyView { bytes: body, text: body });
    ResponseView { status: 200, head, body, cookies: &[], service, first_byte, streamed: None }
}

fn path(text: &str) -> BoundedPath {
    text.parse().unwrap()
}

fn find(source: CaptureSource, pick: MatchPick, head: &[u8], body: &[u8]) -> Option<String> {
    let mut rng = Seed::new(3).unwrap().rng(Stream::Content, 0, 0);
    let capture = Capture { variable: 0, name: "capture x".into(), source, pick };
    let found = capture.find(&ParsedResponse::new(response(head, body)), &mut rng)?;
    Some(serde_json::to_string(&found).unwrap())
}

#[test]
fn captures_keep_types_and_select_matches() {
    let json = |text: &str, pick| find(CaptureSource::Json(path(text)), pick, HEAD, BODY);
    let header = |name: &str, pick| find(CaptureSource::Header(name.into()), pick, HEAD, BODY);
    for (found, expect) in [
        (json("$.items[*].id", MatchPick::First), Some("1")),
        (json("$.items[*].id", MatchPick::Last), Some("3.5")),
        (json("$.items[*].id", MatchPick::All), Some("[1,2,3.5]")),
        (json("$.ok", MatchPick::First), Some("true")),
        (json("$.none", MatchPick::First), Some("null")),
        (json("$.items[0]", MatchPick::First), Some(r#"{"id":1,"n":"a"}"#)),
        (json("$.nothing", MatchPick::First), None),
        (header("CONTENT-TYPE", MatchPick::First), Some(r#""application/json; charset=utf-8""#)),
        (header("set-cookie", MatchPick::Last), Some(r#""b=2""#)),
        (header("set-cookie", MatchPick::All), Some(r#"["a=1","b=2"]"#)),
        (header("x-bad", MatchPick::First), Some("\"\u{ff}\"")),
        (header("x-none", MatchPick::First), None),
    ] {
        assert_eq!(found.as_deref(), expect);
    }
    let random = json("$.items[*].id", MatchPick::Random).unwrap();
    assert!(["1", "2", "3.5"].contains(&random.as_str()));
}

#[test]
fn hostile_responses_have_no_matches() {
    let deep = "[".repeat(100_000);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_CAPTURE + 1));
    let many = format!("[{}1]", "1,".repeat(MAX_CAPTURE));
    for (body, text, pick) in [
        ("", "$.a", MatchPick::First),
        ("<html>", "$.a", MatchPick::First),
        ("\u{0}", "$", MatchPick::First),
        (deep.as_str(), "$..*", MatchPick::Random),
        (long.as_str(), "$.a", MatchPick::First),
        (many.as_str(), "$[*]", MatchPick::All),
        (many.as_str(), "$", MatchPick::First),
    ] {
        assert_eq!(
            find(CaptureSource::Json(path(text)), pick, b"", body.as_bytes()),
            None,
            "{text}"
        );
    }
    for head in [&b""[..], b":", b"\n\n:\n", b"no colon\r\n", b"x\xff: 1"] {
        assert_eq!(find(CaptureSource::Header("x".into()), MatchPick::First, head, b""), None);
    }
}

#[test]
fn checks_hold_or_fail() {
    let equals = |text: &str| TextCondition::Equals(text.into());
    let contains = |text: &str| TextCondition::Contains(text.into());
    for (what, expect) in [
        (CheckCondition::Status(vec![200, 201]), true),
        (CheckCondition::Status(vec![404]), false),
        (CheckCondition::Header("content-type".into(), contains("json")), true),
        (CheckCondition::Header("content-type".into(), equals("application/json")), false),
        (CheckCondition::Header("set-cookie".into(), equals("b=2")), true),
        (CheckCondition::Header("x-none".into(), contains("")), false),
        (CheckCondition::Body(TextCondition::Contains("\"ok\":true".into())), true),
        (CheckCondition::Body(TextCondition::StartsWith("{\"items\"".into())), true),
        (CheckCondition::Body(TextCondition::StartsWith("\"ok\"".into())), false),
        (CheckCondition::Body(TextCondition::Lacks("\"ok\":true".into())), false),
        (CheckCondition::Body(TextCondition::Matches(Regex::new(r"id.:\d").unwrap())), true),
        (CheckCondition::Body(TextCondition::Matches(Regex::new("^id").unwrap())), false),
        (CheckCondition::Size(Comparison::Less, BODY.len() as u64), false),
        (CheckCondition::Size(Comparison::AtMost, BODY.len() as u64), true),
        (
            CheckCondition::Time(
                CheckedTime::FirstByte,
                Comparison::Less,
                Duration::from_millis(16),
            ),
            true,
        ),
        (
            CheckCondition::Time(
                CheckedTime::FirstByte,
                Comparison::Less,
                Duration::from_millis(15),
            ),
            false,
        ),
        (CheckCondition::Body(TextCondition::Contains("sorry".into())), false),
        (CheckCondition::Json(path("$.items[0].id"), json!(1.0)), true),
        (CheckCondition::Json(path("$.items[0]"), json!({"n": "a", "id": 1})), true),
        (CheckCondition::Json(path("$.ok"), json!("true")), false),
        (CheckCondition::Json(path("$.missing"), json!(null)), false),
        (
            CheckCondition::Time(CheckedTime::Service, Comparison::Less, Duration::from_millis(21)),
            true,
        ),
        (
            CheckCondition::Time(CheckedTime::Service, Comparison::Less, Duration::from_millis(20)),
            false,
        ),
    ] {
        let check = Check { name: String::new(), what };
        assert_eq!(check.holds(&ParsedResponse::new(response(HEAD, BODY))), expect, "{check:?}");
    }
}

#[test]
fn cookies_come_from_response_then_jar() {
    let had = [("a".to_owned(), "old".to_owned()), ("b".to_owned(), "2".to_owned())];
    let head = b"Set-Cookie: a=new; Path=/\r\nset-cookie: c = 3 ; Secure\r\n";
    let mut rng = Seed::new(3).unwrap().rng(Stream::Content, 0, 0);
    for (name, expect) in [("a", Some("new")), ("b", Some("2")), ("c", Some("3")), ("d", None)] {
        let reading = ParsedResponse::new(ResponseView { cookies: &had, ..response(head, b"") });
        let capture = Capture {
            variable: 0,
            name: String::new(),
            source: CaptureSource::Cookie(name.to_owned()),
            pick: MatchPick::First,
        };
        let found = capture.find(&reading, &mut rng);
        assert_eq!(found, expect.map(Value::from), "{name}");
    }
}

const PAGE: &[u8] = br#"<html><body><form action="/buy"><input name=csrf value='a"1'>
<input name="qty" value=2></form><ul><li class="p">Tea <b>cup</b></li><li class="p">Pot</li>"#;

#[test]
fn expressions_and_selectors_find_texts() {
    let regex = |text: &str, group, pick| {
        find(CaptureSource::Regex(Regex::new(text).unwrap(), group), pick, HEAD, PAGE)
    };
    for (found, expect) in [
        (regex(r#"action="([^"]+)""#, 1, MatchPick::First), Some(r#""/buy""#)),
        (regex(r"name=\W?(\w+)", 1, MatchPick::All), Some(r#"["csrf","qty"]"#)),
        (regex(r"value=(?<n>\d)", 1, MatchPick::Last), Some(r#""2""#)),
        (regex("<li", 0, MatchPick::First), Some(r#""<li""#)),
        (regex("nothing", 0, MatchPick::First), None),
        (regex("(x)?<li", 1, MatchPick::First), None),
    ] {
        assert_eq!(found.as_deref(), expect);
    }
    assert_eq!(
        find(
            CaptureSource::Regex(Regex::new("(?-u:\\xff)").unwrap(), 0),
            MatchPick::First,
            HEAD,
            b"\xff"
        ),
        None
    );
}

#[cfg(feature = "css")]
#[test]
fn selectors_find_attributes_and_texts() {
    let css = |text: &str, attribute: Option<&str>, pick| {
        let selector = CssSelector::parse(text).unwrap();
        find(CaptureSource::Css(selector, attribute.map(str::to_owned)), pick, HEAD, PAGE)
    };
    for (found, expect) in [
        (css("input[name=csrf]", Some("value"), MatchPick::First), Some(r#""a\"1""#)),
        (css("li.p", None, MatchPick::All), Some(r#"["Tea cup","Pot"]"#)),
        (css("li.p", None, MatchPick::Last), Some(r#""Pot""#)),
        (css("li.p", Some("href"), MatchPick::First), None),
        (css("table", None, MatchPick::First), None),
    ] {
        assert_eq!(found.as_deref(), expect);
    }
    // A text without markup is a page, too; depth takes no stack.
    let selector = || CssSelector::parse("b").unwrap();
    let deep = "<b>".repeat(50_000);
    for body in [&b"\xff\x00"[..], b"", b"{}", deep.as_bytes()] {
        find(CaptureSource::Css(selector(), None), MatchPick::First, HEAD, body);
    }
}

/// Whether a capture of `body` fails by its work limit.
fn is_too_complex(source: CaptureSource, pick: MatchPick, body: &[u8]) -> bool {
    let mut rng = Seed::new(3).unwrap().rng(Stream::Content, 0, 0);
    let capture = Capture { variable: 0, name: "capture x".into(), source, pick };
    let reading = ParsedResponse::new(response(HEAD, body));
    let found = capture.find(&reading, &mut rng);
    let is_too_complex = reading.is_too_complex.get();
    assert!(found.is_none() || !is_too_complex);
    is_too_complex
}

#[test]
fn captures_beyond_their_work_limit_fail() {
    let json = |text: &str| CaptureSource::Json(path(text));
    let regex = |text: &str| CaptureSource::Regex(Regex::new(text).unwrap(), 0);
    let deep = format!("{}1{}", "[0,".repeat(120), "]".repeat(120)).into_bytes();
    let values = format!("[{}1]", "1,".repeat(MAX_JSON)).into_bytes();
    let commas = format!("[\"{}\\\\\",\"{}\"]", ",".repeat(MAX_JSON), "[".repeat(9)).into_bytes();
    let long = vec![b'x'; MAX_SEARCHED + 1];
    let page = "<a>".repeat(400_000).into_bytes();
    for (source, pick, body, expect) in [
        (json("$..*..*..*..*..*"), MatchPick::All, &deep, true),
        (json("$..*"), MatchPick::First, &deep, false),
        (json("$[0]"), MatchPick::First, &values, true),
        (json("$[1]"), MatchPick::First, &commas, false),
        (regex("x"), MatchPick::First, &long, true),
        // Each match searches the whole rest, and is one letter.
        (regex("(?s).*Z|<"), MatchPick::All, &page, true),
        (regex("(?s).*Z|<"), MatchPick::First, &page, false),
    ] {
        assert_eq!(is_too_complex(source.clone(), pick, body), expect, "{source:?} {pick:?}");
    }
}

#[cfg(feature = "css")]
#[test]
fn pages_beyond_their_limits_are_rejected() {
    use super::page::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_NODES};
    let page = |body: String| {
        is_too_complex(
            CaptureSource::Css(CssSelector::parse("i").unwrap(), None),
            MatchPick::First,
            body.as_bytes(),
        )
    };
    let attributes = |count: usize| {
        let all: Vec<String> = (0..count).map(|index| format!("a{index}='>\"'")).collect();
        format!("<p {}><i>x", all.join(" "))
    };
    let nodes = MAX_NODES as usize;
    let formatting = |count: usize| {
        let tags: Vec<String> = (0..count).map(|i| format!("<b a={i}>")).collect();
        tags.concat()
    };
    for (body, expect) in [
        ("<div>".repeat(MAX_DEPTH - 10) + "<i>x", false),
        ("<div>".repeat(MAX_DEPTH + 1), true),
        ("<div>".repeat(80_000), true),
        ("<b><i><a>".repeat(1_000) + &"</b></i></a>".repeat(1_000), true),
        // Formatting elements are created anew in each paragraph.
        (format!("<p>{}</p>{}", formatting(200), "<p>x</p>".repeat(2_000)), true),
        (format!("<p>{}</p>{}", formatting(20), "<p>x</p>".repeat(2_000)), false),
        (attributes(MAX_ATTRIBUTES - 1), false),
        (attributes(MAX_ATTRIBUTES + 1), true),
        (format!("<i>x</i><script>if (a <b) {{ {} }}</script>", "c ".repeat(1_000)), false),
        ("<br>".repeat(nodes / 2), false),
        ("<br>".repeat(nodes + 1), true),
        (" ".repeat(MAX_BYTES + 1), true),
    ] {
        let shown = format!("{} bytes {}", body.len(), &body[..body.len().min(60)]);
        assert_eq!(page(body), expect, "{shown}");
    }
}

#[cfg(feature = "css")]
#[test]
fn visits_of_a_selector_are_counted_and_bounded() {
    use super::page::{self, MAX_VISITS};
    let page = page::parse("<p><u></u><!---->".repeat(20_000).as_bytes()).unwrap();
    let visits = |text: &str, left: u64| {
        let left = Cell::new(left);
        let found = CssSelector::parse(text).unwrap().select(&page, None, usize::MAX, &left);
        (found.len(), left.get())
    };
    // A visit or two for each element, and for each text that is found.
    let (found, left) = visits("u", MAX_VISITS);
    assert_eq!(found, 20_000);
    assert!((40_000..200_000).contains(&(MAX_VISITS - left)), "{}", MAX_VISITS - left);
    // Each paragraph visits all before it: 20,000² / 2.
    for text in ["i ~ p", "p:has(~ i)", "p:not(i ~ p):has(i)"] {
        let (_, left) = visits(text, MAX_VISITS);
        assert_eq!(left, 0, "{text}");
        let css = || CaptureSource::Css(CssSelector::parse(text).unwrap(), None);
        assert!(is_too_complex(css(), MatchPick::First, "<p><u></u>".repeat(20_000).as_bytes()));
    }
}
