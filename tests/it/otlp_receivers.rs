//! Receivers of OpenTelemetry that others wrote: oteltap over HTTP, and grpcio with the official
//! stubs over gRPC. Both print what they receive as lines of JSON. And a server that the SDK of
//! OpenTelemetry instruments.
//!
//! Invariant: a machine without them fails the tests that need them, with advice.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{LIMIT, Tied};
use crate::prometheus::{free_address, pause};

/// A receiver on a free port.
pub(crate) struct OtlpReceiver {
    _child: Tied,
    /// Its address: `127.0.0.1:PORT`.
    pub(crate) address: String,
    folder: TempDir,
}

impl OtlpReceiver {
    /// oteltap, over HTTP.
    pub(crate) fn http() -> Self {
        let address = free_address();
        let port = address.rsplit(':').next().unwrap();
        Self::start("oteltap", &["--port", port], |_| Some(address.clone()))
    }

    /// Over gRPC, with TLS if there are a certificate and its key.
    pub(crate) fn grpc(certificate: Option<[&Path; 2]>) -> Self {
        let script = root().join("tests/python/otlp_grpc.py");
        let files = certificate.into_iter().flatten();
        let words = [script.as_path(), Path::new("0")].into_iter().chain(files);
        let words: Vec<&str> = words.map(|path| path.to_str().unwrap()).collect();
        Self::start("python", &words, |lines| {
            let port = lines.first()?["port"].as_u64()?;
            Some(format!("127.0.0.1:{port}"))
        })
    }

    fn start(program: &str, words: &[&str], address: impl Fn(&[Value]) -> Option<String>) -> Self {
        let program = installed(program);
        let folder = tempfile::tempdir().unwrap();
        let out = File::create(folder.path().join("out")).unwrap();
        let child = Command::new(program)
            .args(words)
            .env("PYTHONUNBUFFERED", "1")
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut started = Self { _child: Tied(child), address: String::new(), folder };
        let is_up = (0..LIMIT.as_millis() / 100).any(|_| {
            started.address = address(&started.lines()).unwrap_or_default();
            let is_up = TcpStream::connect(&started.address).is_ok();
            if !is_up {
                pause();
            }
            is_up
        });
        assert!(is_up, "the receiver of OpenTelemetry does not start");
        started
    }

    /// What it has received, once it has the last log record of a run and its final metrics.
    pub(crate) fn received(&self) -> Received {
        for _ in 0..LIMIT.as_millis() / 100 {
            let received = Received::of(&self.lines());
            let is_over = received.number("manada.run.active", &[]) == Some(0.0);
            if is_over && received.logs.iter().any(|log| log["eventName"] == "manada.run.ended") {
                return received;
            }
            pause();
        }
        panic!("the final telemetry never arrives: {:#?}", self.lines().last())
    }

    /// What `find` finds in what it has received, once it is there.
    pub(crate) fn eventually<T>(&self, find: impl Fn(&Received) -> Option<T>) -> T {
        let found = (0..LIMIT.as_millis() / 100).find_map(|_| {
            let found = find(&Received::of(&self.lines()));
            if found.is_none() {
                pause();
            }
            found
        });
        found.unwrap_or_else(|| panic!("never received; last: {:#?}", self.lines().last()))
    }

    /// The lines that it has printed.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// A server of `tests/python` on a free port.
pub(crate) struct PythonServer {
    _child: Tied,
    /// Its address: `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl PythonServer {
    /// Starts it with these words; its first line has its port.
    pub(crate) fn start(script: &str, words: &[&str]) -> Self {
        let mut child = Command::new(installed("python"))
            .arg(root().join("tests/python").join(script))
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child = Tied(child);
        let first: Value = serde_json::from_str(&line).expect("the server does not start");
        Self { _child: child, address: format!("127.0.0.1:{}", first["port"]) }
    }
}

/// A program of the receivers.
pub(crate) fn installed(program: &str) -> PathBuf {
    let program = root().join("target/otlp/bin").join(program);
    assert!(
        program.exists(),
        "this test needs receivers of OpenTelemetry: scripts/otlp-receivers target/otlp, or run \
         scripts/test, which does"
    );
    program
}

/// The repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Telemetry of a run.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The last point of each metric and its attributes.
    points: BTreeMap<(String, BTreeMap<String, String>), Value>,
    /// The unit of each metric, and the name of its data.
    pub(crate) kinds: BTreeMap<String, (String, String)>,
    pub(crate) logs: Vec<Value>,
    /// Spans; over gRPC alone.
    pub(crate) spans: Vec<Value>,
    /// The attributes of the last resource; oteltap does not print them.
    pub(crate) resource: BTreeMap<String, String>,
}

impl Received {
    fn of(lines: &[Value]) -> Self {
        let mut all = Self::default();
        for line in lines {
            if let Some(request) = line.get("request") {
                for kind in ["Metrics", "Logs", "Spans"] {
                    for of in array(&request[format!("resource{kind}")]) {
                        all.resource = attributes(&of["resource"]);
                        for scope in array(&of[format!("scope{kind}")]) {
                            array(&scope["metrics"]).for_each(|metric| all.metric(metric));
                            all.logs.extend(array(&scope["logRecords"]).cloned());
                            all.spans.extend(array(&scope["spans"]).cloned());
                        }
                    }
                }
            } else if line.get("body").is_some() {
                all.logs.push(line.clone());
            } else if line.get("name").is_some() {
                all.metric(line);
            }
        }
        all
    }

    fn metric(&mut self, metric: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&metric["name"]);
        for data in ["sum", "gauge", "exponentialHistogram"] {
            for point in array(&metric[data]["dataPoints"]) {
                self.points.insert((name.clone(), attributes(point)), point.clone());
                self.kinds.insert(name.clone(), (text(&metric["unit"]), data.to_owned()));
            }
        }
    }

    /// The points of a metric that have these attributes.
    pub(crate) fn points(&self, name: &str, with: &[(&str, &str)]) -> Vec<&Value> {
        let fits = |attributes: &BTreeMap<String, String>| {
            with.iter().all(|(name, value)| attributes.get(*name).is_some_and(|own| own == value))
        };
        let points = self.points.iter().filter(|((known, own), _)| known == name && fits(own));
        points.map(|(_, point)| point).collect()
    }

    /// The sum of such points; `None` if there are none.
    pub(crate) fn number(&self, name: &str, with: &[(&str, &str)]) -> Option<f64> {
        let points = self.points(name, with);
        let numbers = points.iter().map(|point| {
            let double = point["asDouble"].as_f64();
            double.or_else(|| whole(&point["asInt"])).unwrap_or_else(|| panic!("{point}"))
        });
        (!points.is_empty()).then(|| numbers.sum())
    }

    /// The bodies of the log records of an event.
    pub(crate) fn texts(&self, event: &str) -> Vec<&str> {
        let logs = self.logs.iter().filter(|log| log["eventName"] == event);
        logs.map(|log| log["body"]["stringValue"].as_str().unwrap()).collect()
    }
}

/// A whole number, which JSON of protobuf has as a text.
pub(crate) fn whole(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// The elements of a list; none if it is missing.
pub(crate) fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// The attributes of a point, a record or a resource, as texts.
pub(crate) fn attributes(of: &Value) -> BTreeMap<String, String> {
    let pair = |one: &Value| {
        let value = one["value"].as_object()?.values().next()?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((one["key"].as_str()?.to_owned(), text))
    };
    array(&of["attributes"]).filter_map(pair).collect()
}
