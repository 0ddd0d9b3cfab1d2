//! Tests of the attribution of time: the generator's own work is not service time.

use std::fmt::Write;

use crate::harness::{Manada, count};
use crate::peer::{Server, Then};

#[test]
fn rendering_is_lag_not_service_time() {
    let server =
        Server::answering(&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], Then::Next);
    let mut headers = String::new();
    for n in 0..60 {
        let _ = write!(headers, "x-{n}: '{{{{ hash(alnum(60000)) }}}}', ");
    }
    let scenario = format!(
        "services: {{ it: \"{}\" }}\nworkloads: {{ w: {{ users: 1, iterations: 5, \
         flow: [ {{ get: /, headers: {{ {headers} }} }} ] }} }}\n",
        server.url()
    );
    let done = Manada::run(&scenario, &[]).go();
    let report = done.report(0);
    // Sixty digests of 60 kB each take the generator far longer than loopback takes for one
    // response.
    let (lag, service) = (count(&report, "lag_us.min"), count(&report, "service_us.min"));
    assert!(lag > service, "lag {lag} µs, service {service} µs: {done}");
    assert!(count(&report, "response_us.min") >= lag, "{done}");
}

#[test]
fn users_that_compute_between_calls_keep_littles_law() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::Next);
    // One loop with enough work that it yields to other users, and conditions with almost none.
    let scenario = format!(
        "services: {{ it: \"{}\" }}\nworkloads:\n  w:\n    users: 4\n    iterations: 200\n    \
         vars: {{ n: 0 }}\n    flow:\n      - {{ get: /a }}\n      \
         - {{ if: \"{{{{ n < 9 }}}}\", do: [ {{ get: /b }} ] }}\n      \
         - repeat: {{ times: 1500, do: [ {{ set: {{ n: \"{{{{ n + 1 }}}}\" }} }} ] }}\n      \
         - {{ get: /c }}\n",
        server.url().trim_end_matches('/')
    );
    let done = Manada::run(&scenario, &["--shards", "1"]).go();
    let report = done.json();
    assert_eq!(count(&report, "calls.made"), 200 * 2 + 4, "{report}");
    let reasons = report["trust"]["reasons"].to_string();
    assert!(!reasons.contains("littles_law"), "{reasons}");
}
