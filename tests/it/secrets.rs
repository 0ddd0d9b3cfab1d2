//! Tests that secrets and credentials are sent, and appear in no output.

use std::fmt::Write;
use std::path::Path;

use manada::event::record::RecordReader;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada};
use crate::peer::Server;

const SECRET: &str = "t0p/s3cr&t=k\"y";

#[test]
fn secret_reaches_only_the_target() {
    let target = Builtin::start(&["--fail", "100%:503"]);
    let scenario = format!(
        r#"
scenario: hush
description: it is t0p/s3cr&t=k"y, really
services: {{ shop: "{}" }}
thresholds: [ "errors < 1%" ]
workloads:
  w:
    users: 2
    iterations: 10
    flow:
      - post: /cart/{{{{ secret("SHOP_TOKEN") }}}}
        name: "cart t0p/s3cr&t=k\"y"
        headers: {{ authorization: "Basic {{{{ base64('u:' ~ secret('SHOP_TOKEN')) }}}}" }}
        json:
          token: "{{{{ secret('SHOP_TOKEN') }}}}"
          q: "{{{{ secret('SHOP_TOKEN') | urlencode }}}}"
        check: {{ body: {{ contains: "t0p/s3cr&t=k\"y" }} }}
      - get: /{{{{ secret("SHOP_TOKEN") | nothing }}}}
"#,
        target.url("")
    );
    // This does not compile: the message shows neither the value nor its forms.
    let broken = Manada::run(&scenario, &[]).env("SHOP_TOKEN", SECRET).go();
    assert_eq!(broken.code, Some(3), "{broken}");
    let scenario = scenario.replace(" | nothing", "");
    let json = Manada::run(&scenario, &["-v"]).env("SHOP_TOKEN", SECRET).go();
    assert_eq!(json.code, Some(4), "{json}");
    let words = ["run", "scenario.yaml", "--ui", "plain", "--out", "out"];
    let text = Manada::new(&words).file("scenario.yaml", &scenario).env("SHOP_TOKEN", SECRET).go();
    assert_eq!(text.code, Some(4), "{text}");
    assert!(text.stdout.contains("***"), "{text}");
    let shown: Vec<String> = [&broken, &json, &text].into_iter().flat_map(all_of).collect();
    assert!(shown.len() > 10);
    let forms =
        [SECRET, "t0p%2Fs3cr", "t0p/s3cr&t=k%22", "t0p/s3cr&t=k\\\"", "dTp0MHAvczNj", "MHAvczNj"];
    for text in shown {
        for form in forms {
            assert!(!text.contains(form), "{form} shows in\n{text}");
        }
    }
}

/// Returns all output of a program, and all files that it left.
fn all_of(done: &Done) -> Vec<String> {
    let mut shown = vec![done.stdout.clone(), done.stderr.clone()];
    for folder in ["", "out", "anew"] {
        let Ok(files) = std::fs::read_dir(done.path(folder)) else { continue };
        let paths = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        shown.extend(paths.filter(|path| !path.ends_with("scenario.yaml")).map(|path| text(&path)));
    }
    shown
}

/// Returns a file's readable text, unpacked if it is compressed.
fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    if !path.ends_with("run.record") {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let (opening, mut reader) = RecordReader::new(bytes.as_slice()).unwrap();
    let mut text = format!("{opening:?}\n");
    while let Some(entry) = reader.next_entry().unwrap() {
        let _ = writeln!(text, "{entry:?}");
    }
    text
}

/// Starts a service whose every response is a failure full of credentials.
fn indiscreet() -> Server {
    Server::start(|peer| {
        while let Some(head) = peer.head() {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            std::io::Read::read_exact(&mut peer.stream, &mut body).unwrap();
            let echo = String::from_utf8_lossy(&body).into_owned();
            let (status, more, body) = match head.split(' ').nth(1).unwrap() {
                "/login" => ("200 OK", "", r#"{"access_token":"zq7-token","n":1}"#.to_owned()),
                "/away" => ("302 Found", "Location: /gone?sid=zq7-sid&a=1\r\n", String::new()),
                "/html" => {
                    let page = "<input name=csrf value=zq7-field><b>zq7-token</b> &amp;";
                    ("500 No", "", page.to_owned())
                }
                _ => ("500 No", "", echo + r#"{"session":{"id":"zq7-session"},"token":"zq7-new"}"#),
            };
            let cookies = "Set-Cookie: sid=zq7-cookie\r\nX-Api-Key: zq7-answer\r\n";
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\n{cookies}{more}Content-Length: {length}\r\n\r\n{body}"
            );
            peer.send(answer.as_bytes());
        }
    })
}

const FLOW: &str = r#"
      - post: /login
        json: { user: u, password: zq7-json, pin: 71727374 }
        capture: { token: { json: "$.access_token" } }
        check: { json: { "$.access_token": zq7-wanted }, header: { x-api-key: zq7-header } }
      - log: "logged in with {{ token }}, as {{ account.user }}:{{ account.password }}"
      - get: "/items/{{ token }}?api_key=zq7-query&page=2"
        headers: { authorization: "Bearer {{ token }}", x-auth-token: zq7-auth, plain: "a zq7=b" }
        check: { body: { contains: "token=zq7-contained" } }
      - post: /form
        form: { user: u, "login[password]": "zq7 & form", csrf: "zq7{{ token }}" }
        check: { status: 200, body: { contains: x } }
      - post: /multipart
        multipart: { user: u, secret: "zq7-part\nzq7-more" }
        check: { status: 200, body: { contains: x } }
      - post: /text
        body: "{{ account.user }}:{{ account.password }} {\"card\": \"zq7-card\"}"
        check: { status: 200, body: { contains: x } }
      - post: /encoded
        headers: { login: "{{ base64(account.user ~ ':' ~ account.password) }}" }
        body: "<a><password>zq7-xml</password></a>"
        check: { status: 200, body: { contains: x } }
      - { get: /html, check: { status: 200, body: { contains: x } } }
      - { get: "/away?access_token=zq7-before", redirects: 3, check: { status: 200 } }
"#;

#[test]
fn credentials_show_in_no_output() {
    let server = indiscreet();
    let scenario = format!(
        "scenario: full\ndescription: \"of credentials: password=zq7-described\"\n\
         services: {{ it: {{ url: \"{}\", headers: {{ x-secret: zq7-service }} }} }}\n\
         # password: zq7-comment\nthresholds: [ \"errors < 1%\" ]\n\
         safety: {{ redact: {{ add: [ plain ] }} }}\n\
         workloads:\n  w:\n    users: 1\n    iterations: 3\n    data:\n      account:\n        \
         {{ inline: [ {{ user: u, password: zq7-row }} ], pick: random }}\n    flow: {FLOW}",
        server.url()
    );
    let forms = ["j.xml", "m.md", "b.svg", "s.csv", "h.html", "d.json"];
    let reports: Vec<&str> = forms.iter().flat_map(|form| ["--report", form]).collect();
    let set = ["--set", "services.it.headers.x-secret=zq7-flag", "--report", "github"];
    let run = Manada::telling(&scenario, &reports).words(&set).go();
    assert_eq!(run.code, Some(4), "{run}");
    let words = ["run", "scenario.yaml", "--ui", "plain", "-v", "--out", "out"];
    let plain = Manada::new(&words).file("scenario.yaml", &scenario).go();
    let mut shown = all_of(&run);
    shown.extend(all_of(&plain));
    for json in [&[][..], &["--json"]] {
        let words = [&["check", "scenario.yaml", "--once"], json].concat();
        let once = Manada::new(&words).file("scenario.yaml", &scenario).go();
        assert_eq!(once.code, Some(4), "{once}");
        shown.extend(all_of(&once));
    }
    // Messages show the wrong line.
    for (right, wrong) in [
        ("page=2", "page={{ nothing }}"),
        ("password: zq7-json", "password: \"{{ zq7-json\""),
        ("x-auth-token: zq7-auth", "x-auth-token: [ zq7-auth ]"),
        ("check: { status: 200 }", "check: { status: 2000 }, json: { token: zq7-wrong }"),
    ] {
        let broken = Manada::run(&scenario.replace(right, wrong), &[]).go();
        assert_eq!(broken.code, Some(3), "{broken}");
        shown.extend(all_of(&broken));
    }
    let header = ["-H", "X-Api-Key: zq7-word", "-b", r#"{"token":"zq7-word"}"#, "-m", "POST"];
    let url = format!("{}x?password=zq7-url", server.url());
    let hit = Manada::hit(&url, &["-n", "2", "-c", "1", "--out", "out"]).words(&header).go();
    shown.extend(all_of(&hit));
    assert!(shown.len() > 40, "{}", shown.len());
    for text in &shown {
        // The second is "zq7-row" in base64 after "u:".
        for credential in ["zq7", "p6cTctcm93", "71727374"] {
            if let Some(at) = text.find(credential) {
                let near: String = text[..at].chars().rev().take(200).collect();
                let near: String = near.chars().rev().collect();
                panic!("{credential} shows after …{near}");
            }
        }
    }
    // Other text is still there.
    let exemplars = run.json()["exemplars"].to_string();
    for part in ["/items/***?api_key=***&page=2", "user=u", "--data-raw", "GET /items/{{ token }}"]
    {
        assert!(exemplars.contains(part), "{part}: {exemplars}");
    }
    assert!(run.stderr.contains("logged in with ***, as u:***"), "{run}");
}

#[test]
fn secret_key_names_are_documented() {
    let docs = include_str!("../../docs/secrets.md");
    for name in manada::redact::SensitiveNames::built_in() {
        assert!(docs.contains(&format!("`{name}`")), "{name} is not in docs/secrets.md");
    }
}
