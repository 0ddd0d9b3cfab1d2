//! Templates: what each slot renders to, and what is rejected.

use super::*;
use crate::seed::{Seed, Stream};
use proptest::prelude::*;

fn names() -> Vec<String> {
    ["x", "product", "late"].map(str::to_owned).to_vec()
}

fn render_with(template: &Template, x: Value) -> Result<String, RenderError> {
    render_within(template, x, &mut MAX_ITERATION_WORK.clone(), &[])
}

fn render_within(
    template: &Template,
    x: Value,
    work: &mut u32,
    from_responses: &[bool],
) -> Result<String, RenderError> {
    let names = names();
    let mut rng = Seed::new(1).unwrap().rng(Stream::Content, 0, 0);
    let variables = [Some(x), Some(Value::from("p 1")), None];
    let mut scope = RenderScope {
        variables: &variables,
        names: &names,
        rng: &mut rng,
        user: 7,
        iteration: 2,
        now_ms: 1_763_690_583_042,
        work,
        run_id: "1-1",
        request: None,
        from_responses,
    };
    let mut out = Vec::new();
    template.render(&mut scope, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn render(text: &str, encoding: Encoding, x: Value) -> Result<String, RenderError> {
    render_with(&Template::parse(text, encoding, &names()).unwrap(), x)
}

#[test]
fn slice_reads_its_variables() {
    let list = || Value::from(vec![1, 2, 3]);
    for (text, expect) in [("{{ x[1:] }}", "[2,3]"), ("{{ x[:user.iteration] }}", "[1,2]")] {
        assert_eq!(render(text, Encoding::Plain, list()).as_deref(), Ok(expect), "{text}");
    }
}

#[test]
fn slots_are_encoded_for_their_place() {
    let hostile = || Value::from("a b\r\n\"é&=/");
    for (text, encoding, x, expect) in [
        ("/p/{{ x }}", Encoding::Url, Value::from(7), "/p/7"),
        ("/p/{{ x }}", Encoding::Url, hostile(), "/p/a%20b%0D%0A%22%C3%A9&=/"),
        ("/a b?q={{x}}#é", Encoding::Url, Value::from("100%"), "/a%20b?q=100%%23%C3%A9"),
        ("{{ x }}", Encoding::FormValue, hostile(), "a+b%0D%0A%22%C3%A9%26%3D%2F"),
        ("<{{ x }}>", Encoding::JsonText, hostile(), "<a b\\r\\n\\\"é&=/>"),
        ("{{ x }}", Encoding::Plain, Value::from(true), "true"),
        ("{{ x }}", Encoding::Plain, Value::from(()), "null"),
        ("{{ x }}", Encoding::Plain, Value::from(1.0), "1.0"),
        ("{{ x }}", Encoding::Plain, Value::from(vec![1, 2]), "[1,2]"),
        ("{{ user.number }}.{{ user.iteration }}", Encoding::Plain, Value::from(0), "7.2"),
        ("{{ x + 1 }}|{{ x | string ~ 'a' }}", Encoding::Plain, Value::from(1), "2|1a"),
        ("{{ {'a': {'b': x}}.a.b }}}}", Encoding::Plain, Value::from(1), "1}}"),
        ("{{ '}}' }}", Encoding::Plain, Value::from(1), "}}"),
        ("{{ late | default('none yet') }}", Encoding::Plain, Value::from(1), "none yet"),
        ("{{ '12' | int + 1 }}", Encoding::Plain, Value::from(1), "13"),
    ] {
        assert_eq!(render(text, encoding, x).as_deref(), Ok(expect), "{text}");
    }
}

#[test]
fn values_invalid_at_their_place_are_rejected() {
    let refused = |text, encoding, x| render(text, encoding, x).unwrap_err();
    for breaking in ["a\r\nb", "a\nb", "a\0b"] {
        let error = refused("{{ x }}", Encoding::Header, Value::from(breaking));
        assert!(matches!(error, RenderError::Invalid(_)));
    }
    let unset = RenderError::Unset("late".to_owned());
    assert_eq!(refused("{{ late }}", Encoding::Plain, Value::from(1)), unset);
    assert_eq!(refused("{{ late + 1 }}", Encoding::Plain, Value::from(1)), unset);
    let path = refused("{{ x }}", Encoding::Url, Value::from("http://elsewhere"));
    assert!(matches!(path, RenderError::Invalid(_)));
    let endless = refused("{{ range(99999)|list|length * x.y }}", Encoding::Plain, Value::from(1));
    assert!(matches!(endless, RenderError::Invalid(_)));
}

#[test]
fn parse_errors_name_their_place() {
    let parse = |text: &str| Template::parse(text, Encoding::Plain, &names()).unwrap_err();
    for (text, unknown, range) in [
        ("a {{ y }}", ParseErrorKind::UnknownVariable("y".into()), 5..6),
        ("a {{ x + yx + y }}", ParseErrorKind::UnknownVariable("y".into()), 14..15),
        ("{{ f(1) }}", ParseErrorKind::UnknownFunction("f".into()), 3..4),
    ] {
        let error = parse(text);
        if text.contains("yx") {
            assert_eq!(error.kind, unknown);
            assert_eq!(error.range, range);
        } else {
            assert_eq!(error, ParseError { kind: unknown, range });
        }
    }
    let long = format!("{{{{ {}1 }}}}", "not ".repeat(200_000));
    assert!(matches!(parse(&long).kind, ParseErrorKind::Syntax(_)));
    for (text, range) in [
        ("abc {{ x", 4..6),
        ("{{ }}", 0..5),
        ("{{ x + }}", 3..6),
        ("{{ x | nofilter }}", 3..15),
        ("{{ int(5, 1) }}", 3..12),
        ("{{ int(5) }}", 3..9),
        ("ab {% if x %}", 3..5),
    ] {
        let error = parse(text);
        assert!(matches!(error.kind, ParseErrorKind::Syntax(_)), "{text}: {error:?}");
        assert_eq!(error.range, range, "{text}");
    }
}

#[test]
fn functions_draw_from_the_iterations_generator() {
    let both = Template::parse("{{ int(1, 6) }} {{ int(1, 3 + 3) }}", Encoding::Plain, &[]);
    let many = Template::parse(
        "{{ word() }} {{ uuid() }} {{ choice(1, 2, 3) }} {{ choice([4, 5]) }} {{ float(0, 1) }}",
        Encoding::Plain,
        &[],
    )
    .unwrap();
    assert_eq!(render_with(&many, Value::from(0)), render_with(&many, Value::from(0)));
    let text = render_with(&many, Value::from(0)).unwrap();
    let uuid: Vec<&str> = text.split(' ').nth(1).unwrap().split('-').collect();
    assert_eq!(uuid.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(uuid[2].starts_with('4') && uuid[3].starts_with(['8', '9', 'a', 'b']), "{text}");
    // The fast path and the expression draw alike: one generator, in order.
    let drawn = render_with(&both.unwrap(), Value::from(0)).unwrap();
    let mut rng = Seed::new(1).unwrap().rng(Stream::Content, 0, 0);
    let (a, b) = (rng.random_range(1..=6i64), rng.random_range(1..=6i64));
    assert_eq!(drawn, format!("{a} {b}"));
}

#[test]
fn static_texts_are_recognised() {
    let parse = |text| Template::parse(text, Encoding::Url, &names()).unwrap();
    assert_eq!(parse("/a").as_static(), Some(&b"/a"[..]));
    assert_eq!(parse("").as_static(), Some(&b""[..]));
    assert_eq!(parse("/{{ x }}").as_static(), None);
}

fn json_leaf() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ]
}

proptest! {
    /// A captured value is sent unchanged: number, text, boolean and null keep their type.
    #[test]
    fn single_slot_keeps_its_type(leaf in json_leaf(), list in any::<bool>()) {
        let sent = if list { serde_json::json!([leaf, {"k": leaf}]) } else { leaf };
        let mut builder_names = names();
        builder_names.truncate(3);
        let mut builder = Builder::new(&builder_names);
        builder.json("{{ x }}").unwrap();
        let value = crate::template::exact_json::to_value(&sent);
        let text = render_with(&builder.build(), value).unwrap();
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(back, sent);
    }

    /// Inside quotes any text is a JSON string, and parses to the same text.
    #[test]
    fn slot_in_json_text_parses_back(text in any::<String>()) {
        let names = names();
        let mut builder = Builder::new(&names);
        builder.json("<{{ x }}>").unwrap();
        let rendered = render_with(&builder.build(), Value::from(text.as_str())).unwrap();
        let back: String = serde_json::from_str(&rendered).unwrap();
        prop_assert_eq!(back, format!("<{text}>"));
    }

    /// No value can break a request's head.
    #[test]
    fn no_value_adds_a_line_break_to_a_head(text in "(?s).{0,40}", crlf in "[\r\n\0]{0,3}") {
        let value = format!("{text}{crlf}{text}");
        for (template, encoding) in [("/{{ x }}", Encoding::Url), ("{{ x }}", Encoding::Header)] {
            if let Ok(rendered) = render(template, encoding, Value::from(value.as_str())) {
                prop_assert!(!rendered.contains(['\r', '\n', '\0']));
                prop_assert!(encoding != Encoding::Url || rendered.is_ascii());
                prop_assert!(encoding != Encoding::Url || !rendered.contains(' '));
            }
        }
    }

    /// Any text either parses or is rejected; it never panics.
    #[test]
    fn parsing_never_panics(text in "[a-z{}%#'\"\\\\ ()+|.é]{0,40}") {
        let _ = Template::parse(&text, Encoding::Url, &names());
        let _ = Builder::new(&names()).json(&text);
    }
}
