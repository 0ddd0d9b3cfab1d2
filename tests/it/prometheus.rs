//! A real Prometheus on a free port of 127.0.0.1, in its own folder, that scrapes itself, and
//! targets that are added; it receives remote write, and has native histograms.
//!
//! Invariant: a machine without it fails the tests that need it, with advice.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{LIMIT, Tied};

/// A running Prometheus.
pub(crate) struct Prometheus {
    _child: Tied,
    /// Its address: `127.0.0.1:PORT`.
    pub(crate) address: String,
    folder: TempDir,
}

impl Prometheus {
    /// Starts it, and waits for its first scrape.
    pub(crate) fn start() -> Self {
        Self::with_features("native-histograms,exemplar-storage")
    }

    /// Starts it with these features, and waits for its first scrape.
    pub(crate) fn with_features(features: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let text = format!(
            "scrape_configs:\n- job_name: own\n  scrape_interval: 1s\n  static_configs:\n  \
             - targets: ['{address}']\n- job_name: run\n  scrape_interval: 1s\n  \
             file_sd_configs:\n  - files: ['targets.json']\n    refresh_interval: 1s\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), text).unwrap();
        let started = Self::launch(folder, address, features);
        let tries = LIMIT.as_millis() / 100;
        let scraped = (0..tries).any(|_| {
            let up = started.ask("/api/v1/query?query=up").contains("\"1\"");
            if !up {
                pause();
            }
            up
        });
        assert!(scraped, "prometheus does not scrape");
        started
    }

    /// Starts it at this address with the `prometheus.yml` of a folder.
    pub(crate) fn with_config(folder: TempDir, address: String) -> Self {
        Self::launch(folder, address, "native-histograms")
    }

    fn launch(folder: TempDir, address: String, features: &str) -> Self {
        let program = ["/usr/bin/prometheus", "/usr/local/bin/prometheus"];
        let program = program.iter().find(|path| Path::new(path).exists()).expect(
            "this test needs prometheus: `apt-get install prometheus`, or run scripts/test, \
             which does",
        );
        let config = folder.path().join("prometheus.yml");
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .arg(format!("--enable-feature={features}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { _child: Tied(child), address, folder }
    }

    /// Scrapes this address from now on, as the job `run`.
    pub(crate) fn scrape(&self, address: &str) {
        let targets = format!("[{{\"targets\":[\"{address}\"]}}]");
        let (draft, file) = (self.folder.path().join("draft"), "targets.json");
        std::fs::write(&draft, targets).unwrap();
        std::fs::rename(draft, self.folder.path().join(file)).unwrap();
    }

    /// The value of a query, once it has one: what was written is visible a moment later.
    pub(crate) fn value(&self, query: &str) -> f64 {
        value_at(&self.address, query)
    }

    /// The exemplars of a query over the last hour: their series, and the exemplars of each.
    pub(crate) fn exemplars(&self, query: &str) -> Vec<Value> {
        let mut path = "/api/v1/query_exemplars?query=".to_owned();
        query.bytes().for_each(|byte| write!(path, "%{byte:02x}").unwrap());
        let now = manada::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap();
        write!(path, "&start={}&end={}", now.as_secs() - 3_600, now.as_secs() + 3_600).unwrap();
        let answer = self.ask(&path);
        let body = answer.find("\r\n\r\n").map_or("", |at| &answer[at..]);
        let answer: Value = serde_json::from_str(body.trim()).unwrap_or_default();
        answer["data"].as_array().cloned().unwrap_or_default()
    }

    fn ask(&self, path: &str) -> String {
        ask(&self.address, path)
    }
}

/// A free address of loopback.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Waits a moment: a server that reports nothing is polled.
pub(crate) fn pause() {
    let (_keep, never) = std::sync::mpsc::sync_channel::<()>(0);
    let _ = never.recv_timeout(Duration::from_millis(100));
}

/// The value of a query to a server with the API of Prometheus, once it has one.
pub(crate) fn value_at(address: &str, query: &str) -> f64 {
    let mut path = "/api/v1/query?query=".to_owned();
    query.bytes().for_each(|byte| write!(path, "%{byte:02x}").unwrap());
    let mut last = String::new();
    for _ in 0..LIMIT.as_millis() / 200 {
        last = ask(address, &path);
        let body = last.find("\r\n\r\n").map_or("", |at| &last[at..]);
        let answer: Value = serde_json::from_str(body.trim()).unwrap_or_default();
        if let Some(value) = answer["data"]["result"][0]["value"][1].as_str() {
            return value.parse().unwrap();
        }
        pause();
    }
    panic!("no value of {query}: {last}")
}

/// The response to a GET request, with its head; empty if there is none.
pub(crate) fn ask(address: &str, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes());
    let read = asked.and_then(|()| stream.read_to_string(&mut answer));
    if read.is_ok() { answer } else { String::new() }
}
