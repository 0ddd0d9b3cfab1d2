//! What is redacted in texts of each kind, and what stays.

use super::scan::Syntax;
use super::*;

fn redacted(syntax: Syntax, cases: &[(&str, &str)]) {
    let names = SensitiveNames::default();
    let redactor = Redactor::new(&names);
    for (text, shown) in cases {
        assert_eq!(redactor.of(text, syntax), *shown, "{text}");
        assert_eq!(redactor.of(shown, syntax), *shown, "once more: {shown}");
    }
}

#[test]
fn sensitive_values_are_redacted_in_json() {
    redacted(
        Syntax::Any,
        &[
            (
                r#"{"user":"u","password":"p, \"w\"","x":1}"#,
                r#"{"user":"u","password":"***","x":1}"#,
            ),
            (r#"{ "apiKey" : "abc" , "a": 2 }"#, r#"{ "apiKey" : "***" , "a": 2 }"#),
            (r#"{"pin":1234,"a":1}"#, r#"{"pin":"***","a":1}"#),
            (r#"{"tokens":["a]","b"],"a":1}"#, r#"{"tokens":"***","a":1}"#),
            (r#"{"tokens":{"access":"x"},"a":1}"#, r#"{"tokens":"***","a":1}"#),
            (r#"{"tokens":"x1","a":1}"#, r#"{"tokens":"***","a":1}"#),
            (r#"{"tokens":[1,2],"a":1}"#, r#"{"tokens":"***","a":1}"#),
            // Numbers of tokens are no credentials.
            (r#"{"tokens":12,"a":1}"#, r#"{"tokens":12,"a":1}"#),
            (r#"{"cached_tokens":["x"],"a":1}"#, r#"{"cached_tokens":"***","a":1}"#),
            (r#"{"input_tokens":"x"}"#, r#"{"input_tokens":"***"}"#),
            (r#"{"accepted_tokens":["x"]}"#, r#"{"accepted_tokens":"***"}"#),
            (r#"{"model":"m","max_tokens":64}"#, r#"{"model":"m","max_tokens":64}"#),
            (
                r#"{"usage":{"completion_tokens":5,"completion_tokens_details":{"x":"y"}}}"#,
                r#"{"usage":{"completion_tokens":5,"completion_tokens_details":{"x":"y"}}}"#,
            ),
            (r#"{\"max_tokens\":64,\"token\":\"x\"}"#, r#"{\"max_tokens\":64,\"token\":\"***\"}"#),
            (r#"{"credentials":{"u":"x","n":{"p":"y"}},"a":1}"#, r#"{"credentials":"***","a":1}"#),
            (
                r#"{"token":null,"secret":false,"card":""}"#,
                r#"{"token":null,"secret":false,"card":""}"#,
            ),
            // A truncated text.
            (r#"{"a":1,"password":"hunt"#, r#"{"a":1,"password":"***"#),
            (r#"{"credentials":{"u":"x","n":["#, r#"{"credentials":"***""#),
            // JSON in JSON, and GraphQL in it.
            (
                r#"{"q":"{\"password\":\"abc\",\"a\":1}"}"#,
                r#"{"q":"{\"password\":\"***\",\"a\":1}"}"#,
            ),
            (
                r#"{"query":"mutation { login(user: \"u\", password: \"abc\") { id } }"}"#,
                r#"{"query":"mutation { login(user: \"u\", password: \"***\") { id } }"}"#,
            ),
            (r#"{"next":"/cb?token=abc","x":"token"}"#, r#"{"next":"/cb?token=***","x":"token"}"#),
            (
                "{\n  \"password\": \"a\",\n  \"x\": 1\n}",
                "{\n  \"password\": \"***\",\n  \"x\": 1\n}",
            ),
            (r#"["token"]"#, r#"["token"]"#),
            (r"{'password': 'it\'s'}", "{'password': '***'}"),
        ],
    );
}

#[test]
fn sensitive_values_are_redacted_in_queries_forms_and_headers() {
    redacted(
        Syntax::Any,
        &[
            ("/a?x=1&api_key=abc&y=2#t", "/a?x=1&api_key=***&y=2#t"),
            ("/a?access_token=a%20b", "/a?access_token=***"),
            ("/a?tokens=20&max_tokens=5", "/a?tokens=20&max_tokens=5"),
            ("/a?tokens=20x", "/a?tokens=***"),
            ("manada-tokens: 5", "manada-tokens: 5"),
            ("/a?next=%2Fb%3Ftoken%3Dabc%26x%3D1&y=2", "/a?next=%2Fb%3Ftoken%3D***%26x%3D1&y=2"),
            ("see http://h/?sid=abc (moved)", "see http://h/?sid=*** (moved)"),
            ("user=u&password=a b&x=1", "user=u&password=***&x=1"),
            ("user%5Bpassword%5D=a&x=1", "user%5Bpassword%5D=***&x=1"),
            ("http://u:p@h:9090/a", "http://***@h:9090/a"),
            ("http://h:9090/u@h?a=b", "http://h:9090/u@h?a=b"),
            ("Authorization: Digest u=\"a\", r=\"b\"\nAccept: a", "Authorization: ***\nAccept: a"),
            ("X-Api-Key:abc", "X-Api-Key:***"),
            ("sent Bearer abcdefghijklmnop1234.x here", "sent Bearer *** here"),
            ("id; token=abc; path=/", "id; token=***; path=/"),
            ("tokens.yaml", "tokens.yaml"),
            ("if token == 5", "if token == 5"),
            ("the token is gone: so is the user", "the token is gone: so is the user"),
            ("http://token:8080/", "http://token:8080/"),
        ],
    );
    let names = SensitiveNames::default();
    let redactor = Redactor::new(&names);
    let form = |body: &[u8]| redactor.body(body, "application/x-www-form-urlencoded; charset=a");
    assert_eq!(form(b"a=1&password=p'w\"x, y;z&b=2"), b"a=1&password=***&b=2");
    assert_eq!(redactor.body(b"\xffpassword=\xfe\xfd", "x"), b"\xffpassword=***");
    assert_eq!(redactor.header("X-Session", "a"), "***");
    assert_eq!(redactor.header("Location", "/?sid=a"), "/?sid=***");
}

#[test]
fn form_fields_are_redacted_by_their_names() {
    redacted(
        Syntax::Any,
        &[
            (
                "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\na\r\nb\r\n--b\r\n\
                 Content-Disposition: form-data; name=\"user\"\r\n\r\nu\r\n--b--\r\n",
                "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n***\r\n--b\r\n\
                 Content-Disposition: form-data; name=\"user\"\r\n\r\nu\r\n--b--\r\n",
            ),
            (
                "--b\r\ncontent-disposition: form-data; name=token\r\nX: y\r\n\r\nabc",
                "--b\r\ncontent-disposition: form-data; name=token\r\nX: y\r\n\r\n***",
            ),
            (
                "<input name=\"csrf_token\" type=hidden value=\"abc\"><input name=q value=b>",
                "<input name=\"csrf_token\" type=hidden value=\"***\"><input name=q value=b>",
            ),
            ("<input value='abc' name='token'>", "<input value='***' name='token'>"),
            (
                "<meta name=\"csrf-token\" content=\"abc\">",
                "<meta name=\"csrf-token\" content=\"***\">",
            ),
            ("<a><password>x</password></a>", "<a><password>***</password></a>"),
            ("<w:Password T=\"d\">x</w:Password>", "<w:Password T=\"d\">***</w:Password>"),
            ("<u password=\"a b\" x=\"1\"/>", "<u password=\"***\" x=\"1\"/>"),
        ],
    );
}

#[test]
fn scenario_shows_no_credentials() {
    redacted(
        Syntax::Yaml,
        &[
            ("  authorization: Bearer abc", "  authorization: ***"),
            ("  - \"Cookie\": a=b", "  - \"Cookie\": ***"),
            ("json: { user: u, password: p w, x: 1 }", "json: { user: u, password: ***, x: 1 }"),
            ("{ \"password\": \"a, b\" }", "{ \"password\": \"***\" }"),
            ("password: 'hunter2'", "password: '***'"),
            ("auth: { bearer: abc, x: 1 }", "auth: { bearer: ***, x: 1 }"),
            ("body: user=u&password=p w&x=1", "body: user=u&password=***&x=1"),
            ("# password: old one", "# password: ***"),
            ("body: '{\"password\":\"x\"}'", "body: '{\"password\":\"***\"}'"),
            ("get: /x?api_key=abc", "get: /x?api_key=***"),
            ("- { get: /x?api_key=abc, name: a }", "- { get: /x?api_key=***, name: a }"),
            ("a: 1\npassword: x\nb: 2\n", "a: 1\npassword: ***\nb: 2\n"),
            ("a:\n  password: |\n    x\n\n    y\n  b: 2\n", "a:\n  password: ***\n  b: 2\n"),
            ("password: x\n  y\nb: 2\n", "password: ***\nb: 2\n"),
            ("password:\n  x\nb: 2\n", "password:\n  ***\nb: 2\n"),
            ("tokens:\n- a\n- b\nb: 2\n", "tokens:\n***\nb: 2\n"),
            ("password: \"a\n  b\"\nc: 1", "password: \"***\"\nc: 1"),
            ("{ token: [ abc, d ], x: [ a ] }", "{ token: [ *** ], x: [ a ] }"),
            // Templates that only read other values stay, and so do maps.
            ("password: \"{{ account.password }}\"", "password: \"{{ account.password }}\""),
            ("authorization: Bearer {{ token }}", "authorization: Bearer {{ token }}"),
            ("token: \"{{ env('TOKEN') }}\"", "token: \"{{ env('TOKEN') }}\""),
            ("token: \"{{ base64('u:hunter2') }}\"", "token: \"***\""),
            ("token: hunter2 {{ x }} and", "token: *** {{ x }} ***"),
            ("get: /x?token={{ token }}&a=1", "get: /x?token={{ token }}&a=1"),
            ("capture: { token: { json: \"$.s\" } }", "capture: { token: { json: \"$.s\" } }"),
            ("capture:\n  token:\n    json: $.s\n", "capture:\n  token:\n    json: $.s\n"),
            ("auth:\n  basic: a\n", "auth:\n  basic: a\n"),
            ("session: 5m", "session: 5m"),
            ("{ max_tokens: \"{{ int(1, 9) }}\" }", "{ max_tokens: \"{{ int(1, 9) }}\" }"),
            ("check: { tokens: \"> 0\" }", "check: { tokens: \"> 0\" }"),
            ("cookies: false", "cookies: false"),
            // Rules of `sanitize` are words of the language, what stands beside them is not.
            ("sanitize: { ssn: hsh, token: mask }", "sanitize: { ssn: hsh, token: mask }"),
            ("sanitize: { ssn: hunter2 }", "sanitize: { ssn: *** }"),
            ("sanitize: { ssn: hash }, token: abc }", "sanitize: { ssn: hash }, token: *** }"),
            ("sanitize:\n  ssn: drop\nssn: drop\n", "sanitize:\n  ssn: drop\nssn: ***\n"),
            ("sanitize:\n  ssn: dr", "sanitize:\n  ssn: ***"),
            ("capture: { id: { cookie: sid } }", "capture: { id: { cookie: sid } }"),
            ("headers: { cookie: sid=abc }", "headers: { cookie: *** }"),
            ("url: http://h:80/", "url: http://h:80/"),
            ("headers:", "headers:"),
        ],
    );
    let names = SensitiveNames::default();
    let line = Redactor::new(&names).yaml_in_place("password: h2é, x: {{ y | z }}");
    assert_eq!(line, "password: ******** {{ y | z }}");
}

#[test]
fn messages_show_no_user_information_of_urls() {
    redacted(
        Syntax::Sentence,
        &[
            ("no query for http://u:p@h: expected x", "no query for http://***@h: expected x"),
            ("cannot read secrets/token: no such file", "cannot read secrets/token: no such file"),
        ],
    );
}

#[test]
fn command_lines_show_no_credentials() {
    redacted(
        Syntax::Command,
        &[
            ("X-Api-Key: abc", "X-Api-Key: ***"),
            ("--header=x-auth-token: a b", "--header=x-auth-token: ***"),
            ("{\"user\":\"u\",\"password\":\"p, w\"}", "{\"user\":\"u\",\"password\":\"***\"}"),
            ("user=u&password=p w&x=1", "user=u&password=***&x=1"),
            ("services.api.headers.api-key=abc", "services.api.headers.api-key=***"),
            ("password={{ env.PASSWORD }}", "password={{ env.PASSWORD }}"),
            ("http://h/?token=abc", "http://h/?token=***"),
            ("accept: text/html", "accept: text/html"),
            ("errors < 1%", "errors < 1%"),
        ],
    );
}

#[test]
fn values_of_variables_are_redacted_in_every_form() {
    let names = SensitiveNames::default();
    let mut redactor = Redactor::new(&names);
    redactor.add_value("a/b+c=12");
    redactor.add_value("abc");
    for (text, shown) in
        [("/x/a/b+c=12/y", "/x/***/y"), ("/x/a%2Fb%2Bc%3D12/y abc", "/x/***/y abc")]
    {
        assert_eq!(redactor.text(text), shown);
    }
    assert!(redactor.text("dTphL2IrYz0xMg==").contains(MASK));
}

/// Texts on which repeated searches from each key would take minutes.
#[test]
fn hostile_text_is_scanned_in_linear_time() {
    let names = SensitiveNames::default();
    let redactor = Redactor::new(&names);
    for part in [
        "token:",
        "token=",
        "&token=",
        "token: ",
        "name=token ",
        "<token",
        "%3dtoken",
        "token%3d",
        "\"token\":[",
        "\"token\":\"\\",
        "://a",
        "<input name=token ",
        "name=token\n\n",
        "\\\"token",
        "{\"token\":{",
        "{token: [",
        " token:",
        "token: |\n ",
        "- token:\n",
        "://:@",
    ] {
        let text = part.repeat(50_000 / part.len());
        let _ = redactor.body(text.as_bytes(), "");
        let _ = redactor.yaml(&text);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_accepted(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "password", "\"", "\\\"", ":", " ", "=", "{", "}", "[", "]", "\n", "<", ">", "name=",
            "\u{e9}", "{{", "}}", "://", "- ", "%3d", "@",
        ]), 0..14),
    ) {
        let (names, text) = (SensitiveNames::default(), parts.concat());
        let redactor = Redactor::new(&names);
        let _ = redactor.body(text.as_bytes(), "application/x-www-form-urlencoded");
        let _ = redactor.body(&text.as_bytes()[text.len() / 2..], "");
        let _ = (redactor.yaml(&text), redactor.word(&text));
        proptest::prop_assert_eq!(redactor.yaml_in_place(&text).len(), text.len());
    }
}
