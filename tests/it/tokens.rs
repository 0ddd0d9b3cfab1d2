//! Token streams of the built-in target in the words of all its APIs: what is content, what is
//! text, and how many tokens there are.
//!
//! Invariant: counts alone are compared, never times.

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::Manada;

/// Steps, each with its path, its body and its reasons to stop.
const STEPS: [(&str, &str, &str); 5] = [
    ("chat", "chat/completions?tokens=9&reasoning=2&tool=3", "tool_calls"),
    ("call", "chat/completions?tokens=7&tool=7", "tool_calls"),
    ("responses", "responses?tokens=8&reasoning=1&tool=2", "completed"),
    ("cut", "responses?tokens=50", "incomplete"),
    ("messages", "messages?tokens=6&tool=4", "tool_use"),
];

#[test]
fn content_text_and_tokens_are_those_that_the_target_sent() {
    let target = Builtin::start(&["--token-first", "0s", "--token-gap", "0s"]);
    let mut flow = String::new();
    for (name, path, finish) in STEPS {
        let (format, body) = match name {
            "messages" => ("anthropic", "messages: []"),
            "cut" => ("openai", "input: [], max_output_tokens: 5"),
            "responses" => ("openai", "input: []"),
            _ => ("openai", "messages: [], stream_options: { include_usage: true }"),
        };
        let request = format!("post: \"/v1/{path}\", json: {{ stream: true, {body} }}");
        let check = format!("stream: {format}, check: {{ finish: {finish} }}");
        flow.extend(["      - { ", &request, ", name: ", name, ", ", &check, " }\n"]);
    }
    let scenario = format!(
        "services: {{ model: \"{}\" }}\nworkloads:\n  w:\n    users: 2\n    iterations: 10\n    \
         flow:\n{flow}",
        target.url("")
    );
    let report = Manada::run(&scenario, &[]).go().measured();
    assert_eq!(report["calls"]["ok"], 50, "{report:#}");
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["failed"], 0, "{check}");
    }
    let mut tokens = 0;
    // Tokens, and how many answers have text; each token is an event of its own.
    for (name, each, texts) in
        [("chat", 9, 10), ("call", 7, 0), ("responses", 8, 10), ("cut", 5, 10), ("messages", 6, 10)]
    {
        let mut steps = report["steps"].as_array().unwrap().iter();
        let step = &steps.find(|step| step["name"] == name).unwrap()["messages"];
        let count = |metric: &str| step[metric]["count"].as_u64().unwrap_or(0);
        assert_eq!(step["counts"]["tokens"], 10 * each, "{name}: {step}");
        assert_eq!(step["counts"]["by_chunks"], 0, "the target reports usage, {name}: {step}");
        assert_eq!((count("first_us"), count("first_text_us")), (10, texts), "{name}: {step}");
        assert_eq!(count("gap_us"), 10 * (each - 1), "{name}: {step}");
        tokens += 10 * each;
    }
    let stats: Value = target.stats();
    assert_eq!(stats["streams"]["tokens"], tokens, "{stats}");
    target.end();
}
