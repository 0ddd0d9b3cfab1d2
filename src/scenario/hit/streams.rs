//! The streams of a hit: WebSockets that send messages and await the replies, and listeners.
//!
//! `build` calls it.
//! Invariant: options that have no effect on a stream are mistakes.

use std::time::Duration;

use crate::curve::{Curve, Distribution};
use crate::delivery::stamp::PLACEHOLDER;
use crate::extract::{Check, CheckCondition};
use crate::ids::ServiceId;
use crate::plan::flow::Sections;
use crate::plan::listener::{ChannelPlan, ListenerPlan};
use crate::plan::load::{LoadBound, OPEN_END, Users};
use crate::plan::stream::{
    AwaitMessage, AwaitSince, OpenStream, Reconnect, SendMessage, StreamAct, StreamForm,
    StreamPlan, StreamStep,
};
use crate::plan::{Archetype, Call, Load, RequestBody, Step};
use crate::scenario::hit::options::{CONNECTIONS, DURATION, HitOptions};
use crate::scenario::hit::urls::HitTargets;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::template::Template;
use crate::units::Rate;

/// An iteration of a user that only listens.
const LISTENING: Duration = Duration::from_secs(1);

/// What the users of a hit do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HitMode {
    /// Requests.
    Requests,
    /// Messages over WebSockets, each with a reply.
    Messages,
    /// Listening to WebSockets.
    WebSocketListeners,
    /// Listening to event streams.
    EventListeners,
}

impl HitMode {
    /// The mode that the URLs and options ask for.
    pub(crate) fn of(hit: &HitOptions) -> Self {
        let is_websocket = hit.urls.iter().any(|url| is_websocket(url));
        match (is_websocket, hit.listen) {
            (false, false) => Self::Requests,
            (true, false) => Self::Messages,
            (true, true) => Self::WebSocketListeners,
            (false, true) => Self::EventListeners,
        }
    }

    /// The word that the names of its first step begin with; `None`: the method of a request.
    pub(crate) const fn verb(self) -> Option<&'static str> {
        match self {
            Self::Requests => None,
            Self::Messages | Self::WebSocketListeners | Self::EventListeners => Some("open"),
        }
    }

    const fn form(self) -> StreamForm {
        match self {
            Self::EventListeners => StreamForm::Events,
            _ => StreamForm::WebSocket,
        }
    }
}

fn is_websocket(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    ["ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Reports options that do not go together.
pub(crate) fn check(diagnostics: &mut Diagnostics, hit: &HitOptions, mode: HitMode) {
    let mut report = |flag: &str, message: &str, expected: &str| {
        diagnostics.global_mistake(flag, message).expected(expected);
    };
    if mode == HitMode::Requests {
        if hit.message.is_some() {
            let message = "`--message` needs a WebSocket";
            report("--message", message, "a URL of ws:// or wss://, or `--body` for a request");
        }
        if hit.good.is_some() && hit.stream.is_none() {
            let expected = "`--stream` with openai, anthropic, sse or lines";
            report("--good", "`--good` without `--stream`", expected);
        }
        return;
    }
    let is_listening = hit.listen;
    let has_websocket = mode != HitMode::EventListeners;
    if hit.urls.iter().collect::<std::collections::HashSet<_>>().len() > 1 {
        let message = "several URLs with a WebSocket, or with `--listen`";
        report("URL", message, "one URL; a scenario opens streams of several");
    }
    let stream = if is_listening { "`--listen`" } else { "a WebSocket" };
    let no_effect = |flag: &str| format!("`{flag}` has no effect on {stream}");
    for (is_given, flag, expected) in [
        (hit.method.is_some(), "--method", "no method: a stream is opened with GET"),
        (hit.body.is_some(), "--body", "`--message` for a WebSocket, no body for `--listen`"),
        (hit.stream.is_some(), "--stream", "an http:// or https:// URL without `--listen`"),
        (hit.good.is_some(), "--good", "an http:// or https:// URL with `--stream`"),
        (has_websocket && hit.client.http2, "--http2", "a WebSocket over HTTP/1.1"),
        (has_websocket && hit.client.redirects.is_some(), "--location", "the final URL"),
        (is_listening && hit.message.is_some(), "--message", "a URL without `--listen`"),
        (is_listening && hit.requests.is_some(), "--requests", "`--duration`"),
        (is_listening && hit.rate.is_some(), "--rate", "`--connections`"),
        (is_listening && !hit.client.keep_alive, "--disable-keepalive", "held connections"),
        (
            !hit.client.keep_alive && hit.rate.is_some(),
            "--rate",
            "`--connections`, or connections that stay open: no `--disable-keepalive`",
        ),
    ] {
        if is_given {
            report(flag, &no_effect(flag), expected);
        }
    }
    if let Some(pace) = pace(hit, mode)
        && pace >= length(hit)
        && connections(hit) > 1
    {
        let message = "at this rate, some of the connections send no message";
        report("--rate", message, "a higher rate, fewer `--connections`, or a longer `--duration`");
    }
}

/// How long the load lasts.
pub(crate) fn length(hit: &HitOptions) -> Duration {
    match (hit.duration, hit.requests) {
        (Some(duration), _) => duration,
        (None, Some(_)) => Duration::from_nanos(OPEN_END),
        (None, None) => DURATION,
    }
}

/// The number of connections: with a rate, one per message of a second by default.
fn connections(hit: &HitOptions) -> u64 {
    let by_rate = hit.rate.map_or(CONNECTIONS, |rate| rate.units() / Rate::UNITS_PER_S);
    hit.connections.unwrap_or(by_rate.clamp(1, CONNECTIONS))
}

/// How often each connection sends, so that all of them reach the rate; `None` without a rate.
fn pace(hit: &HitOptions, mode: HitMode) -> Option<Duration> {
    let rate = hit.rate.filter(|rate| mode == HitMode::Messages && rate.units() > 0)?;
    let per_second = u128::from(Rate::UNITS_PER_S) * 1_000_000_000;
    let ns = u128::from(connections(hit)) * per_second / u128::from(rate.units());
    Some(Duration::from_nanos(u64::try_from(ns).unwrap_or(OPEN_END).clamp(1, OPEN_END)))
}

/// The load of streams: users that stay. With a rate they arrive one message apart, so that their
/// messages stay evenly spaced.
pub(crate) fn load(hit: &HitOptions, mode: HitMode) -> Load {
    let (users, length) = (connections(hit), length(hit));
    let curve = match pace(hit, mode) {
        Some(pace) if pace < length => {
            let mut curve = Curve::default();
            curve.ramp(users, pace);
            curve.hold(length.saturating_sub(pace));
            curve
        }
        _ => Curve::constant(users, length),
    };
    let bound = hit.requests.map_or(LoadBound::Time, LoadBound::Iterations);
    Load::Closed(Users { curve, bound })
}

/// Builds a user with one stream. `call` is a request to the target without a body.
pub(crate) fn archetype(
    hit: &HitOptions,
    mode: HitMode,
    targets: &HitTargets,
    call: &Call,
) -> Archetype {
    let stays = hit.client.keep_alive;
    let opened = targets.names.first().map_or("", String::as_str);
    let path = opened.split_once(' ').map_or(opened, |(_, path)| path);
    let mut calls = vec![open(mode, call, stays)];
    let mut names = vec![opened.to_owned()];
    let mut step = |verb: &str, act: StreamAct| {
        let stream = Some(Box::new(StreamStep { stream: 0, act }));
        let series = u16::try_from(calls.len()).unwrap_or(u16::MAX);
        let mut call = Call { series, stream, ..call.clone() };
        call.request.headers.clear();
        calls.push(call);
        names.push(format!("{verb} {path}"));
        calls.len() - 1
    };
    let (mut first, mut flow) = (vec![Step::Stream(0)], Vec::new());
    if mode == HitMode::Messages {
        let text = hit.message.as_ref().is_none_or(|message| std::str::from_utf8(message).is_ok());
        let sent = step("send", StreamAct::Send(SendMessage { text, resend: false }));
        let reply = AwaitMessage {
            conditions: Vec::new(),
            since: AwaitSince::Send,
            count: 1,
            may_time_out: false,
        };
        let reply = step("await", StreamAct::Await(reply));
        flow.extend([sent, reply].map(Step::Stream));
        if !stays {
            let close = StreamAct::Close { code: 1_000, reason: String::new(), half: false };
            flow.push(Step::Stream(step("close", close)));
        }
        let stamped = || (PLACEHOLDER.as_bytes().to_vec(), Some(ChannelPlan::Path));
        let (message, stamp) = hit.message.clone().map_or_else(stamped, |message| (message, None));
        calls[sent].request.body = RequestBody::Bytes(message);
        calls[sent].stamp = stamp;
    } else {
        let listener = ListenerPlan {
            conditions: Vec::new(),
            channel: None,
            own: true,
            shares: false,
            replies: Vec::new(),
        };
        first.push(Step::Stream(step("listen", StreamAct::Listen(listener))));
        flow.push(Step::Pause(Distribution::constant(LISTENING)));
    }
    let mut archetype = Archetype::from_calls("hit", calls, names);
    archetype.pace = pace(hit, mode);
    archetype.streams = vec![StreamPlan {
        grpc: None,
        name: "stream".to_owned(),
        service: ServiceId::new(0),
        of_user: stays,
        // What comes between the opening and the next step is kept for that step.
        is_kept: true,
    }];
    first.extend(stays.then_some(Step::End));
    archetype.sections = Sections {
        on_start: stays.then_some(0),
        flow: if stays { first.len() } else { 0 },
        on_stop: None,
    };
    archetype.steps = first.into_iter().chain(flow).chain([Step::End]).collect();
    archetype
}

/// The step that opens the stream; a user whose stream does not open goes no further.
fn open(mode: HitMode, call: &Call, stays: bool) -> Call {
    let form = mode.form();
    let status = if form == StreamForm::WebSocket { 101 } else { 200 };
    let what = CheckCondition::Status(vec![status]);
    let expect = Check { name: format!("status is {status}"), what };
    let act = StreamAct::Open(Box::new(OpenStream {
        form,
        subprotocols: Vec::new(),
        reconnect: stays.then(Reconnect::default),
        listener: None,
    }));
    let mut opened = Call {
        stream: Some(Box::new(StreamStep { stream: 0, act })),
        expects: vec![expect],
        max_body: Call::MAX_BODY,
        ..call.clone()
    };
    if form == StreamForm::Events {
        // What a browser's EventSource sends.
        let headers = &mut opened.request.headers;
        for (name, value) in [("accept", "text/event-stream"), ("cache-control", "no-cache")] {
            if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), Template::literal(value)));
            }
        }
    }
    opened
}
