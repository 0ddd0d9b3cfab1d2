//! Tests of the observer: what each interface sends, and the traps of measuring it.

use proptest::prelude::*;

use super::observer::TokenObserver;
use super::pieces::{anthropic, openai};
use super::streamed::{StreamedFormat, StreamedResponse};
use crate::clock::Time;
use crate::stats::FailureKind;

const MS: u64 = 1_000_000;

/// Observes reads that come 10 ms apart, the first at 10 ms.
fn observe(format: StreamedFormat, reads: &[&[u8]], is_whole: bool) -> StreamedResponse {
    let mut observer = TokenObserver::new(format, false);
    for (number, read) in (1..).zip(reads) {
        observer.feed(Time(number * 10 * MS), read);
    }
    observer.end(is_whole)
}

/// A chunk of a chat completion with this delta.
fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}],\
         \"usage\":null}}\n\n"
    )
}

/// A whole chat completion: role, reasoning, two texts, finish, usage, end.
fn chat() -> Vec<String> {
    vec![
        chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
        ": keep-alive\n\n".to_owned(),
        chunk("{\"reasoning_content\":\"hm\"}", "null"),
        chunk("{\"content\":\"a \\\"usage\\\": {\"}", "null"),
        chunk("{\"content\":\"\u{20ac}\"}", "null") + &chunk("{ \"content\" : \"b\" }", "null"),
        chunk("{}", "\"stop\""),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9,\
         \"total_tokens\":16}}\n\n"
            .to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
}

fn bytes(texts: &[String]) -> Vec<&[u8]> {
    texts.iter().map(String::as_bytes).collect()
}

#[test]
fn a_chat_completion_has_its_times_and_tokens() {
    let chat = chat();
    let seen = observe(StreamedFormat::OpenAi, &bytes(&chat), true);
    // Neither the role nor the comment is content; reasoning is no text of the answer.
    assert_eq!(seen.first, Time(30 * MS));
    assert_eq!(seen.first_text, Time(40 * MS));
    assert_eq!(seen.last, Time(50 * MS));
    // Two chunks of one read have no time between them.
    assert_eq!(seen.gaps, [10 * MS, 10 * MS, 0]);
    assert_eq!((seen.events, seen.content_chunks), (8, 4));
    assert_eq!((seen.tokens, seen.prompt_tokens), (Some(9), Some(7)));
    assert_eq!(seen.finish.as_deref(), Some("stop"));
    assert_eq!((seen.is_complete, seen.failure()), (true, None));
}

#[test]
fn streams_that_end_early_or_with_an_error_are_failures() {
    let chat = chat();
    let all = bytes(&chat);
    let cut = observe(StreamedFormat::OpenAi, &all[..7], true);
    assert_eq!(cut.failure(), Some(FailureKind::IncompleteStream));
    assert_eq!(cut.tokens, Some(9));
    let error = b"data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let failed = observe(StreamedFormat::OpenAi, &[all[2], error, all[7]], true);
    assert_eq!(failed.failure(), Some(FailureKind::ErrorInStream));
    assert_eq!(failed.error.as_deref(), Some("overloaded"));
    assert_eq!(failed.content_chunks, 1);
    let empty = observe(StreamedFormat::OpenAi, &[], true);
    assert_eq!((empty.first, empty.last), (Time::NEVER, Time::NEVER));
    let mut encoded = TokenObserver::new(StreamedFormat::OpenAi, true);
    encoded.feed(Time(1), b"\x1f\x8b");
    assert_eq!(encoded.end(true).failure(), Some(FailureKind::EncodedStream));
    let endless = vec![b'x'; 2 << 20];
    let endless = observe(StreamedFormat::OpenAi, &[&endless], true);
    assert_eq!(endless.failure(), Some(FailureKind::EventTooLarge));
}

#[test]
fn each_kind_of_content_is_told_apart() {
    let content = |data: &str| openai(None, data.as_bytes()).content;
    assert_eq!(content("{\"choices\":[{\"text\":\" a\",\"index\":0}]}"), Some(true));
    assert_eq!(content("{\"choices\":[{\"text\":\"\",\"index\":0}]}"), None);
    assert_eq!(content("{\"choices\":[{\"delta\":{\"content\":null}}]}"), None);
    let two = "{\"choices\":[{\"delta\":{\"content\":\"\"}},{\"delta\":{\"content\":\"x\"}}]}";
    assert_eq!(content(two), Some(true));
    assert_eq!(content("{\"choices\":[{\"delta\":{\"reasoning\":\"x\"}}]}"), Some(false));
    let tool = |arguments: &str| {
        format!(
            "{{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":0,\"type\":\"function\",\
             \"function\":{{\"name\":\"f\",\"arguments\":\"{arguments}\"}}}}]}}}}]}}"
        )
    };
    assert_eq!(content(&tool("")), None);
    assert_eq!(content(&tool("{\\\"a\\\"")), Some(false));
}

#[test]
fn a_tool_call_is_content_and_no_text() {
    let call = |function: &str| {
        chunk(&format!("{{\"tool_calls\":[{{\"index\":0,\"function\":{function}}}]}}"), "null")
    };
    let reads = [
        chunk("{\"role\":\"assistant\",\"content\":null}", "null"),
        call("{\"name\":\"say\",\"arguments\":\"\"}"),
        call("{\"arguments\":\"{\\\"content\\\":\\\"a\\\"\"}"),
        call("{\"arguments\":\"}\"}"),
        chunk("{}", "\"tool_calls\""),
        "data: [DONE]\n\n".to_owned(),
    ];
    let seen = observe(StreamedFormat::OpenAi, &bytes(&reads), true);
    assert_eq!((seen.first, seen.first_text), (Time(30 * MS), Time::NEVER));
    assert_eq!((seen.gaps.as_slice(), seen.content_chunks), (&[10 * MS][..], 2));
    assert_eq!((seen.finish.as_deref(), seen.failure()), (Some("tool_calls"), None));
    let delta = |delta: &str| format!("{{\"type\":\"content_block_delta\",\"delta\":{delta}}}");
    let piece = |json: &str| {
        let data = delta(&format!("{{\"type\":\"input_json_delta\",\"partial_json\":\"{json}\"}}"));
        anthropic(None, data.as_bytes()).content
    };
    assert_eq!((piece(""), piece("{\\\"text\\\":")), (None, Some(false)));
    let arguments = "{\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{\"}";
    assert_eq!(openai(None, arguments.as_bytes()).content, Some(false));
}

#[test]
fn the_responses_interface_is_read_by_its_types() {
    let read = |name: &str, data: &str| openai(Some(name), data.as_bytes());
    let delta = "{\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}";
    assert_eq!(read("response.output_text.delta", delta).content, Some(true));
    // The name of the event may be missing.
    assert_eq!(openai(None, delta.as_bytes()).content, Some(true));
    let thought = "{\"type\":\"response.reasoning_summary_text.delta\",\"delta\":\"hm\"}";
    assert_eq!(openai(None, thought.as_bytes()).content, Some(false));
    let done = "{\"type\":\"response.output_text.done\",\"text\":\"hi\"}";
    assert_eq!(openai(None, done.as_bytes()), super::pieces::EventPiece::default());
    let end = read(
        "response.completed",
        "{\"type\":\"response.completed\",\
         \"response\":{\"output\":[{\"content\":[{\"text\":\"hi\"}]}],\
         \"error\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}}",
    );
    assert_eq!((end.content, end.is_end, end.tokens), (None, true, Some(5)));
    assert_eq!((end.prompt_tokens, end.error), (Some(3), None));
    let failed = "{\"type\":\"response.failed\",\"response\":{\"error\":{\"message\":\"no\"}}}";
    assert_eq!(openai(None, failed.as_bytes()).error.as_deref(), Some("no"));
}

#[test]
fn messages_of_anthropic_are_read_by_their_types() {
    let reads: Vec<String> = [
        (
            "message_start",
            "{\"type\":\"message_start\",\"message\":{\"content\":[],\
          \"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}",
        ),
        (
            "content_block_start",
            "{\"type\":\"content_block_start\",\"index\":0,\
          \"content_block\":{\"type\":\"text\",\"text\":\"\"}}",
        ),
        ("ping", "{\"type\":\"ping\"}"),
        (
            "content_block_delta",
            "{\"type\":\"content_block_delta\",\"index\":0,\
          \"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}",
        ),
        (
            "content_block_delta",
            "{\"type\":\"content_block_delta\",\"index\":1,\
          \"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}",
        ),
        (
            "message_delta",
            "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\
          \"usage\":{\"output_tokens\":15}}",
        ),
        ("message_stop", "{\"type\":\"message_stop\"}"),
    ]
    .iter()
    .map(|(name, data)| format!("event: {name}\ndata: {data}\n\n"))
    .collect();
    let seen = observe(StreamedFormat::Anthropic, &bytes(&reads), true);
    assert_eq!((seen.first, seen.first_text), (Time(40 * MS), Time(50 * MS)));
    assert_eq!((seen.events, seen.content_chunks), (7, 2));
    assert_eq!((seen.tokens, seen.prompt_tokens), (Some(15), Some(25)));
    assert_eq!(seen.finish.as_deref(), Some("end_turn"));
    assert_eq!(seen.failure(), None);
    let cut = observe(StreamedFormat::Anthropic, &bytes(&reads[..6]), true);
    assert_eq!(cut.failure(), Some(FailureKind::IncompleteStream));
    let error = "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\
                 \"message\":\"Overloaded\"}}";
    assert_eq!(anthropic(Some("error"), error.as_bytes()).error.as_deref(), Some("Overloaded"));
}

#[test]
fn every_line_and_every_event_counts_where_nothing_is_known_of_them() {
    let lines = observe(StreamedFormat::Lines, &[b"{}\n{}\n", b"last"], true);
    assert_eq!((lines.first, lines.last), (Time(10 * MS), Time(20 * MS)));
    assert_eq!((lines.gaps.as_slice(), lines.events), (&[0, 10 * MS][..], 3));
    assert_eq!(lines.failure(), None);
    let events = observe(StreamedFormat::Events, &[b"data: a\n\n", b"data: b"], false);
    assert_eq!((events.events, events.tokens), (1, None));
    assert_eq!(events.failure(), Some(FailureKind::IncompleteStream));
}

proptest! {
    #[test]
    fn any_split_counts_the_same(size in 1usize..300) {
        let all = chat().concat();
        let pieces: Vec<&[u8]> = all.as_bytes().chunks(size).collect();
        let seen = observe(StreamedFormat::OpenAi, &pieces, true);
        prop_assert_eq!((seen.events, seen.content_chunks, seen.tokens), (8, 4, Some(9)));
        prop_assert_eq!(seen.gaps.iter().sum::<u64>(), seen.last.since(seen.first));
        prop_assert_eq!(seen.failure(), None);
    }

    #[test]
    fn any_data_is_read_without_panic(data in proptest::collection::vec(
        proptest::sample::select(vec![
            "\"content\"", ":", " ", "\"", "\\", "{", "}", "\"error\"", "\"usage\"", "null", "x",
            "\"type\":\"response.", "\"delta\"", "\u{20ac}",
        ]), 0..12)) {
        let data = data.concat();
        let _ = (openai(None, data.as_bytes()), anthropic(None, data.as_bytes()));
    }
}
