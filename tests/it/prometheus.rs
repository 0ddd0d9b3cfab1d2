//! A real Prometheus on a free port of 127.0.0.1, in its own folder, that scrapes itself.
//!
//! Invariant: a machine without it fails the tests that need it, with advice.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{LIMIT, Tied};

/// A running Prometheus.
pub(crate) struct Prometheus {
    _child: Tied,
    /// Its address: `127.0.0.1:PORT`.
    pub(crate) address: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it, and waits for its first scrape.
    pub(crate) fn start() -> Self {
        let program = ["/usr/bin/prometheus", "/usr/local/bin/prometheus"];
        let program = program.iter().find(|path| Path::new(path).exists()).expect(
            "this test needs prometheus: `apt-get install prometheus`, or run scripts/test, \
             which does",
        );
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = free.to_string();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n- job_name: own\n  scrape_interval: 1s\n  static_configs:\n  \
             - targets: ['{address}']\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { _child: Tied(child), address, _folder: folder };
        let tries = LIMIT.as_millis() / 100;
        let scraped = (0..tries).any(|_| {
            let up = started.ask("/api/v1/query?query=up").contains("\"1\"");
            if !up {
                // The server does not report a scrape, so it is polled.
                let (_keep, never) = std::sync::mpsc::sync_channel::<()>(0);
                let _ = never.recv_timeout(Duration::from_millis(100));
            }
            up
        });
        assert!(scraped, "prometheus does not scrape");
        started
    }

    fn ask(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return String::new() };
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes());
        let read = asked.and_then(|()| stream.read_to_string(&mut answer));
        if read.is_ok() { answer } else { String::new() }
    }
}
