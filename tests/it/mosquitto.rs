//! A real broker of MQTT, mosquitto, with a configuration of the test.
//!
//! Invariant: it keeps nothing on disk, and ends with its handle.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::Tied;
use crate::instances::wait_until;

/// A mosquitto.
pub(crate) struct Mosquitto {
    process: Tied,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Mosquitto {
    /// Starts one that accepts anybody.
    pub(crate) fn start() -> Self {
        Self::with("allow_anonymous true", &[])
    }

    /// Starts one with further lines of its configuration, of which `DIR` is replaced by its
    /// folder, and with files there.
    pub(crate) fn with(lines: &str, files: &[(&str, &[u8])]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let lines = lines.replace("DIR", &folder.path().to_string_lossy());
        let port = address.port();
        // It leaves root otherwise, and cannot read its files then.
        let text = format!(
            "user root\npersistence false\nmax_queued_messages 100000\nsys_interval 1\n\
             listener {port} 127.0.0.1\n{lines}\n"
        );
        fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
        Self { process: spawn(&folder, address), address, folder }
    }

    /// Makes a file of passwords with this account.
    pub(crate) fn passwords(user: &str, password: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(&file)
            .args([user, password])
            .stderr(Stdio::null())
            .status()
            .expect("this test needs mosquitto_passwd: `apt-get install mosquitto`");
        assert!(made.success());
        fs::read(file).unwrap()
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.0.wait().unwrap();
    }

    /// Starts it again at its address.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(&self.folder, self.address);
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// The last value that it publishes of itself, such as `messages/received`.
    pub(crate) fn count(&self, topic: &str) -> u64 {
        let port = self.address.port().to_string();
        let topic = format!("$SYS/broker/{topic}");
        let done = Command::new("mosquitto_sub")
            .args(["-p", &port, "-t", &topic, "-C", "1", "-W", "10"])
            .output()
            .expect("this test needs mosquitto_sub: `apt-get install mosquitto-clients`");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.trim().parse().unwrap_or_else(|_| panic!("{topic}: {text}"))
    }
}

fn spawn(folder: &TempDir, address: SocketAddr) -> Tied {
    let child = Command::new("mosquitto")
        .arg("-c")
        .arg(folder.path().join("mosquitto.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test needs mosquitto: `apt-get install mosquitto`");
    let tied = Tied(child);
    wait_until("mosquitto listens", || TcpStream::connect(address).is_ok());
    tied
}
