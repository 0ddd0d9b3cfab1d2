//! A request step: what is sent, how long it may take, what is made of its answer.
//!
//! `scenario` compiles it, `engine::attempt` carries it out.
//! Invariant: its templates parsed, its service exists.

use std::time::Duration;

use super::policy::Priority;
use crate::curve::Distribution;
use crate::extract::{Capture, CaptureSource, Check, ResponseRules};
use crate::template::Template;

/// A request step.
#[derive(Clone, Debug)]
pub struct Call {
    /// The series it is counted in: index into `Archetype::series`.
    pub series: u16,
    /// Index into `Plan::services`.
    pub service: usize,
    /// What is sent.
    pub request: RequestTemplate,
    /// How long this call may take; none: the service's timeout.
    pub timeout: Option<Duration>,
    /// Overrides the archetype's think after this call.
    pub think: Option<Distribution>,
    /// What is kept of the answer.
    pub captures: Vec<Capture>,
    /// What is counted when it does not hold.
    pub checks: Vec<Check>,
    /// What fails the call and ends the iteration when it does not hold.
    pub expects: Vec<Check>,
    /// What a failed check does beside being counted.
    pub on_fail: OnFail,
    /// The most bytes of body accepted; a longer one fails the call.
    pub max_body: u64,
    /// How many redirects it follows; none: as many as its service says.
    pub redirects: Option<u32>,
    /// What goes first when not everything can go; none: its pool's.
    pub priority: Option<Priority>,
    /// Steps follow that are taken when it gets no wanted answer: then the iteration goes on.
    pub rescued: bool,
}

/// What a failed check does beside being counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFail {
    /// Nothing.
    #[default]
    Count,
    /// The iteration ends.
    Stop,
    /// The run ends.
    Abort,
}

impl OnFail {
    /// The names in a scenario.
    pub const NAMES: [(&'static str, Self); 3] =
        [("count", Self::Count), ("stop", Self::Stop), ("abort", Self::Abort)];
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    /// The method, upper case.
    pub method: String,
    /// Path and query below the service's prefix, beginning with `/`.
    pub path: Template,
    /// The step's own headers; values are templates.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: RequestBody,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum RequestBody {
    /// No body.
    None,
    /// Rendered for each call; the content type is among the request's headers.
    Template(Template),
    /// The same bytes each time.
    Bytes(Vec<u8>),
}

impl Call {
    /// What is looked for in its response.
    pub fn response_rules(&self) -> ResponseRules<'_> {
        let Self { expects, checks, captures, .. } = self;
        ResponseRules { expects, checks, captures }
    }

    /// How many bytes of body are accepted where nothing is said: 64 MiB.
    pub const MAX_BODY: u64 = 64 << 20;

    /// Whether the answer's head has to be kept for captures or checks.
    pub fn looks_at_head(&self) -> bool {
        self.captures.iter().any(|capture| capture.source.needs_head())
            || self.all_checks().any(|check| check.what.needs_head())
    }

    /// Whether the answer's body has to be kept for captures or checks.
    pub fn looks_at_body(&self) -> bool {
        self.captures.iter().any(|capture| capture.source.needs_body())
            || self.all_checks().any(|check| check.what.needs_body())
    }

    /// Whether a capture looks for a cookie.
    pub fn looks_at_cookies(&self) -> bool {
        self.captures.iter().any(|capture| matches!(capture.source, CaptureSource::Cookie(_)))
    }

    /// Whether `status` is one that this call's checks or expects name as wanted.
    pub fn asks_for(&self, status: u16) -> bool {
        self.all_checks().any(|check| check.what.names_status(status))
    }

    /// The names of all that is checked: checks, expects, then captures.
    pub fn checked(&self) -> impl Iterator<Item = String> {
        let captures = self.captures.iter().map(|capture| &capture.name);
        self.all_checks().map(|check| &check.name).chain(captures).cloned()
    }

    fn all_checks(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().chain(&self.expects)
    }
}

impl RequestTemplate {
    /// Whether it may be sent twice without harm (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        is_idempotent(&self.method)
    }
}

/// Whether a request of this method may be sent twice without harm (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
