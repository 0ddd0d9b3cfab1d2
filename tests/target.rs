//! The test server as a process: it starts, prints its address, and ends on request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use manada::curve::Distribution;
use manada::plan::service::Builtin;
use manada::seed::Seed;
use manada::testserver::process::TestServerProcess;

const MANADA: &str = env!("CARGO_BIN_EXE_manada");

#[test]
fn server_runs_until_its_input_closes() {
    let latency = Some(Distribution::parse_compact("exponential:1ms,max=3ms").unwrap());
    let settings = Builtin { latency, servers: Some(2), instances: 1 };
    let seed = Seed::new(7).unwrap();
    let target = TestServerProcess::start(Some(Path::new(MANADA)), &settings, seed).unwrap();
    let address = target.address();
    assert!(address.ip().is_loopback());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET /products/1 HTTP/1.0\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    target.stop().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn other_programs_are_an_error() {
    let seed = Seed::new(7).unwrap();
    for program in ["/bin/false", "/bin/echo", "/nonexistent"] {
        let started = TestServerProcess::start(Some(Path::new(program)), &Builtin::default(), seed);
        assert!(started.is_err(), "{program}");
    }
}

#[test]
fn invalid_arguments_are_rejected() {
    for (words, part) in [
        (&["--listen", "0.0.0.0:0"][..], "--allow-remote"),
        (&["--latency", "gauss:5ms"], "expected a duration such as 5ms"),
        (&["--stall", "2s"], "expected LENGTH@WHEN such as 2s@20s"),
        (&["--fail", "2%:boom"], "reset, hang or close"),
        (&["--fail", "60%:503", "--fail", "60%:reset"], "more than 100%"),
        (&["--servers", "0"], "0 is not in"),
        (&["--seed", "9007199254740992"], "below 2^53"),
    ] {
        let output = Command::new(MANADA).arg("target").args(words).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(stderr.contains(part), "{words:?}: {stderr}");
    }
}
