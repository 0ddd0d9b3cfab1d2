//! A request step: its request, its limits, its captures and checks.
//!
//! `scenario` compiles it, `engine::attempt` executes it.
//! Invariant: all templates are parsed, and the service exists.

use std::sync::Arc;
use std::time::Duration;

use super::listener::{ChannelPlan, Reply};
use super::operation::Operation;
use super::policy::Priority;
use super::stream::{StreamAct, StreamStep, StreamedAnswer};
use crate::curve::Distribution;
use crate::extract::{Capture, CaptureSource, Check, CheckPart, ResponseRules};
use crate::ids::ServiceId;
use crate::template::Template;

/// A request step.
#[derive(Clone, Debug)]
pub struct Call {
    /// The series that records it: index into `Archetype::series`.
    pub series: u16,
    /// Service of the call.
    pub service: ServiceId,
    /// The request.
    pub request: RequestTemplate,
    /// Timeout of this call; `None`: the service's timeout.
    pub timeout: Option<Duration>,
    /// Overrides the archetype's think time after this call.
    pub think: Option<Distribution>,
    /// Values extracted from the response.
    pub captures: Vec<Capture>,
    /// Checks that are only counted when they fail.
    pub checks: Vec<Check>,
    /// Checks that fail the call and end the iteration.
    pub expects: Vec<Check>,
    /// The effect of a failed check, beside its count.
    pub on_fail: OnFail,
    /// Maximum accepted body, bytes; a longer body fails the call.
    pub max_body: u64,
    /// Maximum number of redirects followed; `None`: the service's setting.
    pub redirects: Option<u32>,
    /// Decides which calls go first under limits; `None`: the pool's priority.
    pub priority: Option<Priority>,
    /// A `rescue` follows: after a failure its steps run, and the iteration continues.
    pub has_rescue: bool,
    /// The channel that the stamp in its body belongs to; `None`: there is no stamp.
    pub stamp: Option<ChannelPlan>,
    /// How the response is observed as it comes; `None`: it is not.
    pub streamed: Option<StreamedAnswer>,
    /// What the step does with a stream; `None`: it is a request alone.
    pub stream: Option<Box<StreamStep>>,
    /// What it does over another protocol than HTTP; `None`: it is an HTTP request.
    pub operation: Option<Arc<Operation>>,
    /// The call that begins its transaction, by index; `None`: it belongs to none.
    pub transaction: Option<usize>,
}

/// The effect of a failed check, beside its count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFail {
    /// No further effect.
    #[default]
    Count,
    /// The iteration ends.
    Stop,
    /// The run ends.
    Abort,
}

impl OnFail {
    /// The spellings in a scenario.
    pub const NAMES: [(&'static str, Self); 3] =
        [("count", Self::Count), ("stop", Self::Stop), ("abort", Self::Abort)];
}

/// The template of a request.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    /// The method, upper case.
    pub method: String,
    /// Path and query below the service's prefix, beginning with `/`.
    pub path: Template,
    /// The step's own headers, values as templates.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: RequestBody,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum RequestBody {
    /// No body.
    None,
    /// Rendered for each call; the request's headers include the content type.
    Template(Template),
    /// Constant bytes.
    Bytes(Vec<u8>),
}

impl Call {
    /// A GET request to the first service, without checks.
    pub fn get(path: Template) -> Self {
        Self {
            series: 0,
            service: ServiceId::default(),
            request: RequestTemplate {
                method: "GET".to_owned(),
                path,
                headers: Vec::new(),
                body: RequestBody::None,
            },
            timeout: None,
            think: None,
            captures: Vec::new(),
            checks: Vec::new(),
            expects: Vec::new(),
            on_fail: OnFail::Count,
            max_body: Self::MAX_BODY,
            redirects: None,
            priority: None,
            has_rescue: false,
            stamp: None,
            streamed: None,
            stream: None,
            operation: None,
            transaction: None,
        }
    }

    /// The queues, exchanges, topics and channels that it names at a broker.
    pub fn destinations(&self) -> Vec<&Template> {
        let of_stream = match self.stream.as_ref().map(|step| &step.act) {
            Some(StreamAct::Publish(publish)) => Some(&publish.destination),
            Some(StreamAct::Subscribe(subscribe)) => Some(&subscribe.source),
            _ => None,
        };
        let of_operation = self.operation.as_deref().map_or_else(Vec::new, Operation::names);
        of_stream.into_iter().chain(of_operation).collect()
    }

    /// The exchange that a message of AMQP is sent to; `None` for other calls.
    pub fn exchange(&self) -> Option<&str> {
        match self.stream.as_ref().map(|step| &step.act) {
            Some(StreamAct::Publish(publish)) => Some(publish.options.exchange.as_str()),
            _ => None,
        }
        .filter(|exchange| !exchange.is_empty())
    }

    /// Whether its request may be sent twice without harm.
    pub fn is_idempotent(&self) -> bool {
        match &self.operation {
            // A transaction is repeated as a whole.
            Some(operation) => operation.is_idempotent() && self.transaction.is_none(),
            None => self.request.is_idempotent(),
        }
    }

    /// Returns what the call extracts from its response and checks in it.
    pub fn response_rules(&self) -> ResponseRules<'_> {
        let Self { expects, checks, captures, .. } = self;
        ResponseRules { expects, checks, captures }
    }

    /// Whether it sends an HTTP request: one of its own, or the handshake of a stream.
    pub fn sends_request(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| matches!(stream.act, StreamAct::Open(_)))
    }

    /// Whether its rules are for messages, not for its response: it opens a stream and listens, or
    /// subscribes.
    pub fn has_message_rules(&self) -> bool {
        match self.stream.as_ref().map(|stream| &stream.act) {
            Some(StreamAct::Open(open)) => open.listener.is_some(),
            Some(StreamAct::Subscribe(_)) => true,
            _ => false,
        }
    }

    /// The place of a check, expect or capture among all of the call.
    pub fn place_of(&self, part: CheckPart) -> usize {
        match part {
            CheckPart::Check(index) => index,
            CheckPart::Expect(index) => self.checks.len() + index,
            CheckPart::Capture(index) => self.checks.len() + self.expects.len() + index,
        }
    }

    /// Default maximum of a response body: 64 MiB.
    pub const MAX_BODY: u64 = 64 << 20;

    /// Whether captures or checks need the response's head.
    pub fn needs_head(&self) -> bool {
        self.captures.iter().any(|capture| capture.source.needs_head())
            || self.all_checks().any(|check| check.what.needs_head())
    }

    /// Whether captures or checks need the response's body.
    pub fn needs_body(&self) -> bool {
        self.captures.iter().any(|capture| capture.source.needs_body())
            || self.all_checks().any(|check| check.what.needs_body())
    }

    /// Whether a capture reads a cookie.
    pub fn captures_cookies(&self) -> bool {
        self.captures.iter().any(|capture| matches!(capture.source, CaptureSource::Cookie(_)))
    }

    /// Whether a check or expect of this call names `status` as wanted.
    pub fn expects_status(&self, status: u16) -> bool {
        self.all_checks().any(|check| check.what.names_status(status))
    }

    /// Returns the names of all checks: checks, expects, captures, then replies with captures.
    pub fn check_names(&self) -> impl Iterator<Item = String> {
        let captures = self.captures.iter().map(|capture| &capture.name);
        let replies = self.replies().iter().enumerate();
        let replies = replies.filter(|(_, reply)| !reply.captures.is_empty());
        let replies = replies.map(|(index, _)| format!("reply {}", index + 1));
        self.all_checks().map(|check| &check.name).chain(captures).cloned().chain(replies)
    }

    /// The automatic answers of the listener that begins with this call.
    pub fn replies(&self) -> &[Reply] {
        let listener = self.stream.as_ref().and_then(|step| step.act.listener());
        listener.map_or(&[], |listener| &listener.replies)
    }

    fn all_checks(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().chain(&self.expects)
    }
}

impl RequestTemplate {
    /// Whether the request may be sent twice without harm (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        is_idempotent(&self.method)
    }
}

/// Whether a request of this method may be sent twice without harm (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
