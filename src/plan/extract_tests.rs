//! Captures and checks against answers that are right, wrong and hostile.

use super::*;
use crate::seed::{Seed, Stream};
use serde_json::json;

const BODY: &[u8] = br#"{"items":[{"id":1,"n":"a"},{"id":2},{"id":3.5}],"ok":true,"none":null}"#;
const HEAD: &[u8] = b"Content-Type: application/json; charset=utf-8\r\nSet-Cookie: a=1\r\n\
    set-cookie:  b=2 \r\nX-Bad: \xff\r\n\r\n";

fn answer<'a>(head: &'a [u8], body: &'a [u8]) -> Answer<'a> {
    Answer { status: 200, head, body, cookies: &[], service: Duration::from_millis(20) }
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
        (What::Body(b"\"ok\":true".to_vec()), true),
        (What::Body(b"sorry".to_vec()), false),
        (What::Json(path("$.items[0].id"), json!(1.0)), true),
        (What::Json(path("$.items[0]"), json!({"n": "a", "id": 1})), true),
        (What::Json(path("$.ok"), json!("true")), false),
        (What::Json(path("$.missing"), json!(null)), false),
        (What::Service(Op::Less, Duration::from_millis(21)), true),
        (What::Service(Op::Less, Duration::from_millis(20)), false),
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
