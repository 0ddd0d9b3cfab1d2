//! What one virtual user does: steps, requests, thinks, captures, checks.
//!
//! `scenario` compiles it from an archetype, `engine::user` walks it.
//! Invariant: a flow is a flat list; a step refers to others by index, so walking needs no
//! recursion and no lookup by name.

use std::time::Duration;

use super::extract::{Capture, Check};
use super::template::Template;
use crate::curve::Distribution;

/// A kind of user.
#[derive(Clone, Debug)]
pub struct Archetype {
    /// Its name.
    pub name: String,
    /// Whom it models.
    pub description: Option<String>,
    /// Waited after each call but the last of an iteration, and in the closed model after the
    /// last too.
    pub think: Option<Distribution>,
    /// Start-to-start time of iterations in the closed model.
    pub pace: Option<Duration>,
    /// The steps of an iteration, in order; never empty.
    pub flow: Vec<Step>,
    /// The names of its series, in the order of `Call::series`.
    pub series: Vec<String>,
    /// The tags of each series: its own and its steps'.
    pub tags: Vec<Vec<(String, String)>>,
    /// The names of its variables, in the order of their slots.
    pub variables: Vec<String>,
}

/// One step of a flow.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request and what is made of its answer.
    Call(Box<Call>),
}

/// A request step.
#[derive(Clone, Debug)]
pub struct Call {
    /// The series it is counted in: index into `Archetype::series`.
    pub series: u16,
    /// Index into `Plan::services`.
    pub service: usize,
    /// What is sent.
    pub request: Request,
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
    /// The most bytes of body accepted; a longer one fails the call.
    pub max_body: u64,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, upper case.
    pub method: String,
    /// Path and query below the service's prefix, beginning with `/`.
    pub path: Template,
    /// The step's own headers; values are templates.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: Body,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// No body.
    None,
    /// Rendered for each call; the content type is among the request's headers.
    Template(Template),
    /// The same bytes each time.
    Bytes(Vec<u8>),
}

impl Call {
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

impl Request {
    /// Whether it may be sent twice without harm (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }
}
