//! Functions: the range and form of what they draw, and that a seed reproduces it.

use super::super::{Encoding, RenderError, RenderScope, Template, Value};
use crate::seed::{Rng, Seed, Stream};

const NOW_MS: u64 = 1_763_690_583_042;

fn draw(template: &Template, rng: &mut Rng) -> Result<String, RenderError> {
    let names = ["name".to_owned()];
    let variables = [Some(Value::from("x y"))];
    let mut scope = RenderScope {
        variables: &variables,
        names: &names,
        rng,
        user: 7,
        iteration: 2,
        now_ms: NOW_MS,
        work: &mut super::super::MAX_ITERATION_WORK.clone(),
        run_id: "1-1",
        request: None,
        from_responses: &[],
    };
    let mut out = Vec::new();
    template.render(&mut scope, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn rng() -> Rng {
    Seed::new(1).unwrap().rng(Stream::Content, 0, 0)
}

fn parse(text: &str) -> Template {
    let text = format!("{{{{ {text} }}}}");
    Template::parse(&text, Encoding::Plain, &["name".to_owned()]).unwrap()
}

#[test]
fn computed_values_are_exact() {
    for (text, expect) in [
        ("now()", "1763690583042"),
        ("now('s')", "1763690583"),
        ("now(\"iso\")", "2025-11-21T02:03:03.042Z"),
        ("date()", "2025-11-21"),
        ("date('%d.%m.%Y', '-1d')", "20.11.2025"),
        ("date('iso', '2h')", "2025-11-21T04:03:03.042Z"),
        ("base64('user:pass')", "dXNlcjpwYXNz"),
        ("name | base64", "eCB5"),
        ("hash('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("'abc' | hash('md5')", "900150983cd24fb0d6963f7d28e17f72"),
        ("hash('abc', 'sha512')[:16]", "ddaf35a193617aba"),
        ("urlencode('a b/c&d=é')", "a%20b%2Fc%26d%3D%C3%A9"),
        ("name | urlencode", "x%20y"),
        ("{'a': [1, 'b']} | json", "{\"a\":[1,\"b\"]}"),
        ("json(name)", "\"x y\""),
        ("env('NO_SUCH', 'fallback')", "fallback"),
        ("env('CARGO_PKG_NAME') | upper", "MANADA"),
    ] {
        assert_eq!(draw(&parse(text), &mut rng()).as_deref(), Ok(expect), "{text}");
    }
}

#[test]
fn drawn_people_are_all_valid() {
    let mut rng = rng();
    let (name, email) = (parse("name()"), parse("email()"));
    let mut names = std::collections::HashSet::new();
    let mut emails = std::collections::HashSet::new();
    for _ in 0..10_000 {
        let name = draw(&name, &mut rng).unwrap();
        let parts: Vec<&str> = name.split(' ').collect();
        assert_eq!(parts.len(), 2, "{name}");
        let capital = |part: &&str| part.starts_with(|c: char| c.is_ascii_uppercase());
        assert!(parts.iter().all(capital), "{name}");
        let email = draw(&email, &mut rng).unwrap();
        let (local, domain) = email.split_once('@').unwrap();
        assert!(["example.com", "example.net", "example.org"].contains(&domain), "{email}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
        assert!(local.chars().all(plain) && local.len() <= 64, "{email}");
        assert!(!local.contains("..") && !local.starts_with('.') && !local.ends_with('.'));
        names.insert(name);
        emails.insert(email);
    }
    assert!(names.len() > 1_500 && emails.len() > 9_990, "{} {}", names.len(), emails.len());
}

#[test]
fn drawn_texts_have_their_length_and_alphabet() {
    let mut rng = rng();
    for (text, length, alphabet) in [
        ("hex(12)", 12, "0123456789abcdef"),
        ("digits(6)", 6, "0123456789"),
        ("alnum(20)", 20, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        ("hex(0)", 0, ""),
    ] {
        let template = parse(text);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            let drawn = draw(&template, &mut rng).unwrap();
            assert_eq!(drawn.len(), length, "{text}: {drawn}");
            seen.extend(drawn.chars());
        }
        assert_eq!(seen.into_iter().collect::<String>(), alphabet, "{text}");
    }
}

#[test]
fn seed_reproduces_values() {
    let template =
        parse("name() ~ ' ' ~ email() ~ ' ' ~ hex(6) ~ ' ' ~ digits(4) ~ ' ' ~ alnum(5)");
    // Pinned: a change of these values changes every seeded run.
    assert_eq!(draw(&template, &mut rng()).unwrap(), PINNED);
}

const PINNED: &str = "Chen Evans mei.rossi42491@example.com c484a4 0684 lAZNn";

#[test]
fn wrong_arguments_are_found_at_compile_time() {
    for (text, part) in [
        ("date('%Q')", "does not support `%Q`"),
        ("date('%F', 'soon')", "an offset such as"),
        ("now('h')", "now() takes"),
        ("name('middle')", "name() takes"),
        ("hash('a', 'sha3')", "hash() supports"),
        ("hex(100000)", "at most 65536"),
        ("hex(-1)", ""),
        ("env(name)", "a name in quotes"),
    ] {
        let text = format!("{{{{ {text} }}}}");
        let error = Template::parse(&text, Encoding::Plain, &["name".to_owned()]).unwrap_err();
        let super::super::ParseErrorKind::Syntax(message) = error.kind else {
            panic!("{text}: {:?}", error.kind)
        };
        assert!(message.contains(part), "{text}: {message}");
    }
    let bare = Template::parse("{{ date }}", Encoding::Plain, &[]).unwrap_err();
    assert_eq!(bare.kind, super::super::ParseErrorKind::UnknownVariable("date".to_owned()));
}
