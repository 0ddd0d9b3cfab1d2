//! Keys and metrics of other tools, and their equivalents here.
//!
//! `scenario` looks up unknown keys, `verdict` unknown metrics.
//! Invariant: an example in a hint is valid in a scenario.

/// A word of another tool: the word, the tool, the equivalent here.
type Foreign = (&'static str, &'static str, &'static str);

/// Keys. The meaning of a word does not depend on its place: a key that is native somewhere is
/// found there before this table is searched.
const KEYS: [Foreign; 27] = [
    ("vus", "k6", "`users: 10` with `duration: 30s`"),
    ("maxVUs", "k6", "`max_users: 100` of `arrivals:`"),
    ("preAllocatedVUs", "k6", "`prewarm: 5s`, which makes users ready before they are due"),
    ("stages", "k6", "`users: [ { ramp: 200, over: 30s }, { hold: 5m } ]`"),
    ("rps", "k6", "`arrivals: { rate: 200/s }`, or `limits: { global: 200/s }`"),
    ("gracefulStop", "k6", "`grace: 30s` of the scenario"),
    ("gracefulRampDown", "k6", "`grace: 30s` of the scenario"),
    ("startTime", "k6", "`start: 10s` of a workload"),
    ("scenarios", "k6 and Artillery", "`workloads:`"),
    ("sleep", "k6", "`pause: 1s` as a step, or `think: 1s`"),
    ("arrivalRate", "Artillery", "`arrivals: { rate: 10/s }`"),
    ("rampTo", "Artillery", "`arrivals: { rate: [ { from: 10/s }, { ramp: 50/s, over: 1m } ] }`"),
    ("maxVusers", "Artillery", "`max_users: 100` of `arrivals:`"),
    (
        "phases",
        "Artillery",
        "stages of one load: `users: [ { ramp: 200, over: 30s }, { hold: 5m } ]`",
    ),
    (
        "config",
        "Artillery",
        "the keys of the scenario itself, such as `services:` and `workloads:`",
    ),
    ("ensure", "Artillery", "`thresholds: [ response.p95 < 250ms ]`"),
    ("jsonpath", "k6 and Artillery", "`json: \"$.id\"`"),
    ("jsonPath", "Gatling and JMeter", "`json: \"$.id\"`"),
    ("regexp", "Artillery", "`regex: 'id=(\\d+)'`"),
    ("xpath", "JMeter", "`css: \"#id\"` for HTML; XML is matched with `regex:`"),
    ("statusCode", "Artillery", "`status: 200`"),
    ("contentType", "Artillery", "`header: { content-type: application/json }`"),
    ("wait_time", "Locust", "`think: 2s`"),
    ("spawn_rate", "Locust", "`users: [ { ramp: 200, over: 30s }, { hold: 5m } ]`"),
    ("rampUp", "JMeter and Gatling", "`users: [ { ramp: 200, over: 30s }, { hold: 5m } ]`"),
    ("concurrency", "hey and Locust", "`users: 10` with `duration: 30s`"),
    ("followRedirects", "JMeter", "`redirects: 10`"),
];

/// Metrics.
const METRICS: [Foreign; 11] = [
    ("http_req_duration", "k6", "`response.p95 < 250ms`, or `service.p95` without queueing"),
    ("http_req_waiting", "k6", "`check: { first_byte: \"< 200ms\" }` of a step"),
    ("http_req_blocked", "k6", "`blocked.p95 < 10ms`"),
    ("http_req_failed", "k6", "`errors < 1%`"),
    ("http_reqs", "k6", "`calls > 1000`, or `rate > 50/s` for iterations"),
    ("iteration_duration", "k6", "`iteration.p95 < 2s`"),
    ("dropped_iterations", "k6", "`dropped < 1`"),
    ("data_received", "k6", "`bytes < 100MB`"),
    ("vus", "k6", "`achieved.users > 99%`"),
    ("maxErrorRate", "Artillery", "`errors < 1%`"),
    ("http.response_time", "Artillery", "`response.p95 < 250ms`"),
];

fn find(list: &[Foreign], word: &str) -> Option<String> {
    let (_, tool, native) = list.iter().find(|(known, ..)| known.eq_ignore_ascii_case(word))?;
    Some(format!("`{word}` is from {tool}; use {native}"))
}

/// Returns the equivalent of another tool's key, as a hint.
pub(crate) fn key(word: &str) -> Option<String> {
    find(&KEYS, word)
}

/// Returns the equivalent of another tool's metric, as a hint; the text after its name does not
/// matter.
pub(crate) fn metric(text: &str) -> Option<String> {
    let end = text.find(['{', '(', ' ']).unwrap_or(text.len());
    let name = text[..end].trim();
    // Artillery's names contain dots themselves.
    let cut = |(at, _)| find(&METRICS, &name[..at]);
    find(&METRICS, name).or_else(|| name.rmatch_indices('.').find_map(cut))
}
