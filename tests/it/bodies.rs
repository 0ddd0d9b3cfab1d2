//! Tests of bodies with the wrong coding, charsets, numbers with all their digits, and undefined
//! statuses: what checks, captures and reports make of them.

use std::io::Write;

use serde_json::{Value, json};

use crate::browser::{answer, run, service, serving};
use crate::harness::{Manada, count};
use crate::peer::{Server, Then};

/// Returns how often checks of this name passed, over all steps.
fn passed(report: &Value, name: &str) -> u64 {
    let all = report["checks"].as_array().unwrap();
    let of_name: Vec<_> = all.iter().filter(|check| check["name"] == name).collect();
    assert!(!of_name.is_empty(), "{name} in {report}");
    of_name.iter().map(|check| count(check, "passed")).sum()
}

#[test]
fn undecodable_body_fails_checks_and_keeps_status() {
    let (server, _) = serving(|line| match line.split(' ').nth(1).unwrap_or_default() {
        "/gone" => answer("404 Not Found", "Content-Encoding: br\r\n", "plainly text"),
        "/on" => answer("302 Found", "Location: /end\r\nContent-Encoding: gzip\r\n", "no gzip"),
        "/end" => answer("200 OK", "", "the end"),
        "/five" => answer("200 OK", "Content-Encoding: gzip,gzip,gzip,gzip,gzip\r\n", "x"),
        _ => answer("200 OK", "Content-Encoding: gzip\r\nX-Is: here\r\n", "plainly text"),
    });
    let flow = "[ { get: /a, name: body, check: { status: 200, header: { x-is: here }, \
                body: { lacks: other } } }, { get: /a, name: status, check: { status: 200 } }, \
                { get: /gone, name: gone, capture: { x: { regex: \"(.*)\" } } }, \
                { get: /on, name: on, redirects: 1, check: { body: { contains: end } } }, \
                { get: /five, name: five, check: { size: \"> 0B\" } } ]";
    let report = run(&service(&server), flow, 1);
    assert_eq!(report["status"], json!({ "200": 4, "302": 1, "404": 1 }), "{report}");
    let errors: Vec<(u64, &str, &str)> = report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (count(e, "count"), e["phase"].as_str().unwrap(), e["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(errors, [(2, "body", "undecodable"), (1, "body", "too_many_codings")], "{report}");
    // No check looks at the body of `status`, and `on` is the response at its end.
    assert_eq!((count(&report, "calls.ok"), count(&report, "calls.failed")), (2, 3), "{report}");
    assert_eq!(passed(&report, "status is 200"), 2, "{report}");
    assert_eq!(passed(&report, "header x-is is \"here\""), 1, "{report}");
    assert_eq!(passed(&report, "body lacks \"other\""), 0, "{report}");
    assert_eq!(passed(&report, "body contains \"end\""), 1, "{report}");
    let failures = report["exemplars"].as_array().unwrap();
    let gone = failures.iter().find(|one| one["step"] == "gone").unwrap();
    assert_eq!((&gone["status"], &gone["kind"]), (&json!(404), &json!("body: undecodable")));
}

#[test]
fn text_is_checked_in_its_charset() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    let json = [b"\xfe\xff".to_vec(), utf16("{\"name\": \"caf\u{e9}\"}")].concat();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(b"caf\xe9").unwrap();
    let packed = gzip.finish().unwrap();
    let (server, heads) = serving(move |line| {
        let latin = "Content-Type: text/html; charset=ISO-8859-1\r\n";
        match line.split(' ').nth(1).unwrap_or_default() {
            "/latin" => answer("200 OK", latin, b"<p id=a>caf\xe9</p>"),
            "/meta" => answer(
                "200 OK",
                "Content-Type: text/html\r\n",
                b"<meta charset='latin1'><p id=a>caf\xe9</p>",
            ),
            "/packed" => answer("200 OK", &format!("{latin}Content-Encoding: gzip\r\n"), &packed),
            "/json" => answer("200 OK", "Content-Type: application/json\r\n", &json),
            "/header" => {
                b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n".to_vec()
            }
            _ => answer("200 OK", "", ""),
        }
    });
    let flow = "[ { get: /latin, check: { body: { contains: café }, size: \"== 16B\" }, \
                capture: { a: { regex: \"id=a>(.*)<\" } } }, \
                { get: /meta, check: { body: { matches: \"caf\u{e9}<\" } }, \
                capture: { b: { css: \"#a\" } } }, \
                { get: /packed, check: { body: { equals: café } } }, \
                { get: /json, check: { json: { $.name: café } }, \
                capture: { c: { json: $.name } } }, \
                { get: /header, check: { header: { x-name: café } }, \
                capture: { d: { header: x-name } } }, \
                { get: \"/end?{{ a }}&{{ b }}&{{ c }}&{{ d }}\" } ]";
    let report = run(&service(&server), flow, 1);
    assert_eq!(count(&report, "calls.ok"), 6, "{report}");
    for check in report["checks"].as_array().unwrap() {
        assert_eq!((&check["passed"], &check["failed"]), (&json!(1), &json!(0)), "{report}");
    }
    let last = heads.lock().unwrap().last().unwrap().clone();
    assert!(last.starts_with("GET /end?caf%C3%A9&caf%C3%A9&caf%C3%A9&caf%C3%A9 "), "{last}");
}

#[test]
fn integers_keep_all_their_digits() {
    const LONG: &str = "123456789012345678901234567890";
    let body = format!("{{\"id\": {LONG}, \"ids\": [{LONG}, -9223372036854775809, 1]}}");
    let (server, heads) = serving(move |_| answer("200 OK", "", &body));
    let flow = format!(
        "[ {{ get: /a, check: {{ json: {{ $.id: {LONG} }} }}, capture: {{ id: {{ json: $.id }}, \
         ids: {{ json: $.ids }} }} }}, {{ get: \"/b?{{{{ id }}}}\", \
         headers: {{ x-id: \"{{{{ id }}}}\", x-ids: \"{{{{ ids }}}}\", \
         x-next: \"{{{{ id + 1 }}}}\" }} }}, \
         {{ set: {{ own: [ {LONG} ] }} }}, {{ get: \"/c?{{{{ own[0] }}}}\" }} ]"
    );
    let report = run(&service(&server), &flow, 1);
    assert_eq!(count(&report, "calls.ok"), 3, "{report}");
    assert_eq!(passed(&report, &format!("json $.id is {LONG}")), 1, "{report}");
    let heads = heads.lock().unwrap();
    assert!(heads[1].starts_with(&format!("GET /b?{LONG} ")), "{}", heads[1]);
    assert!(heads[1].contains(&format!("\r\nx-id: {LONG}\r\n")), "{}", heads[1]);
    let list = format!("\r\nx-ids: [{LONG},-9223372036854775809,1]\r\n");
    assert!(heads[1].contains(&list), "{}", heads[1]);
    assert!(heads[1].contains("\r\nx-next: 123456789012345678901234567891\r\n"), "{}", heads[1]);
    assert!(heads[2].starts_with(&format!("GET /c?{LONG} ")), "{}", heads[2]);
}

#[test]
fn statuses_beyond_599_are_called_by_their_number_everywhere() {
    let server = Server::answering("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", Then::Next);
    let text = format!(
        "seed: 1\nservices: {{ {} }}\nthresholds: [ \"status(999) == 3\", \"status(9xx) > 0\", \
         \"status(5xx) == 0\", \"errors == 100%\" ]\nworkloads:\n  w:\n    users: 1\n    \
         iterations: 3\n    flow: [ {{ get: /, check: {{ status: 9xx }} }} ]\n",
        service(&server)
    );
    let wanted = Manada::run(&text.replace("errors == 100%", "errors == 0%"), &[]).go();
    let report = wanted.measured();
    assert_eq!(report["status"], json!({ "999": 3 }), "{report}");
    assert_eq!(passed(&report, "status is 9xx"), 3, "{report}");
    for rule in report["thresholds"].as_array().unwrap() {
        assert_eq!(rule["passed"], true, "{report}");
    }
    let unwanted = Manada::run(&text.replace(", check: { status: 9xx }", ""), &[]).go();
    let report = unwanted.measured();
    assert_eq!(count(&report, "calls.failed"), 3, "{report}");
    assert_eq!(report["exemplars"][0]["kind"], "status 999", "{report}");
    assert_eq!(report["exemplars"][0]["status"], 999, "{report}");
    let shown = Manada::summary(&text.replace(", check: { status: 9xx }", "")).go().stdout;
    assert!(shown.contains("999 \u{d7} 3") && shown.contains("3 \u{d7} status 999"), "{shown}");
}
