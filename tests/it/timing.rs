//! Whose time is whose: what the generator does itself is no time of the target.

use std::fmt::Write;

use crate::harness::{Manada, count};
use crate::peer::{Server, Then};

#[test]
fn what_is_rendered_is_lateness_and_no_service_time() {
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
    // Sixty digests of 60 kB each take the generator far longer than loopback takes for one answer.
    let (lag, service) = (count(&report, "lag_us.min"), count(&report, "service_us.min"));
    assert!(lag > service, "lag {lag} µs, service {service} µs: {done}");
    assert!(count(&report, "response_us.min") >= lag, "{done}");
}
