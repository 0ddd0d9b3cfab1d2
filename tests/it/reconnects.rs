//! Waits before an event stream is opened again, as the built-in target asks for them.
//!
//! Invariant: counts have bounds that follow from waits alone; a slow machine only lowers them.

use crate::builtin::Builtin;
use crate::harness::Manada;

/// Runs four listeners whose stream ends after each event, for 3 s; returns their reconnections.
fn reconnects(target: &Builtin, retry: &str, max: &str) -> u64 {
    let url = target.url("");
    let scenario = format!(
        "services: {{ feed: \"{url}\" }}\n\
         archetypes:\n\
         \x20 listener:\n\
         \x20   on_start:\n\
         \x20     - listen: /sse/n?rate=100/s&count=1&retry={retry}\n\
         \x20       reconnect: {{ max: 1000, backoff: {{ base: 10ms, max: {max} }} }}\n\
         \x20   flow: [ {{ pause: 100ms }} ]\n\
         workloads: {{ w: {{ archetypes: {{ listener: 1 }}, users: 4, duration: 3s }} }}\n"
    );
    let report = Manada::run(&scenario, &[]).go().measured();
    report["streams"]["reconnects"].as_u64().unwrap()
}

#[test]
fn an_event_stream_waits_as_long_as_the_target_asks() {
    let target = Builtin::start(&[]);
    let asked = reconnects(&target, "1s", "10s");
    assert!((4..=4 * 3).contains(&asked), "{asked} reconnections, each a second after the last");
    // The maximum of the step's backoff holds against a target that asks for an hour.
    let bounded = reconnects(&target, "3600s", "300ms");
    assert!((4..=4 * 10).contains(&bounded), "{bounded} reconnections");
    target.end();
}
