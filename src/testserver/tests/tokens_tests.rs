//! Token streams from outside, read as raw bytes.

use std::time::Duration;

use serde_json::json;

use super::websocket_tests::{check, time, wait_for};
use super::*;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m\"x","stream":true,"messages":[{"role":"user","content":"a b"}]}"#;
const USAGE: &str = r#"{"stream":true,"stream_options":{"include_usage":true},"prompt":"a b",
    "messages":[{"role":"user","content":"a b"}]}"#;

/// A target whose tokens come at once.
fn fast() -> TestServerConfig {
    let zero = Distribution::constant(Duration::ZERO);
    let tokens =
        TokenLaws { first: zero.clone(), gap: zero, tokens: "5".parse::<TokenCounts>().unwrap() };
    TestServerConfig { tokens, ..config() }
}

/// Posts a body; returns the head of the response and its body, without chunks.
fn ask(target: &Running, path: &str, body: &str) -> (String, String) {
    let mut stream = target.connect();
    let request = post(path, body).replace("host: h\r\n", "host: h\r\nconnection: close\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let at = response.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let (head, mut rest) = (String::from_utf8(response[..at].to_vec()).unwrap(), &response[at..]);
    if !head.contains("chunked") {
        return (head, String::from_utf8_lossy(rest).into_owned());
    }
    let mut out = Vec::new();
    while !rest.is_empty() {
        let line = rest.windows(2).position(|w| w == b"\r\n").unwrap();
        let length = std::str::from_utf8(&rest[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        out.extend_from_slice(&rest[line + 2..line + 2 + length]);
        rest = &rest[line + length + 4..];
    }
    (head, String::from_utf8(out).unwrap())
}

/// The data of all events; `[DONE]` as a string.
fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into())).collect()
}

/// The text at a place of each event, together.
fn text(events: &[Value], place: &str) -> String {
    events.iter().filter_map(|event| event.pointer(place)?.as_str()).collect()
}

const TEXT: &str = "herd of größer waves under";

#[test]
fn chat_stream_has_role_content_finish_and_done() {
    let target = Running::start(fast());
    let (head, body) = ask(&target, CHAT, BODY);
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("manada-tokens: 5\r\nmanada-first-us: 0\r\n"), "{head}");
    let events = events(&body);
    assert_eq!(events.len(), 1 + 5 + 1 + 1, "{body}");
    let choice = |at: usize| &events[at]["choices"][0];
    assert_eq!(choice(0)["delta"], json!({ "role": "assistant", "content": "" }));
    assert_eq!(choice(1)["delta"], json!({ "content": "herd" }));
    assert_eq!(choice(5)["finish_reason"], Value::Null);
    assert_eq!((&choice(6)["delta"], &choice(6)["finish_reason"]), (&json!({}), &json!("stop")));
    assert_eq!(events[7], "[DONE]");
    assert_eq!(text(&events, "/choices/0/delta/content"), TEXT);
    for event in &events[..7] {
        assert_eq!(
            (&event["object"], &event["model"]),
            (&json!("chat.completion.chunk"), &json!("m\"x"))
        );
        assert_eq!((&event["id"], event.get("usage")), (&events[0]["id"], None));
    }
    let stats = wait_for(&target, "/streams/closed/finished", 1);
    check(&stats, &[("tokens", 5), ("sent", 8), ("open", 0), ("cancelled", 0)]);
    target.stop();
}

#[test]
fn usage_limit_reasoning_and_chunks_follow_the_request() {
    let target = Running::start(fast());
    let (_, body) = ask(&target, &format!("{CHAT}?reasoning=3&per_chunk=2"), USAGE);
    let seen = events(&body);
    // Role, two chunks of reasoning, one of text, finish, usage, end mark.
    assert_eq!(seen.len(), 7, "{body}");
    assert_eq!(text(&seen, "/choices/0/delta/reasoning_content"), "herd of größer");
    assert_eq!(text(&seen, "/choices/0/delta/content"), " waves under");
    let usage = json!({
        "prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 7,
        "completion_tokens_details": { "reasoning_tokens": 3 },
    });
    assert_eq!((&seen[5]["choices"], &seen[5]["usage"]), (&json!([]), &usage));
    assert!(seen[..5].iter().all(|event| event.get("usage") == Some(&Value::Null)));
    for (body, tokens, reason) in [
        (r#"{"messages":[],"stream":true,"max_tokens":3}"#, 3, "length"),
        (r#"{"messages":[],"stream":true,"max_completion_tokens":9}"#, 5, "stop"),
        (r#"{"messages":[],"stream":true,"max_tokens":9,"ignore_eos":true}"#, 9, "stop"),
    ] {
        let seen = events(&ask(&target, CHAT, body).1);
        assert_eq!(seen.len(), tokens + 3);
        assert_eq!(seen[tokens + 1]["choices"][0]["finish_reason"], reason);
    }
    target.stop();
}

#[test]
fn other_apis_speak_their_own_words() {
    let target = Running::start(fast());
    let (_, body) = ask(&target, "/v1/completions", USAGE);
    let seen = events(&body);
    assert_eq!(seen.len(), 5 + 3);
    assert_eq!(text(&seen, "/choices/0/text"), TEXT);
    assert!(seen[..7].iter().all(|event| event["object"] == "text_completion"));
    let (_, body) = ask(&target, "/v1/messages?reasoning=2", USAGE);
    let names: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let block = ["content_block_delta"; 3];
    let expect = ["message_start", "content_block_start", "ping"]
        .into_iter()
        .chain(block[..2].iter().copied())
        .chain(["content_block_stop", "content_block_start"])
        .chain(block)
        .chain(["content_block_stop", "message_delta", "message_stop"]);
    assert!(names.iter().copied().eq(expect), "{names:?}");
    let seen = events(&body);
    assert!(seen.iter().zip(&names).all(|(event, name)| event["type"] == *name));
    assert_eq!(text(&seen, "/delta/thinking"), "herd of");
    assert_eq!(text(&seen, "/delta/text"), " größer waves under");
    assert_eq!(seen[0]["message"]["usage"]["input_tokens"], 2);
    assert_eq!(seen[11]["usage"]["output_tokens"], 5);
    // Without `stream`: one document.
    let plain = USAGE.replace("true", "false");
    for (path, place) in [
        (CHAT, "/choices/0/message/content"),
        ("/v1/completions", "/choices/0/text"),
        ("/v1/messages", "/content/0/text"),
    ] {
        let document: Value = serde_json::from_str(&ask(&target, path, &plain).1).unwrap();
        assert_eq!(document.pointer(place), Some(&json!(TEXT)), "{document}");
    }
    let mut stream = target.connect();
    stream.write_all(get("/v1/models").as_bytes()).unwrap();
    assert!(read_response(&mut stream).1.contains("\"object\":\"model\""));
    target.stop();
}

/// The names of the events of a body.
fn names(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("event: ")).collect()
}

const RESPONSES: &str = r#"{"stream":true,"input":"a b","max_output_tokens":4}"#;

#[test]
fn responses_have_items_with_a_beginning_deltas_and_an_end() {
    let target = Running::start(fast());
    let (_, body) = ask(&target, "/v1/responses?reasoning=1&tool=1", USAGE_OF_RESPONSES);
    let (names, seen) = (names(&body), events(&body));
    let expect = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert!(names.iter().map(|name| &name["response.".len()..]).eq(expect), "{names:?}");
    assert!(seen.iter().zip(&names).all(|(event, name)| event["type"] == *name));
    let numbers = seen.iter().map(|event| event["sequence_number"].as_u64());
    assert!(numbers.eq((0..19).map(Some)), "{body}");
    assert_eq!(text(&seen[8..11], "/delta"), " of größer waves");
    assert_eq!(seen[11]["text"], " of größer waves");
    assert_eq!(seen[15]["delta"], "{\"text\":\" under\"}");
    assert_eq!(seen[17]["item"]["arguments"], "{\"text\":\" under\"}");
    assert_eq!([3, 8, 15].map(|at: usize| seen[at]["output_index"].clone()), [0, 1, 2]);
    let usage = json!({
        "input_tokens": 2, "output_tokens": 5, "total_tokens": 7,
        "output_tokens_details": { "reasoning_tokens": 1 },
    });
    assert_eq!(seen[18]["response"]["usage"], usage);
    assert_eq!(seen[18]["response"]["output"].as_array().unwrap().len(), 3);
    let (_, body) = ask(&target, "/v1/responses", RESPONSES);
    let last = events(&body).pop().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
    let (_, body) = ask(&target, "/v1/responses?done=false", RESPONSES);
    assert_eq!(events(&body).pop().unwrap()["type"], "response.output_item.done");
    let (_, body) = ask(&target, "/v1/responses?error_after=1", RESPONSES);
    let last = events(&body).pop().unwrap();
    assert_eq!(
        (&last["type"], last["response"]["error"]["message"].is_string()),
        (&json!("response.failed"), true)
    );
    let plain = RESPONSES.replace("true", "false");
    let document: Value = serde_json::from_str(&ask(&target, "/v1/responses", &plain).1).unwrap();
    assert_eq!(document["output"][0]["content"][0]["text"], "herd of größer waves");
    check(&target.stats(), &[("tokens", 5 + 4 + 4 + 1 + 4)]);
    target.stop();
}

const USAGE_OF_RESPONSES: &str = r#"{"stream":true,"input":[{"role":"user","content":"a b"}]}"#;

#[test]
fn tool_calls_are_whole_json_in_the_words_of_each_api() {
    let target = Running::start(fast());
    let arguments = "{\"text\":\" größer waves under\"}";
    let (_, body) = ask(&target, &format!("{CHAT}?tool=3"), USAGE);
    let seen = events(&body);
    // Role, two texts, the beginning of the call, three pieces, finish, usage, end mark.
    assert_eq!(seen.len(), 10, "{body}");
    assert_eq!(text(&seen, "/choices/0/delta/content"), "herd of");
    let begun = &seen[3]["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!(begun["function"], json!({ "name": "say", "arguments": "" }));
    assert_eq!(text(&seen, "/choices/0/delta/tool_calls/0/function/arguments"), arguments);
    assert_eq!(seen[7]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(seen[8]["usage"]["completion_tokens"], 5);
    let (_, body) = ask(&target, "/v1/messages?tool=3&per_chunk=2", USAGE);
    let seen = events(&body);
    assert_eq!(text(&seen, "/delta/partial_json"), arguments);
    let block = seen.iter().find(|event| event["index"] == 1).unwrap();
    assert_eq!(block["content_block"]["type"], "tool_use");
    assert_eq!(seen[seen.len() - 2]["delta"]["stop_reason"], "tool_use");
    // A call alone.
    let (_, body) = ask(&target, &format!("{CHAT}?tool=5"), BODY);
    assert_eq!(text(&events(&body), "/choices/0/delta/content"), "");
    let plain = USAGE.replace("true", "false");
    let document: Value =
        serde_json::from_str(&ask(&target, &format!("{CHAT}?tool=3"), &plain).1).unwrap();
    let call = &document["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], arguments);
    let document: Value =
        serde_json::from_str(&ask(&target, "/v1/messages?tool=3", &plain).1).unwrap();
    assert_eq!(document["content"][1]["input"]["text"], " größer waves under");
    let (head, body) = ask(&target, "/v1/completions?tool=3", USAGE);
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("tool calls"), "{head}{body}");
    target.stop();
}

#[test]
fn faults_of_a_stream_follow_the_request() {
    let target = Running::start(fast());
    for (query, last, count) in [
        ("done=false", "finish_reason\":\"stop\"}]}\n\n", 7),
        ("error_after=2", "\"type\":\"server_error\",\"code\":500}}\n\n", 4),
        ("error_after=0", "\"type\":\"server_error\",\"code\":500}}\n\n", 1),
        ("eol=crlf", "data: [DONE]\r\n\r\n", 8),
        ("split=true&eol=crlf", "data: [DONE]\r\n\r\n", 8),
        ("per_write=100", "data: [DONE]\n\n", 8),
        ("role=early&per_write=3", "data: [DONE]\n\n", 8),
    ] {
        let (head, body) = ask(&target, &format!("{CHAT}?{query}"), BODY);
        assert!(head.starts_with("HTTP/1.1 200 ") && body.ends_with(last), "{query}: {body}");
        assert_eq!(events(&body).len(), count, "{query}: {body}");
    }
    check(&target.stats(), &[("closed/finished", 5), ("closed/fault", 2), ("tokens", 27)]);
    // The end of the connection within an event, and no last chunk.
    let mut stream = target.connect();
    stream.write_all(post(&format!("{CHAT}?eof_after=2"), BODY).as_bytes()).unwrap();
    let response = rest(&mut stream);
    assert!(!response.ends_with("\r\n0\r\n\r\n"), "{response}");
    let last = response.trim_end().lines().last().unwrap().strip_prefix("data: ").unwrap();
    assert!(last.starts_with("{\"id\"") && serde_json::from_str::<Value>(last).is_err(), "{last}");
    for (path, status, part) in [
        (format!("{CHAT}?status=429&retry_after=3"), 429, "retry-after: 3\r\n"),
        (format!("{CHAT}?tokens=x"), 400, "query key `tokens`"),
    ] {
        let (head, body) = ask(&target, &path, BODY);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(part) || body.contains(part), "{head}{body}");
    }
    target.stop();
}

#[test]
fn times_and_numbers_are_those_of_the_laws() {
    let tokens = TokenLaws {
        first: Distribution::parse_compact("uniform:20ms,60ms").unwrap(),
        gap: Distribution::parse_compact("5ms").unwrap(),
        tokens: "uniform:3,9".parse().unwrap(),
    };
    let runs = [(); 2].map(|()| {
        let target = Running::start(TestServerConfig { tokens: tokens.clone(), ..config() });
        let truth = [(); 4].map(|()| {
            let begun = clock::now();
            let (head, body) = ask(&target, CHAT, BODY);
            let took = clock::now() - begun;
            let known = |name: &str| -> u64 {
                let value = head.split_once(name).unwrap().1.split_once('\r').unwrap().0;
                value.parse().unwrap()
            };
            let (first, tokens) = (known("manada-first-us: "), known("manada-tokens: "));
            assert_eq!(events(&body).len() as u64, tokens + 3);
            assert!(took >= Duration::from_micros(first + (tokens - 1) * 5_000), "{took:?}");
            assert!((20_000..=60_000).contains(&first) && (3..=9).contains(&tokens));
            (first, tokens)
        });
        target.stop();
        truth
    });
    assert_eq!(runs[0], runs[1], "the seed says them");
}

#[test]
fn client_that_leaves_is_counted_and_a_stall_waits_for_it() {
    let target = Running::start(fast());
    let mut stream = target.connect();
    let path = format!("{CHAT}?stall_after=3&keep_alive=10ms");
    stream.write_all(post(&path, BODY).as_bytes()).unwrap();
    let mut seen = String::new();
    while !seen.contains(": keep-alive\n\n") {
        let mut piece = [0; 1_000];
        let length = stream.read(&mut piece).unwrap();
        seen += &String::from_utf8_lossy(&piece[..length]);
    }
    assert_eq!(seen.matches("\"content\":\"").count(), 4, "{seen}");
    check(&target.stats(), &[("open", 1), ("tokens", 3), ("cancelled", 0)]);
    drop(stream);
    let stats = wait_for(&target, "/streams/cancelled", 1);
    check(&stats, &[("open", 0), ("tokens", 3)]);
    // A stall that ends, then a second request on the connection.
    let mut stream = target.connect();
    let path = format!("{CHAT}?stall_after=5&stall=20ms");
    let begun = clock::now();
    stream.write_all(post(&path, BODY).as_bytes()).unwrap();
    stream
        .write_all(get("/n/1").replace("host: h", "host: h\r\nconnection: close").as_bytes())
        .unwrap();
    let response = rest(&mut stream);
    assert!(clock::now() - begun >= Duration::from_millis(20));
    assert!(response.contains("[DONE]") && response.ends_with("{\"n\":\"1\"}"), "{response}");
    target.stop();
}

/// The server's own times are compared with bounds that hold on a machine of any speed.
#[test]
fn first_token_is_late_by_the_time_after_its_due_time() {
    let ms = Duration::from_millis;
    let target = Running::start(fast());
    let begun = clock::now();
    ask(&target, &format!("{CHAT}?first=50ms"), BODY);
    let stats = wait_for(&target, "/streams/closed/finished", 1);
    check(&stats, &[("first_late_us/count", 1)]);
    let late = time(&stats, "first_late_us/max");
    assert!(ms(50) + late <= clock::now() - begun + Duration::from_micros(1), "{stats}");
    // Neither a document nor a stream without a token has one.
    ask(&target, CHAT, &BODY.replace("\"stream\":true,", ""));
    ask(&target, &format!("{CHAT}?tokens=1&error_after=0"), BODY);
    wait_for(&target, "/streams/opened", 3);
    wait_for(&target, "/streams/open", 0);
    check(&target.stats(), &[("first_late_us/count", 1)]);
    // Written in pieces, the last one of them ends it: hundreds of bytes, 7 every half ms.
    for _ in 0..2 {
        ask(&target, &format!("{CHAT}?split=true"), BODY);
    }
    let stats = wait_for(&target, "/streams/closed/finished", 4);
    check(&stats, &[("first_late_us/count", 3)]);
    assert!(time(&stats, "first_late_us/p50") >= ms(10), "{stats}");
    target.stop();
}
