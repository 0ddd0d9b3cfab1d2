//! `--influx`: line protocol at a real InfluxDB, whose sums equal the report, and at receivers that
//! are strict, in trouble, or wrong.
//!
//! Invariant: every line is valid; no figure is compared before the run
//! has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, Tied};
use crate::line_protocol::{FieldValue, Point, parse};
use crate::peer::{Peer, Server, refusing_address};
use crate::prometheus::{ask, free_address, pause};

/// A scenario with texts that line protocol has to escape, failures and a warm-up.
fn scenario(target: &Builtin) -> String {
    format!(
        "services: {{ shop: {{ url: '{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - get: /?a\n      name: 'look, a=b \"c\"'\n      \
         tags: {{ team: 'back\\' }}\n    - get: /?b\n      name: buy\n\
         warmup: 1s\nworkloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    \
         arrivals: {{ rate: 40/s }}\n    duration: 4s\nthresholds: ['response.p95 < 2s']\n",
        target.url("")
    )
}

/// Runs that scenario with an InfluxDB at this URL.
fn run(target: &Builtin, url: &str) -> Manada {
    let words = ["run", "s.yaml", "--json", "--ui", "none", "--no-control", "--seed", "7"];
    Manada::new(&words).words(&["--influx", url]).file("s.yaml", scenario(target))
}

/// The line that says what was lost.
fn loss(done: &Done) -> &str {
    let line = done.stderr.lines().find(|line| line.contains(" lost: "));
    line.unwrap_or_else(|| panic!("{done}"))
}

/// A real InfluxDB on a free port, with a database `load`.
struct InfluxDb {
    _child: Tied,
    address: String,
    _folder: TempDir,
}

impl InfluxDb {
    fn start() -> Self {
        let program = Path::new("/usr/bin/influxd");
        assert!(
            program.exists(),
            "this test needs influxd: `apt-get install influxdb`, or run scripts/test, which does"
        );
        let (address, rpc, folder) = (free_address(), free_address(), tempfile::tempdir().unwrap());
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"{rpc}\"\n[meta]\ndir = \"{}\"\n\
             [data]\ndir = \"{}\"\nwal-dir = \"{}\"\n[http]\nbind-address = \"{address}\"\n\
             [monitor]\nstore-enabled = false\n",
            at("meta"),
            at("data"),
            at("wal"),
        );
        std::fs::write(at("influxdb.conf"), config).unwrap();
        let child = Command::new(program)
            .args(["run", "-config", &at("influxdb.conf")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { _child: Tied(child), address, _folder: folder };
        let is_up = (0..300).any(|_| {
            let up = ask(&started.address, "/ping").contains(" 204 ");
            if !up {
                pause();
            }
            up
        });
        assert!(is_up, "influxd does not start");
        started.query("CREATE DATABASE load");
        started
    }

    /// The response to a query. Statements that change something are sent by POST.
    fn query(&self, query: &str) -> Value {
        let mut path = "/query?db=load&q=".to_owned();
        query.bytes().for_each(|byte| write!(path, "%{byte:02x}").unwrap());
        let answer = if query.starts_with("SELECT") {
            ask(&self.address, &path)
        } else {
            post(&self.address, &path)
        };
        let body = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{query}: {answer}")).1;
        serde_json::from_str(body.trim()).unwrap_or_else(|_| panic!("{query}: {answer}"))
    }

    /// The sum of the last values of all series of a measurement that `filter` selects.
    fn sum(&self, field: &str, measurement: &str, filter: &str) -> f64 {
        let query =
            format!("SELECT LAST(\"{field}\") FROM \"{measurement}\" WHERE {filter} GROUP BY *");
        let answer = self.query(&query);
        let series = answer["results"][0]["series"].as_array();
        let series = series.unwrap_or_else(|| panic!("{query}: {answer}"));
        series.iter().map(|one| one["values"][0][1].as_f64().unwrap()).sum()
    }
}

/// The response to a POST request without a body, with its head.
fn post(address: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn influxdb_has_the_sums_of_the_report() {
    let (target, influx) = (Builtin::start(&["--fail", "20%:503"]), InfluxDb::start());
    let done = run(&target, &format!("http://{}/write?db=load", influx.address)).go();
    let summary = done.report(0);
    assert!(!done.stderr.contains("lost"), "{done}");
    let run_id = format!("run_id = '{}'", summary["run_id"].as_str().unwrap());
    let steps = summary["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    for step in steps {
        let name = step["name"].as_str().unwrap();
        let of = format!("{run_id} AND step = '{name}' AND period = 'measured'");
        for result in ["ok", "failed"] {
            let count =
                influx.sum("value", "manada_calls_total", &format!("{of} AND result = '{result}'"));
            assert_eq!(count as u64, step["calls"][result].as_u64().unwrap(), "{name} {result}");
        }
        let made = step["calls"]["made"].as_u64().unwrap();
        let times = influx.sum("count", "manada_response_duration_seconds", &of);
        assert_eq!(times as u64, made, "{name}");
    }
    let tagged = format!("{run_id} AND tag_team = 'back/'");
    assert!(influx.sum("value", "manada_calls_total", &tagged) > 0.0);
    let sent = influx.sum("value", "manada_network_sent_bytes_total", &run_id);
    assert_eq!(sent as u64, summary["bytes"]["sent"].as_u64().unwrap());
    let due = influx.sum("value", "manada_starts_due_total", &run_id);
    assert_eq!(due as u64, summary["iterations"]["due"].as_u64().unwrap());
    assert_eq!(influx.sum("value", "manada_run_active", &run_id) as u64, 0);
    // Quantiles are those of each second: the highest one is at most the longest call.
    let query = format!("SELECT MAX(\"p99\") FROM manada_response_duration_seconds WHERE {run_id}");
    let highest = influx.query(&query)["results"][0]["series"][0]["values"][0][1].clone();
    let longest = steps.iter().map(|step| step["response_us"]["max"].as_f64().unwrap());
    let longest = longest.fold(0.0, f64::max);
    let highest = highest.as_f64().unwrap() * 1e6;
    assert!(highest > 0.0 && highest <= longest * 1.001 + 1e6, "{highest} {longest}");
}

#[test]
fn a_database_that_is_not_there_is_said() {
    let (target, influx) = (Builtin::start(&[]), InfluxDb::start());
    let done = run(&target, &format!("http://{}/write?db=none", influx.address)).go();
    done.report(0);
    assert!(loss(&done).contains("404 Not Found: {\"error\":\"database not found"), "{done}");
}

/// A receiver that parses each line. `respond` gets the number of the request and its lines, and
/// returns the response and whether the lines were taken.
pub(crate) struct StrictReceiver {
    server: Server,
    points: Arc<Mutex<Vec<Point>>>,
    wrong: Arc<Mutex<Vec<String>>>,
}

impl StrictReceiver {
    pub(crate) fn start(
        respond: impl Fn(usize, &[&str]) -> (String, bool) + Send + Sync + 'static,
    ) -> Self {
        let (points, wrong) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (kept, refused) = (Arc::clone(&points), Arc::clone(&wrong));
        let requests = Mutex::new(0);
        let server = Server::start(move |peer: &mut Peer| {
            while let Some((head, body)) = peer.head_and_body() {
                let number = {
                    let mut requests = requests.lock().unwrap();
                    *requests += 1;
                    *requests - 1
                };
                let text = String::from_utf8(body).unwrap();
                let mut refused = refused.lock().unwrap();
                if !head.starts_with("POST /write?db=load HTTP/1.1\r\n") || !text.ends_with('\n') {
                    refused.push(format!("{head}{text}"));
                }
                let lines: Vec<&str> = text.lines().collect();
                let (response, is_taken) = respond(number, &lines);
                for line in lines {
                    match parse(line) {
                        Ok(point) if is_taken => kept.lock().unwrap().push(point),
                        Ok(_) => {}
                        Err(why) => refused.push(why),
                    }
                }
                drop(refused);
                if !peer.send(response.as_bytes()) {
                    return;
                }
            }
        });
        Self { server, points, wrong }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}write?db=load", self.server.url())
    }

    /// The sum of the last values of the series of a measurement.
    pub(crate) fn sum(
        &self,
        measurement: &str,
        filter: impl Fn(&BTreeMap<String, String>) -> bool,
    ) -> f64 {
        assert_eq!(*self.wrong.lock().unwrap(), Vec::<String>::new());
        let points = self.points.lock().unwrap();
        let of = points.iter().filter(|point| point.measurement == measurement);
        let mut last: BTreeMap<_, (u64, f64)> = BTreeMap::new();
        for point in of.filter(|point| filter(&point.tags)) {
            let value = match point.fields["value"] {
                FieldValue::Integer(value) => value as f64,
                FieldValue::Float(value) => value,
            };
            let known = last.entry(&point.tags).or_default();
            if point.at_ns >= known.0 {
                *known = (point.at_ns, value);
            }
        }
        last.values().map(|(_, value)| value).sum()
    }
}

fn response(status: &str, head: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn every_line_is_valid_and_a_receiver_that_is_busy_or_small_gets_all_points() {
    let target = Builtin::start(&["--fail", "20%:503"]);
    let receiver = StrictReceiver::start(|number, lines| match number {
        0 => (response("429 Too Many Requests", "Retry-After: 1\r\n", ""), false),
        1 => (response("503 Service Unavailable", "", "busy"), false),
        _ if lines.len() > 20 => (response("413 Request Entity Too Large", "", ""), false),
        _ => ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), true),
    });
    let done = run(&target, &receiver.url()).go();
    let summary = done.report(0);
    assert!(!done.stderr.contains("lost"), "{done}");
    for step in summary["steps"].as_array().unwrap() {
        for result in ["ok", "failed"] {
            let sum = receiver.sum("manada_calls_total", |tags| {
                tags["step"] == step["name"].as_str().unwrap()
                    && tags["result"] == result
                    && tags["period"] == "measured"
            });
            assert_eq!(sum as u64, step["calls"][result].as_u64().unwrap(), "{step:#}");
        }
    }
    let points = receiver.points.lock().unwrap();
    let names: BTreeSet<&str> = points.iter().map(|point| &*point.measurement).collect();
    assert!(names.contains("manada_response_duration_seconds"), "{names:?}");
    let has = |name: &str| {
        points.iter().any(|point| {
            point.measurement == "manada_response_duration_seconds"
                && matches!(point.fields.get(name), Some(FieldValue::Float(value)) if *value > 0.0)
        })
    };
    for name in ["sum", "min", "max", "p50", "p90", "p95", "p99", "p999"] {
        assert!(has(name), "{name}");
    }
    assert!(points.iter().any(|point| matches!(
        point.fields.get("count"),
        Some(FieldValue::Integer(count)) if *count > 0
    )));
}

#[test]
fn points_that_a_partial_write_lost_are_counted() {
    let target = Builtin::start(&[]);
    let receiver = StrictReceiver::start(|number, _| {
        let lost = "{\"error\":\"partial write: field type conflict dropped=2\"}";
        match number {
            0 => (response("400 Bad Request", "", lost), true),
            _ => ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), true),
        }
    });
    let done = run(&target, &receiver.url()).go();
    done.report(0);
    let all = receiver.points.lock().unwrap().len();
    assert!(loss(&done).contains(": 2 of "), "{done}");
    // Numbers of messages have thin spaces between their digits.
    let digits: String = loss(&done)
        .split(" points lost")
        .next()
        .unwrap()
        .rsplit(" of ")
        .next()
        .unwrap()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    assert_eq!(digits.parse::<usize>().unwrap(), all, "{done}");
    assert!(loss(&done).contains("400 Bad Request") && loss(&done).contains("dropped=2"));
}

#[test]
fn receivers_in_trouble_cost_points_and_nothing_else() {
    let target = Builtin::start(&[]);
    let (_refusing, refusing) = refusing_address();
    let servers = [
        Server::answering_whole(
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nno \x1b[31mtoken",
        ),
        Server::answering_whole("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        Server::answering_whole("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
        Server::answering_whole(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        ),
        Server::answering_whole("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"results\":[]}"),
        Server::answering_whole("nonsense\r\n\r\n"),
        Server::start(Peer::hold),
    ];
    let mut urls: Vec<String> = servers.iter().map(|server| server.url() + "write").collect();
    urls.push(format!("http://user:s3cret@{refusing}/write?token=s3cret"));
    let wanted = [
        "401 Unauthorized: no",
        "503 Service",
        "413 ",
        "a page of HTML",
        "not that of a write",
        "lost",
        "lost",
        "refused",
    ];
    let runs = urls.iter().map(|url| {
        let words = ["hit", &target.url("/"), "-r", "20/s", "-d", "2s", "--ui", "none", "--json"];
        // A rule that holds however late a busy machine is.
        let rule = ["--threshold", "errors < 1%"];
        Manada::new(&words).words(&rule).words(&["--influx", url]).start()
    });
    let runs: Vec<_> = runs.collect();
    for (run, wanted) in runs.into_iter().zip(wanted) {
        let done = run.wait();
        assert_eq!(done.report(0)["calls"]["ok"], 40, "{done}");
        let line = loss(&done);
        assert!(line.contains(wanted) && line.contains("the report is complete"), "{line}");
        let all = format!("{}{}", done.stdout, done.stderr);
        assert!(!all.contains("s3cret") && !line.contains('\x1b'), "{all}");
    }
}

#[test]
fn wrong_options_are_refused_before_the_load() {
    let target = Builtin::start(&[]);
    let hit = ["hit", &target.url("/"), "-n", "1", "--ui", "none"];
    for (url, text) in [
        ("127.0.0.1:8086", "http://127.0.0.1:8086/write?db=load"),
        ("http://h/write?db=x&precision=s", "leave `precision` out"),
        ("http://h/write?db=x&u=me&p=s3cret", "put them before the host"),
    ] {
        let done = Manada::new(&hit).words(&["--influx", url]).go();
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains(text) && !done.stderr.contains("s3cret"), "{done}");
    }
    let headers = Manada::new(&hit).words(&["--influx", "http://127.0.0.1:1/write"]);
    let done = headers.env("MANADA_INFLUX_HEADERS", "authorization Token s3cret").go();
    assert_eq!(done.code, Some(2), "{done}");
    assert!(done.stderr.contains("MANADA_INFLUX_HEADERS: expected `name=value`"), "{done}");
    assert!(!done.stderr.contains("s3cret"), "{done}");
    assert_eq!(target.count("/"), 0);
}
