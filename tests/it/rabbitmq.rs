//! A real RabbitMQ on free ports of 127.0.0.1, in its own folder, with its management API.
//!
//! Invariant: it ends with its handle, and so does the daemon of Erlang that it starts; a machine
//! without RabbitMQ fails the tests that need it, with advice.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use manada::clock;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::Tied;
use crate::real_servers::free;

/// The script of the server: that in the path changes the account, which a test cannot.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// How long it may take to start, on a busy machine.
const START: std::time::Duration = std::time::Duration::from_mins(2);

/// A RabbitMQ.
pub(crate) struct RabbitMq {
    process: Tied,
    /// AMQP.
    pub(crate) address: SocketAddr,
    /// AMQP over TLS.
    pub(crate) tls: SocketAddr,
    /// MQTT, by its plugin.
    pub(crate) mqtt: SocketAddr,
    /// MQTT over WebSocket, by another one.
    pub(crate) web_mqtt: SocketAddr,
    management: SocketAddr,
    epmd: u16,
    folder: TempDir,
}

impl RabbitMq {
    /// Starts one, with a certificate for 127.0.0.1 that `certificate` returns.
    pub(crate) fn start() -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "this test needs {PROGRAM}: `apt-get install rabbitmq-server`"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(path.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(path.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let [address, tls, mqtt, web_mqtt, management] = [(); 5].map(|()| free());
        let (epmd, at) = (free().port(), path.display());
        let config = format!(
            "listeners.tcp.1 = {address}\nlisteners.ssl.1 = {tls}\n\
             ssl_options.cacertfile = {at}/cert.pem\nssl_options.certfile = {at}/cert.pem\n\
             ssl_options.keyfile = {at}/key.pem\nssl_options.verify = verify_none\n\
             mqtt.listeners.tcp.1 = {mqtt}\n\
             web_mqtt.tcp.ip = 127.0.0.1\nweb_mqtt.tcp.port = {}\n\
             management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
             loopback_users = none\nvm_memory_high_watermark.absolute = 1GB\n\
             disk_free_limit.absolute = 50MB\n",
            web_mqtt.port(),
            management.port()
        );
        fs::write(path.join("rabbitmq.conf"), config).unwrap();
        let plugins = "[rabbitmq_management,rabbitmq_mqtt,rabbitmq_web_mqtt].\n";
        fs::write(path.join("plugins"), plugins).unwrap();
        let process = spawn(path, epmd);
        let server = Self { process, address, tls, mqtt, web_mqtt, management, epmd, folder };
        server.wait();
        server
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // The script has started the server: both are of one group.
        let _ = kill_process_group(self.group(), Signal::KILL);
        self.process.0.wait().unwrap();
    }

    /// Starts it again with its data.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(self.folder.path(), self.epmd);
        self.wait();
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.process.0.id().cast_signed()).unwrap()
    }

    /// Waits until it answers.
    fn wait(&self) {
        let begun = clock::now();
        let is_up = || {
            [self.address, self.tls, self.mqtt, self.web_mqtt, self.management]
                .iter()
                .all(|port| TcpStream::connect(port).is_ok())
                && self.try_get("/api/overview").is_some()
        };
        while !is_up() {
            let log = || fs::read_to_string(self.folder.path().join("out.log")).unwrap_or_default();
            assert!(clock::now() - begun < START, "RabbitMQ does not start:\n{}", log());
            std::thread::yield_now();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}/", self.address)
    }

    /// The certificate of its ports with TLS.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("cert.pem")).unwrap()
    }

    /// A document of its management API.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|| panic!("no document at {path}"))
    }

    fn try_get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.management).ok()?;
        let login = STANDARD.encode("guest:guest");
        let head = format!("GET {path} HTTP/1.0\r\nauthorization: Basic {login}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok().filter(|_| head.contains(" 200 "))
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group(), Signal::KILL);
        let _ = self.process.0.wait();
        // The daemon does not end while it takes the node for alive.
        let begun = clock::now();
        while clock::now() - begun < std::time::Duration::from_secs(5) {
            let port = self.epmd.to_string();
            let ended = Command::new("epmd").args(["-port", &port, "-kill"]).output();
            let is_refused = |done: &Output| {
                let text = [&done.stdout[..], &done.stderr[..]].concat();
                String::from_utf8_lossy(&text).contains("not allowed")
            };
            if !ended.as_ref().is_ok_and(is_refused) {
                return;
            }
            std::thread::yield_now();
        }
    }
}

fn spawn(folder: &Path, epmd: u16) -> Tied {
    let at = |name: &str| folder.join(name);
    let log = fs::File::create(at("out.log")).unwrap();
    let child = Command::new(PROGRAM)
        .process_group(0)
        .env("HOME", folder)
        .env("RABBITMQ_NODENAME", format!("manada{epmd}@localhost"))
        .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
        .env("RABBITMQ_LOG_BASE", at("log"))
        .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
        .env("RABBITMQ_PID_FILE", at("pid"))
        .env("RABBITMQ_DIST_PORT", free().port().to_string())
        .env("ERL_EPMD_PORT", epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        )
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Tied(child)
}
