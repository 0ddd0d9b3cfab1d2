//! Work of expressions: what it counts, where it stops, and whose failure that is.

use super::super::functions::BUILTIN;
use super::super::{
    Encoding, MAX_ITERATION_WORK, MAX_VALUE, MAX_WORK, RenderError, RenderScope, Template,
    TypedTemplate, Value,
};
use crate::seed::{Seed, Stream};

/// Returns the value of an expression that reads `k`, and the work it took.
fn worked(text: &str, k: Value, left: u32) -> (Result<Value, RenderError>, u32) {
    let names = ["k".to_owned()];
    let typed = TypedTemplate::parse(&format!("{{{{ {text} }}}}"), &names).unwrap();
    let mut work = left;
    let mut scope = RenderScope {
        variables: &[Some(k)],
        names: &names,
        rng: &mut Seed::new(1).unwrap().rng(Stream::Content, 0, 0),
        user: 7,
        iteration: 2,
        now_ms: 0,
        work: &mut work,
        run_id: "1-1",
        request: None,
        from_responses: &[],
    };
    let value = typed.evaluate_for_variable(&mut scope);
    (value, left - work)
}

fn text(length: usize) -> Value {
    Value::from("x".repeat(length))
}

#[test]
fn work_counts_input_and_output() {
    for (source, k, least, most) in [
        ("k + 1", Value::from(1), 16, 200),
        ("k ~ k", text(1_000), 4_000, 7_000),
        ("k | upper | lower", text(1_000), 4_000, 6_000),
        ("k * 100", text(100), 10_000, 25_000),
        ("range(1000) | list | length", Value::from(1), 16_000, 60_000),
        ("k | replace('x', 'yy')", text(1_000), 5_000, 9_000),
    ] {
        let (value, work) = worked(source, k, MAX_ITERATION_WORK);
        assert!(value.is_ok(), "{source}: {value:?}");
        assert!((least..=most).contains(&work), "{source}: {work}");
    }
}

#[test]
fn evaluation_stops_at_its_limit() {
    let deep = (0..100).fold(Value::from(1), |inner, _| Value::from(vec![inner.clone(), inner]));
    for (source, k) in [
        ("[1] | batch(k, 0) | list", Value::from(1_000_000_000)),
        ("[[1]] | map('batch', k, 0) | list", Value::from(1_000_000_000)),
        ("[[1]] | map('slice', k, 0) | list | length", Value::from(100_000_000)),
        ("k | replace('', k)", text(60_000)),
        ("(k | list) | join(k)", text(60_000)),
        ("'x' * k", Value::from(100_000_000)),
        ("([1] * 1000) * k", Value::from(1_000_000)),
        ("([k] * 100000) | string", text(1_000)),
        (&["k"; 240].join(" ~ "), text(1 << 20)),
        ("(k ~ k) ~ (k ~ k)", text(MAX_WORK as usize / 4)),
        ("[k, k] | json", deep.clone()),
        ("k ~ ''", deep),
    ] {
        let (value, work) = worked(source, k, MAX_ITERATION_WORK);
        let shown = &source[..source.len().min(60)];
        assert!(matches!(value, Err(RenderError::Limit(_))), "{shown}: {value:?}");
        assert!(work <= MAX_WORK, "{shown}: {work}");
    }
}

#[test]
fn doubling_value_stops_at_the_variable_limit() {
    for source in ["k ~ k", "k + k", "[k, k]", "{'a': k, 'b': k}", "k | replace('x', 'xx')"] {
        let mut k = if source.contains("k + k") { Value::from(vec![1]) } else { text(16) };
        let mut rounds = 0;
        let error = loop {
            rounds += 1;
            match worked(source, k, MAX_ITERATION_WORK) {
                (Ok(value), _) => k = value,
                (Err(error), _) => break error,
            }
        };
        assert!(matches!(error, RenderError::Limit(_)), "{source}: {error:?}");
        let most = (MAX_VALUE as f64).log2() as u32;
        assert!(rounds <= most, "{source}: {rounds}");
    }
    // One level each: nesting has a limit of its own, long before the stack has.
    let mut k = Value::from(1);
    let rounds = (0..1_000).take_while(|_| {
        let nested = worked("[k]", k.clone(), MAX_ITERATION_WORK).0;
        nested.map(|value| k = value).is_ok()
    });
    assert_eq!(rounds.count(), super::MAX_DEPTH);
}

#[test]
fn iteration_stops_at_its_limit() {
    let mut left = MAX_ITERATION_WORK;
    let mut rounds = 0u64;
    loop {
        let (value, work) = worked("k ~ 'y'", text(500_000), left);
        if value.is_err() {
            assert!(matches!(value, Err(RenderError::Limit(_))));
            break;
        }
        left -= work;
        rounds += 1;
    }
    assert!((500..1_100).contains(&rounds), "{rounds}");
}

#[test]
fn counted_operators_equal_the_language() {
    for (source, expect) in [
        ("k + 1 - 2 + 3 * 4", "14"),
        ("2 * 3 ~ '-' ~ 2 ** 3 ~ 7 // 2 ~ 7 % 4", "6-833"),
        ("1 - (2 - 3) - 4 + 1.5", "-0.5"),
        ("'a' + 'b' + 'c'", "abc"),
        ("[1] + [2] + [3]", "[1,2,3]"),
        ("'ab' * 2 ~ 3 * 'c'", "ababccc"),
        ("[1, 2] * 2", "[1,2,1,2]"),
        ("-k + 1 if k is odd and not k > 4 else k ~ 'even'", "-2"),
        ("k + 1 < 5 < 7 and k + 0 in [3, 4]", "true"),
        ("{'a': k + 1, 'b': [k ~ k]}['b'][0] | int + 1", "34"),
        ("(k ~ 'xyz')[1:3] ~ dict(a=k + 1).a", "xy4"),
        ("['b', 'a' ~ 'b'] | sort(reverse=true) | map('upper') | join('+')", "B+AB"),
        ("'\\'\\n\\u00e9' ~ \"\\\"\"", "'\né\""),
        ("(1, 2) | length + 1", "3"),
        ("none ~ true ~ 1.0", "NoneTrue1.0"),
    ] {
        let (value, _) = worked(source, Value::from(3), MAX_ITERATION_WORK);
        let plain = BUILTIN.compile_expression(source).unwrap();
        assert_eq!(value, Ok(plain.eval(minijinja::context! { k => 3 }).unwrap()), "{source}");
        let value = value.map(|value| {
            value.as_str().map_or_else(|| serde_json::to_string(&value).unwrap(), str::to_owned)
        });
        assert_eq!(value.as_deref(), Ok(expect), "{source}");
    }
    let wide = (0..120).map(|_| "k").collect::<Vec<_>>().join(" + ");
    assert_eq!(worked(&wide, Value::from(1), MAX_WORK).0, Ok(Value::from(120)));
    let filters = format!("k + 0 {}", "| abs".repeat(120));
    assert_eq!(worked(&filters, Value::from(1), MAX_WORK).0, Ok(Value::from(1)));
}

#[test]
fn value_from_response_is_the_targets_failure() {
    let names = ["k".to_owned(), "own".to_owned()];
    for (source, encoding, k, is_targets) in [
        ("{{ k }}", Encoding::Header, Value::from("a\r\nb"), true),
        ("{{ own }}", Encoding::Header, Value::from("fine"), false),
        ("{{ 'x' * k }}", Encoding::Plain, Value::from(1u64 << 40), true),
        ("{{ own * 100000000 }}", Encoding::Plain, Value::from(1), false),
        ("{{ k }}", Encoding::Url, Value::from("elsewhere"), true),
    ] {
        let template = Template::parse(source, encoding, &names).unwrap();
        let mut scope = RenderScope {
            variables: &[Some(k), Some(Value::from("a\nb"))],
            names: &names,
            rng: &mut Seed::new(1).unwrap().rng(Stream::Content, 0, 0),
            user: 7,
            iteration: 2,
            now_ms: 0,
            work: &mut MAX_ITERATION_WORK.clone(),
            run_id: "1-1",
            request: None,
            from_responses: &[true, false],
        };
        let error = template.render(&mut scope, &mut Vec::new()).unwrap_err();
        assert_eq!(matches!(error, RenderError::Response(_)), is_targets, "{source}: {error}");
    }
}
