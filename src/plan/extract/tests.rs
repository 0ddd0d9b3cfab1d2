//! Captures and checks against answers that are right, wrong and hostile.

use regex::bytes::Regex;
use serde_json_path::JsonPath;

use super::*;
use crate::seed::{Seed, Stream};
use crate::verdict::Op;
use serde_json::json;

const BODY: &[u8] = br#"{"items":[{"id":1,"n":"a"},{"id":2},{"id":3.5}],"ok":true,"none":null}"#;
const HEAD: &[u8] = b"Content-Type: application/json; charset=utf-8\r\nSet-Cookie: a=1\r\n\
    set-cookie:  b=2 \r\nX-Bad: \xff\r\n\r\n";

fn answer<'a>(head: &'a [u8], body: &'a [u8]) -> Answer<'a> {
    let (service, first_byte) = (Duration::from_millis(20), Duration::from_millis(15));
    Answer { status: 200, head, body, cookies: &[], service, first_byte }
}

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap()
}

fn find(source: Source, pick: Pick, head: &[u8], body: &[u8]) -> Option<String> {
    let mut rng = Seed::new(3).unwrap().rng(Stream::Content, 0, 0);
    let capture = Capture { variable: 0, name: "capture x".into(), source, pick };
    let found = capture.find(&Reading::new(answer(head, body)), &mut rng)?;
    Some(serde_json::to_string(&found).unwrap())
}

#[test]
fn captures_keep_types_and_pick() {
    let json = |text: &str, pick| find(Source::Json(path(text)), pick, HEAD, BODY);
    let header = |name: &str, pick| find(Source::Header(name.into()), pick, HEAD, BODY);
    for (found, expect) in [
        (json("$.items[*].id", Pick::First), Some("1")),
        (json("$.items[*].id", Pick::Last), Some("3.5")),
        (json("$.items[*].id", Pick::All), Some("[1,2,3.5]")),
        (json("$.ok", Pick::First), Some("true")),
        (json("$.none", Pick::First), Some("null")),
        (json("$.items[0]", Pick::First), Some(r#"{"id":1,"n":"a"}"#)),
        (json("$.nothing", Pick::First), None),
        (header("CONTENT-TYPE", Pick::First), Some(r#""application/json; charset=utf-8""#)),
        (header("set-cookie", Pick::Last), Some(r#""b=2""#)),
        (header("set-cookie", Pick::All), Some(r#"["a=1","b=2"]"#)),
        (header("x-bad", Pick::First), None),
        (header("x-none", Pick::First), None),
    ] {
        assert_eq!(found.as_deref(), expect);
    }
    let random = json("$.items[*].id", Pick::Random).unwrap();
    assert!(["1", "2", "3.5"].contains(&random.as_str()));
}

#[test]
fn hostile_answers_find_nothing() {
    let deep = "[".repeat(100_000);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_CAPTURE + 1));
    let many = format!("[{}1]", "1,".repeat(MAX_CAPTURE));
    for (body, text, pick) in [
        ("", "$.a", Pick::First),
        ("<html>", "$.a", Pick::First),
        ("\u{0}", "$", Pick::First),
        (deep.as_str(), "$..*", Pick::Random),
        (long.as_str(), "$.a", Pick::First),
        (many.as_str(), "$[*]", Pick::All),
        (many.as_str(), "$", Pick::First),
    ] {
        assert_eq!(find(Source::Json(path(text)), pick, b"", body.as_bytes()), None, "{text}");
    }
    for head in [&b""[..], b":", b"\n\n:\n", b"no colon\r\n", b"x\xff: 1"] {
        assert_eq!(find(Source::Header("x".into()), Pick::First, head, b""), None);
    }
}

#[test]
fn checks_hold_or_not() {
    let equals = |text: &str| Text::Equals(text.into());
    let contains = |text: &str| Text::Contains(text.into());
    for (what, expect) in [
        (What::Status(vec![200, 201]), true),
        (What::Status(vec![404]), false),
        (What::Header("content-type".into(), contains("json")), true),
        (What::Header("content-type".into(), equals("application/json")), false),
        (What::Header("set-cookie".into(), equals("b=2")), true),
        (What::Header("x-none".into(), contains("")), false),
        (What::Body(Text::Contains("\"ok\":true".into())), true),
        (What::Body(Text::Lacks("\"ok\":true".into())), false),
        (What::Body(Text::Matches(Regex::new(r"id.:\d").unwrap())), true),
        (What::Body(Text::Matches(Regex::new("^id").unwrap())), false),
        (What::Size(Op::Less, BODY.len() as u64), false),
        (What::Size(Op::AtMost, BODY.len() as u64), true),
        (What::Time(Timing::FirstByte, Op::Less, Duration::from_millis(16)), true),
        (What::Time(Timing::FirstByte, Op::Less, Duration::from_millis(15)), false),
        (What::Body(Text::Contains("sorry".into())), false),
        (What::Json(path("$.items[0].id"), json!(1.0)), true),
        (What::Json(path("$.items[0]"), json!({"n": "a", "id": 1})), true),
        (What::Json(path("$.ok"), json!("true")), false),
        (What::Json(path("$.missing"), json!(null)), false),
        (What::Time(Timing::Service, Op::Less, Duration::from_millis(21)), true),
        (What::Time(Timing::Service, Op::Less, Duration::from_millis(20)), false),
    ] {
        let check = Check { name: String::new(), what };
        assert_eq!(check.holds(&Reading::new(answer(HEAD, BODY))), expect, "{check:?}");
    }
}

#[test]
fn cookies_are_looked_for_in_the_answer_then_in_the_jar() {
    let had = [("a".to_owned(), "old".to_owned()), ("b".to_owned(), "2".to_owned())];
    let head = b"Set-Cookie: a=new; Path=/\r\nset-cookie: c = 3 ; Secure\r\n";
    let mut rng = Seed::new(3).unwrap().rng(Stream::Content, 0, 0);
    for (name, expect) in [("a", Some("new")), ("b", Some("2")), ("c", Some("3")), ("d", None)] {
        let reading = Reading::new(Answer { cookies: &had, ..answer(head, b"") });
        let capture = Capture {
            variable: 0,
            name: String::new(),
            source: Source::Cookie(name.to_owned()),
            pick: Pick::First,
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
        find(Source::Regex(Regex::new(text).unwrap(), group), pick, HEAD, PAGE)
    };
    for (found, expect) in [
        (regex(r#"action="([^"]+)""#, 1, Pick::First), Some(r#""/buy""#)),
        (regex(r"name=\W?(\w+)", 1, Pick::All), Some(r#"["csrf","qty"]"#)),
        (regex(r"value=(?<n>\d)", 1, Pick::Last), Some(r#""2""#)),
        (regex("<li", 0, Pick::First), Some(r#""<li""#)),
        (regex("nothing", 0, Pick::First), None),
        (regex("(x)?<li", 1, Pick::First), None),
    ] {
        assert_eq!(found.as_deref(), expect);
    }
    assert_eq!(
        find(Source::Regex(Regex::new("(?-u:\\xff)").unwrap(), 0), Pick::First, HEAD, b"\xff"),
        None
    );
}

#[cfg(feature = "css")]
#[test]
fn selectors_find_attributes_and_texts() {
    let css = |text: &str, attribute: Option<&str>, pick| {
        let selector = scraper::Selector::parse(text).unwrap();
        find(Source::Css(selector, attribute.map(str::to_owned)), pick, HEAD, PAGE)
    };
    for (found, expect) in [
        (css("input[name=csrf]", Some("value"), Pick::First), Some(r#""a\"1""#)),
        (css("li.p", None, Pick::All), Some(r#"["Tea cup","Pot"]"#)),
        (css("li.p", None, Pick::Last), Some(r#""Pot""#)),
        (css("li.p", Some("href"), Pick::First), None),
        (css("table", None, Pick::First), None),
    ] {
        assert_eq!(found.as_deref(), expect);
    }
    // What is no HTML is a text in a page; depth costs no stack.
    let selector = || scraper::Selector::parse("b").unwrap();
    let deep = "<b>".repeat(50_000);
    for body in [&b"\xff\x00"[..], b"", b"{}", deep.as_bytes()] {
        find(Source::Css(selector(), None), Pick::First, HEAD, body);
    }
}
