//! One URL, without a file: the zero-configuration form.
//!
//! `cli` fills it in; it becomes a plan like any other, so there is one way to measure.
//! Invariant: nothing in it is a template; what was given is what is sent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::diagnose::{Mistakes, Review};
use super::load::{DEFAULT_MAX_USERS, MAX_USERS};
use super::{compile, header, rules, safety, service};
use crate::curve::Curve;

use crate::plan::load::{Arrivals, Bound, OPEN_END, Process, Users};
use crate::plan::template::{Encoding, Template};
use crate::plan::{
    Archetype, Body, Call, Load, OnFail, Plan, Policies, Request, Series, Service, Target, Workload,
};
use crate::seed::Seed;
use crate::units::Rate;

/// How long a hit lasts where neither a length nor a count is given.
pub const DURATION: Duration = Duration::from_secs(10);

/// How many users there are where nothing is said, and no rate.
pub const CONNECTIONS: u64 = 50;

/// The words of `manada hit`.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The URL, query included.
    pub url: String,
    /// How many connections, each with one user: [`CONNECTIONS`] if not given. With a rate the most
    /// users at once: as many as the rate takes if not given, at most 10,000.
    pub connections: Option<u64>,
    /// How long; none: [`DURATION`], or until the requests are made.
    pub duration: Option<Duration>,
    /// How many requests in all.
    pub requests: Option<u64>,
    /// How many requests per second, whatever the target does.
    pub rate: Option<Rate>,
    /// The method.
    pub method: String,
    /// Headers, as name and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// Whether a certificate that cannot be verified is accepted.
    pub insecure: bool,
    /// How long a request may take; none: [`Service::TIMEOUT`].
    pub timeout: Option<Duration>,
    /// The seed; none: drawn.
    pub seed: Option<Seed>,
    /// Rules to judge by.
    pub thresholds: Vec<String>,
    /// What is due before this offset counts in the ledgers alone.
    pub warmup: Duration,
}

/// The plan of a hit: one workload, one archetype, one step.
///
/// # Errors
///
/// Every word that is no URL, header, method, number or rule, each under the name of its flag.
pub fn plan(hit: &Hit) -> Result<Plan, Mistakes> {
    let mut review = Review::default();
    let target = target(&mut review, hit);
    check(&mut review, hit);
    let thresholds = rules::of_flag(&mut review, &hit.thresholds);
    let plan = target.map(|(service, path, name)| {
        let workload = Workload::alone("hit", load(hit));
        Plan {
            scenario: "hit".to_owned(),
            description: None,
            seed: hit.seed.unwrap_or_else(Seed::draw),
            services: vec![service],
            archetypes: vec![archetype(hit, path, &name)],
            workloads: vec![workload],
            steps: vec![Series { name, archetype: 0, workload: 0, tags: Vec::new() }],
            groups: Vec::new(),
            setup: None,
            teardown: None,
            thresholds,
            warmup: hit.warmup,
            grace: compile::GRACE,
            safety: Arc::default(),
            policies: Policies::default(),
            sources: Vec::new(),
        }
    });
    if let Some(plan) = &plan {
        rules::matched(&mut review, plan, &[]);
    }
    review.close(plan).map(|(plan, _)| plan)
}

/// The same plan within the user's limits: its own safety file, and the hosts it answers for.
///
/// # Errors
///
/// Mistakes in that file, and whatever of the plan is beyond it.
pub fn within(mut plan: Plan, file: Option<&Path>, hosts: &[String]) -> Result<Plan, Mistakes> {
    let mut review = Review::default();
    let limits = safety::of_user(&mut review, file);
    safety::denied(&mut review, "hit", &plan, &limits.safety);
    safety::judge(&mut review, "hit", &mut plan, limits, hosts, false);
    review.close(Some(plan)).map(|(plan, _)| plan)
}

fn load(hit: &Hit) -> Load {
    let length = match (hit.duration, hit.requests) {
        (Some(duration), _) => duration,
        (None, Some(_)) => Duration::from_nanos(OPEN_END),
        (None, None) => DURATION,
    };
    match hit.rate {
        Some(rate) => Load::Open(Arrivals {
            process: Process::Constant,
            curve: Curve::constant(rate.units(), length),
            iterations: hit.requests,
            max_users: hit.connections.unwrap_or(DEFAULT_MAX_USERS),
            fresh_connections: false,
        }),
        None => Load::Closed(Users {
            curve: Curve::constant(hit.connections.unwrap_or(CONNECTIONS), length),
            bound: hit.requests.map_or(Bound::Time, Bound::Iterations),
        }),
    }
}

fn archetype(hit: &Hit, path: Template, name: &str) -> Archetype {
    let headers = hit
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Template::literal(value.trim())))
        .collect();
    let body = hit.body.clone().map_or(Body::None, Body::Bytes);
    let call = Call {
        series: 0,
        service: 0,
        request: Request { method: hit.method.clone(), path, headers, body },
        timeout: None,
        think: None,
        captures: Vec::new(),
        checks: Vec::new(),
        expects: Vec::new(),
        on_fail: OnFail::Count,
        max_body: Call::MAX_BODY,
        redirects: None,
        priority: None,
        rescued: false,
    };
    Archetype::of_calls("hit", vec![call], vec![name.to_owned()])
}

/// The service, the path below it and the step's name.
fn target(review: &mut Review, hit: &Hit) -> Option<(Service, Template, String)> {
    let url = hit.url.as_str();
    // As browsers and curl do: no scheme means http, and a fragment is never sent.
    let url = url.split('#').next().unwrap_or(url);
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let from = full.find("://").map_or(0, |at| at + 3);
    let origin_end = full[from..].find(['/', '?']).map_or(full.len(), |at| from + at);
    let (origin, rest) = full.split_at(origin_end);
    let address = match service::parse_url(origin) {
        Ok(address) => address,
        Err(problem) => {
            let shown = super::shape::short(&hit.url);
            review
                .general("URL", format!("`{shown}` {problem}"))
                .expected("a URL such as http://127.0.0.1:8080/products?page=1");
            return None;
        }
    };
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let path = Template::encoded(&rest, Encoding::Url).ok()?;
    let bare = rest.split('?').next().unwrap_or(&rest);
    let name = format!("{} {}", hit.method, super::shape::short(bare));
    let mut service = Service::plain("target", Target::Url(address));
    service.timeout = hit.timeout.unwrap_or(Service::TIMEOUT);
    service.reach.tls.insecure = hit.insecure;
    // A hit repeats one request: what a target remembers of a visitor is not part of it.
    service.cookies = false;
    Some((service, path, name))
}

fn check(review: &mut Review, hit: &Hit) {
    let mut refuse = |flag: &str, message: String, expected: &str| {
        review.general(flag, message).expected(expected);
    };
    if let Some(connections) = hit.connections.filter(|count| !(1..=MAX_USERS).contains(count)) {
        let message = format!("{connections} is no number of connections");
        refuse("--connections", message, "a whole number from 1 to 10000000");
    }
    let too_long = |duration: Duration| duration >= Duration::from_nanos(OPEN_END);
    if hit.duration.is_some_and(|duration| duration.is_zero() || too_long(duration)) {
        refuse("--duration", "no such length".to_owned(), "a duration above zero, such as 10s");
    }
    if hit.requests == Some(0) {
        refuse("--requests", "no requests, no measurement".to_owned(), "a number above zero");
    }
    if hit.rate.is_some_and(|rate| rate.units() == 0) {
        refuse("--rate", "no such rate".to_owned(), "a rate above zero, such as 500/s");
    }
    if hit.timeout.is_some_and(|timeout| timeout.is_zero()) {
        refuse("--timeout", "no such timeout".to_owned(), "a duration above zero, such as 30s");
    }
    let end = hit.duration.or(hit.requests.is_none().then_some(DURATION));
    if end.is_some_and(|end| hit.warmup >= end && !end.is_zero()) {
        let message = "nothing would be measured: the warm-up covers the whole run".to_owned();
        refuse("--warmup", message, "a warm-up shorter than the run");
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if hit.method.is_empty() || !hit.method.bytes().all(token) {
        let message = format!("`{}` is no method", super::shape::short(&hit.method));
        refuse("--method", message, "a method such as GET or POST");
    }
    for (name, value) in &hit.headers {
        if let Err(problem) = header::check_name(name) {
            refuse("--header", problem, "a header such as 'accept: text/html'");
        }
        if !header::is_value(value) {
            let message = format!("a line break or control character in the value of `{name}`");
            refuse("--header", message, "one line of text");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(url: &str) -> Hit {
        Hit {
            url: url.to_owned(),
            connections: None,
            duration: None,
            requests: None,
            rate: None,
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            insecure: false,
            timeout: None,
            seed: Seed::new(1),
            thresholds: Vec::new(),
            warmup: Duration::ZERO,
        }
    }

    fn path(plan: &Plan) -> &[u8] {
        plan.archetypes[0].calls[0].request.path.as_static().unwrap()
    }

    #[test]
    fn a_url_is_a_whole_plan() {
        let plan = plan(&hit("http://127.0.0.1:8080/p/1?q={{ x }}#top")).unwrap();
        assert_eq!(path(&plan), b"/p/1?q=%7B%7B%20x%20%7D%7D");
        assert_eq!(plan.steps[0].name, "GET /p/1");
        assert_eq!(plan.load_end(), Some(DURATION));
        assert_eq!(plan.peak_users(), 50);
        let bare = super::plan(&hit("localhost:9?a=1")).unwrap();
        assert_eq!(path(&bare), b"/?a=1");
        assert!(bare.has_local_target());
    }

    #[test]
    fn counts_and_rates_choose_the_model() {
        let counted = plan(&Hit { requests: Some(1_000), ..hit("http://x") }).unwrap();
        let Load::Closed(users) = &counted.workloads[0].load else { panic!("closed") };
        assert_eq!(users.bound, Bound::Iterations(1_000));
        assert_eq!(counted.load_end(), None);
        let rate = Some(Rate::per_s(100));
        let open = plan(&Hit { rate, requests: Some(5), ..hit("http://x") }).unwrap();
        let Load::Open(arrivals) = &open.workloads[0].load else { panic!("open") };
        assert_eq!((arrivals.max_users, arrivals.iterations), (10_000, Some(5)));
        let few = plan(&Hit { rate, connections: Some(7), ..hit("http://x") }).unwrap();
        assert_eq!(few.peak_users(), 7);
    }

    #[test]
    fn every_wrong_word_is_named() {
        let wrong = Hit {
            connections: Some(0),
            requests: Some(0),
            method: "GE T".to_owned(),
            headers: vec![("a b".to_owned(), "x\r\ny".to_owned())],
            thresholds: vec!["eror".to_owned()],
            ..hit("ftp://x")
        };
        let mistakes = plan(&wrong).unwrap_err();
        let flags: Vec<&str> = mistakes.list.iter().map(|m| m.file.as_str()).collect();
        let expect = [
            "URL",
            "--connections",
            "--requests",
            "--method",
            "--header",
            "--header",
            "--threshold 'eror'",
        ];
        assert_eq!(flags, expect);
    }
}
