//! A real headless Chromium, driven over chromedriver's plain HTTP (W3C WebDriver).
//!
//! Invariant: a machine without it fails the tests that need it, with advice; the browser ends
//! with its handle, and all waits have a limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{LIMIT, Tied};

const INSTALL: &str = "this test needs Chromium and its driver: `apt-get install chromium \
                       chromium-driver`, or run scripts/test, which does";

/// Flags for a browser as root, without a screen, and without requests of its own.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
];

/// A browser with one window.
pub(crate) struct Chrome {
    driver: SocketAddr,
    session: String,
    /// Ends before its folder is removed.
    _process: Tied,
    _profile: TempDir,
}

/// A response to a plain request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends a request and reads its response, up to its length, the end of the connection, or this
/// many bytes.
pub(crate) fn ask(at: SocketAddr, head: &str, body: &[u8], most: u64) -> Answer {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let length = body.len();
    let request = format!("{head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    // A server may respond and close before it has read everything.
    let _ = stream.write_all(&[request.as_bytes(), body].concat());
    let mut reader = BufReader::new(stream).take(most);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
    let head = head.to_lowercase();
    // The driver keeps its connections open even if asked to close.
    let length = head.split_once("content-length:").and_then(|(_, rest)| rest.lines().next());
    let length = length.map_or(most, |length| length.trim().parse().unwrap());
    let mut bytes = Vec::new();
    let _ = reader.take(length).read_to_end(&mut bytes);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer: {head:?}"));
    Answer { status, head, body: String::from_utf8_lossy(&bytes).into_owned() }
}

impl Chrome {
    /// Starts a browser.
    pub(crate) fn start() -> Self {
        let find = |places: [&'static str; 2]| {
            places.into_iter().find(|path| Path::new(path).exists()).expect(INSTALL)
        };
        let driver = find(["/usr/bin/chromedriver", "/usr/lib/chromium/chromedriver"]);
        let browser = find(["/usr/bin/chromium", "/usr/lib/chromium/chromium"]);
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Tied(child);
        let port = lines.map(Result::unwrap).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let driver = SocketAddr::from(([127, 0, 0, 1], port.expect("chromedriver says its port")));
        let own = format!("--user-data-dir={}", profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([own.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "unhandledPromptBehavior": "ignore",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "binary": browser, "args": flags },
        } } });
        let mut chrome =
            Self { driver, session: String::new(), _process: process, _profile: profile };
        let made = chrome.send("POST", "/session", &wanted).unwrap();
        made["sessionId"].as_str().unwrap().clone_into(&mut chrome.session);
        chrome
    }

    /// Sends a command to the driver; the error is its text.
    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let (at, body) = (self.driver, body.to_string());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nAccept: */*");
        let body = if method == "POST" { body.as_bytes() } else { b"" };
        let answer = ask(at, &head, body, 64 << 20);
        let mut value: Value = serde_json::from_str(&answer.body).unwrap();
        match (answer.status, value["value"].take()) {
            (200, value) => Ok(value),
            (_, error) => Err(error.to_string()),
        }
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.send(method, &format!("/session/{}{path}", self.session), body)
    }

    /// Opens a URL.
    pub(crate) fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url })).unwrap();
    }

    /// Changes the width of the window.
    pub(crate) fn resize(&self, width: u32) {
        let body = json!({ "width": width, "height": 1_000 });
        self.command("POST", "/window/rect", &body).unwrap();
    }

    /// Returns the value of a script.
    pub(crate) fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.command("POST", "/execute/sync", &body).unwrap_or_else(|why| panic!("{script}: {why}"))
    }

    /// Waits until a script's value satisfies `holds`; returns the value.
    pub(crate) fn until(&self, script: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begun = clock_gettime(ClockId::Monotonic).tv_sec;
        let pause = json!({ "args": [100], "script":
            "const done = arguments[arguments.length - 1]; setTimeout(done, arguments[0]);" });
        loop {
            let value = self.run(script);
            if holds(&value) {
                return value;
            }
            let waited = clock_gettime(ClockId::Monotonic).tv_sec - begun;
            assert!(waited < LIMIT.as_secs() as i64, "{script}: still {value}");
            self.command("POST", "/execute/async", &pause).unwrap();
        }
    }

    /// Clicks the first element of a selector, which has to be visible. On a page that changes it
    /// may have to be found again.
    pub(crate) fn click(&self, selector: &str) {
        let wanted = json!({ "using": "css selector", "value": selector });
        let click = || {
            let found = self.command("POST", "/element", &wanted)?;
            let id = found.as_object().and_then(|found| found.values().next()?.as_str());
            let path = format!("/element/{}/click", id.unwrap_or_default());
            self.command("POST", &path, &json!({}))
        };
        let mut last = click();
        for _ in 0..20 {
            if last.is_ok() {
                return;
            }
            last = click();
        }
        panic!("{selector}: {last:?}");
    }

    /// Presses the mouse at one point of the window, moves, and releases it at another.
    pub(crate) fn drag(&self, from: (i64, i64), to: (i64, i64)) {
        let step = |(x, y): (i64, i64)| json!({ "type": "pointerMove", "x": x, "y": y });
        let button = |kind: &str| json!({ "type": kind, "button": 0 });
        let middle = (i64::midpoint(from.0, to.0), from.1);
        let actions =
            json!([step(from), button("pointerDown"), step(middle), step(to), button("pointerUp")]);
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": actions });
        self.command("POST", "/actions", &json!({ "actions": [mouse] })).unwrap();
    }

    /// Moves the mouse.
    pub(crate) fn hover(&self, (x, y): (i64, i64)) {
        let step = json!({ "type": "pointerMove", "x": x, "y": y });
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": [step] });
        self.command("POST", "/actions", &json!({ "actions": [mouse] })).unwrap();
    }

    /// Whether the page shows a dialog.
    pub(crate) fn has_alert(&self) -> bool {
        self.command("GET", "/alert/text", &Value::Null).is_ok()
    }

    /// Accepts the dialog.
    pub(crate) fn accept(&self) {
        self.command("POST", "/alert/accept", &json!({})).unwrap();
    }

    /// Returns new console messages: errors, and violations of a policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let said = self.command("POST", "/se/log", &json!({ "type": "browser" })).unwrap();
        said.as_array().unwrap().iter().map(|one| one["message"].to_string()).collect()
    }

    /// Returns the URLs requested since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        let all = self.command("POST", "/se/log", &json!({ "type": "performance" })).unwrap();
        let url = |entry: &Value| {
            let entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &entry["message"];
            let is_request = message["method"] == "Network.requestWillBeSent";
            let url = message["params"]["request"]["url"].as_str()?;
            is_request.then(|| url.to_owned())
        };
        all.as_array().unwrap().iter().filter_map(url).collect()
    }

    /// Returns the page as PDF.
    pub(crate) fn print(&self) -> Vec<u8> {
        let printed = self.command("POST", "/print", &json!({ "background": true })).unwrap();
        STANDARD.decode(printed.as_str().unwrap()).unwrap()
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // The driver ends its browser with the session; then the driver itself is ended.
        let _ = self.command("DELETE", "", &Value::Null);
    }
}
