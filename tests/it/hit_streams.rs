//! Streams of `hit` against the built-in target, with the target's own counts as the truth.

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};

/// A run of `hit` with its summary.
fn summary(url: &str, words: &[&str]) -> Done {
    Manada::new(&["hit", url, "--ui", "none", "--threshold", "calls > 0"]).words(words).go()
}

fn step<'r>(report: &'r Value, name: &str) -> &'r Value {
    let steps = report["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["name"] == name);
    found.unwrap_or_else(|| panic!("no step {name}: {report}"))
}

#[test]
fn each_message_over_a_websocket_has_its_reply() {
    let target = Builtin::start(&[]);
    let url = format!("ws://{}/ws/echo?delay=20ms", target.address());
    let report = Manada::hit(&url, &["-c", "4", "-n", "40"]).go().report(0);
    for (name, calls) in [("open /ws/echo", 4), ("send /ws/echo", 40), ("await /ws/echo", 40)] {
        assert_eq!(count(step(&report, name), "calls.ok"), calls, "{name}: {report}");
    }
    // The target waits 20 ms before each reply.
    let reply = step(&report, "await /ws/echo");
    assert!(reply["response_us"]["min"].as_u64().unwrap() >= 20_000, "{reply}");
    let messages = &report["messages"];
    assert_eq!((count(messages, "sent"), count(messages, "received")), (40, 40), "{messages}");
    assert_eq!(messages["adds_up"], true, "{messages}");
    assert_eq!(count(&report, "streams.opened"), 4, "{report}");
    let truth = &target.stats()["streams"];
    for (name, wanted) in [("opened", 4), ("received", 40), ("sent", 40)] {
        assert_eq!(count(truth, name), wanted, "{truth}");
    }
    assert_eq!(count(truth, "closed.1000"), 4, "{truth}");
}

#[test]
fn connection_per_message_and_messages_of_ones_own() {
    let target = Builtin::start(&[]);
    let url = format!("ws://{}/ws/echo", target.address());
    let words = ["-c", "2", "-n", "6", "--disable-keepalive", "--message", "@hello.txt"];
    let report = Manada::hit(&url, &words).file("hello.txt", "hello").go().report(0);
    assert_eq!(count(&report, "streams.opened"), 6, "{report}");
    assert_eq!(count(step(&report, "close /ws/echo"), "calls.ok"), 6, "{report}");
    assert_eq!(count(&target.stats()["streams"], "received"), 6);
    let done = summary(&url, &["-n", "2", "-c", "1"]);
    assert!(done.stdout.contains("streams") && done.stdout.contains("await /ws/echo"), "{done}");
}

#[test]
fn rate_of_messages_is_spread_over_the_connections() {
    let target = Builtin::start(&[]);
    let url = format!("ws://{}/ws/echo", target.address());
    let report = Manada::hit(&url, &["-c", "5", "-r", "20/s", "-d", "2s"]).go().report(0);
    // 20 messages a second, the first at once; at a busy machine the last may miss the end.
    let sent = count(&report, "messages.sent");
    assert!((30..=41).contains(&sent), "{sent}: {report}");
    assert_eq!(count(&report, "streams.opened"), 5, "{report}");
}

#[test]
fn listeners_hold_websockets_and_event_streams() {
    let target = Builtin::start(&[]);
    for (scheme, path) in [("ws", "/ws/events?rate=50/s"), ("http", "/sse/news?rate=50/s")] {
        let url = format!("{scheme}://{}{path}", target.address());
        let report = Manada::hit(&url, &["--listen", "-c", "3", "-d", "2s"]).go().report(0);
        let path = path.split('?').next().unwrap();
        assert_eq!(count(step(&report, &format!("open {path}")), "calls.ok"), 3, "{report}");
        let heard = step(&report, &format!("listen {path}"));
        assert!(count(heard, "messages.counts.received") > 20, "{heard}");
        assert!(heard["messages"]["gap_us"]["p50"].is_number(), "{heard}");
        assert_eq!(count(&report, "streams.peak"), 3, "{report}");
    }
}

#[test]
fn response_in_pieces_has_its_times_tokens_and_share_of_good_ones() {
    let target = Builtin::start(&["--token-first", "30ms", "--token-gap", "2ms", "--tokens", "20"]);
    let prompt =
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    let words = ["-c", "2", "-n", "6", "--stream", "openai", "-b", "@prompt.json"];
    let url = target.url("/v1/chat/completions");
    let asked = |more: &[&str]| {
        Manada::hit(&url, &words).words(more).file("prompt.json", prompt).go().report(0)
    };
    let report = asked(&["--good", "first=20s,tpot=10s"]);
    let chat = step(&report, "POST /v1/chat/completions");
    assert_eq!(count(chat, "calls.ok"), 6, "{report}");
    let counts = &chat["messages"]["counts"];
    assert_eq!((count(counts, "tokens"), count(counts, "good")), (6 * 20, 6), "{chat}");
    assert!(chat["messages"]["first_us"]["min"].as_u64().unwrap() >= 30_000, "{chat}");
    for time in ["first_us", "first_text_us", "gap_us", "tpot_us"] {
        assert!(chat["messages"][time]["p50"].is_number(), "{time}: {chat}");
    }
    // Each first token takes longer than this limit.
    let report = asked(&["--good", "first=1ms"]);
    let counts = &step(&report, "POST /v1/chat/completions")["messages"]["counts"];
    assert_eq!((count(counts, "judged"), count(counts, "good")), (6, 0), "{counts}");
    let shown = Manada::new(&["hit", &url, "--ui", "none", "--threshold", "good == 100%"])
        .words(&words)
        .words(&["--good", "first=20s"])
        .file("prompt.json", prompt)
        .go();
    assert_eq!(shown.code, Some(0), "{shown}");
    for part in ["first text", "tpot", "tokens", "100.00 %: 6 of 6 responses"] {
        assert!(shown.stdout.contains(part), "{part}: {shown}");
    }
    let events = target.url("/sse/ticks?rate=100/s&count=5");
    let report = Manada::hit(&events, &["-c", "1", "-n", "2", "--stream", "sse"]).go().report(0);
    let ticks = step(&report, "GET /sse/ticks");
    assert_eq!(count(ticks, "messages.counts.received"), 10, "{ticks}");
}

#[test]
fn options_without_effect_are_refused_with_a_cure() {
    for (words, says) in [
        (&["ws://127.0.0.1:9/", "-b", "x"][..], "`--message` for a WebSocket"),
        (&["ws://127.0.0.1:9/", "--http2"], "a WebSocket over HTTP/1.1"),
        (&["ws://127.0.0.1:9/", "ws://127.0.0.1:9/b"], "one URL"),
        (&["ws://127.0.0.1:9/", "--stream", "sse"], "`--stream` has no effect on a WebSocket"),
        (&["http://127.0.0.1:9/", "--message", "x"], "`--message` needs a WebSocket"),
        (&["http://127.0.0.1:9/", "--good", "first=1s"], "`--good` without `--stream`"),
        (&["http://127.0.0.1:9/", "--good", "last=1s"], "unknown limit `last`"),
        (&["http://127.0.0.1:9/", "--stream", "xml"], "openai"),
        (&["http://127.0.0.1:9/", "--listen", "-n", "3"], "`--requests` has no effect"),
        (&["http://127.0.0.1:9/", "--listen", "--format", "wrk"], "cannot be used with"),
        (&["ws://127.0.0.1:9/", "--message", "@none.txt"], "cannot read the message"),
    ] {
        let done = Manada::new(&["hit"]).words(words).words(&["--ui", "none"]).go();
        let code = if says.starts_with("cannot read") { 3 } else { 2 };
        assert!(done.code == Some(code) && done.stderr.contains(says), "{words:?}: {done}");
    }
}
