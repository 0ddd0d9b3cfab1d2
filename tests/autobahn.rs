//! The Autobahn test suite's fuzzing server against our WebSocket client.
//!
//! `scripts/autobahn DIR` installs it, then
//! `MANADA_AUTOBAHN=DIR/bin/wstest cargo test --test autobahn` runs a short list of its cases.
//! Others, a quarter of an hour: `MANADA_AUTOBAHN_CASES='9.*,12.*,13.*'`.

#[path = "streams/client.rs"]
mod client;

use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use manada::clock::{self, sleep_until};
use manada::wire::message_stream::{Message, MessageKind, StreamEnd, StreamSettings};
use serde_json::{Value, json};

use client::{Client, Opening, Received, SETTINGS, open, owned, run};

/// The cases of a short run: all but performance and most of compression.
const CASES: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,10.*,12.1.1,12.1.11,13.1.1,13.2.1,13.3.1,13.4.1,\
                     13.5.1,13.6.1,13.7.1";

/// The fuzzing server; it is killed with its handle.
struct Fuzzer {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Fuzzer {
    async fn start() -> Self {
        let program = std::env::var("MANADA_AUTOBAHN").expect(
            "this test needs the Autobahn test suite: scripts/autobahn DIR, then \
             MANADA_AUTOBAHN=DIR/bin/wstest",
        );
        let cases = std::env::var("MANADA_AUTOBAHN_CASES").unwrap_or_else(|_| CASES.to_owned());
        let cases: Vec<&str> = cases.split(',').collect();
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let spec = json!({
            "url": format!("ws://{address}"),
            "outdir": "./reports",
            "cases": cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        });
        std::fs::write(folder.path().join("spec.json"), spec.to_string()).unwrap();
        let child = Command::new(program)
            .args(["-m", "fuzzingserver", "-s", "spec.json"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let fuzzer = Self { child, address, folder };
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return fuzzer;
            }
            sleep_until(clock::now() + Duration::from_millis(100)).await;
        }
        panic!("the fuzzing server does not listen");
    }

    async fn open(&self, path: &str) -> Client {
        let settings =
            StreamSettings { max_message: 32 << 20, close: Duration::from_secs(5), ..SETTINGS };
        let opening = Opening { path, deflate: true, settings, ..Opening::PLAIN };
        open(self.address, opening).await.unwrap().unwrap()
    }
}

impl Drop for Fuzzer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends each message back, until the end; `None` if there is none in time.
async fn echo(client: &mut Client) -> Option<StreamEnd> {
    let Client { wire, stream, deadline } = client;
    let mut messages: Vec<Received> = Vec::new();
    let end = poll_fn(|cx| {
        let polled = wire.poll_stream(stream.as_mut(), cx, &mut |_, message| {
            messages.push(owned(message));
        });
        for Received { kind, payload, event, id } in messages.drain(..) {
            assert_eq!((event, id), (None, None));
            stream.send(Message::new(kind, &payload));
        }
        // The stream itself writes what the kernel does not take now.
        let _ = stream.poll_flush(cx);
        polled
    });
    deadline.wait(end).await.ok()
}

#[test]
fn every_case_is_passed_and_every_close_is_clean() {
    let index: Value = run(async {
        let fuzzer = Fuzzer::start().await;
        let (_, messages) = fuzzer.open("/getCaseCount").await.drain().await;
        assert_eq!(messages[0].kind, MessageKind::Text);
        let count: usize = serde_json::from_slice(&messages[0].payload).unwrap();
        assert!(count > 0);
        for case in 1..=count {
            let path = format!("/runCase?case={case}&agent=manada");
            let ended = echo(&mut fuzzer.open(&path).await).await;
            assert!(ended.is_some(), "case {case} hangs");
        }
        fuzzer.open("/updateReports?agent=manada").await.drain().await;
        let text = std::fs::read(fuzzer.folder.path().join("reports/index.json")).unwrap();
        let index: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(index["manada"].as_object().unwrap().len(), count, "all cases have a result");
        index
    });
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    let mut bad = Vec::new();
    for (case, result) in index["manada"].as_object().unwrap() {
        let word = |key: &str| result[key].as_str().unwrap().to_owned();
        let (behavior, close) = (word("behavior"), word("behaviorClose"));
        if !matches!(behavior.as_str(), "OK" | "NON-STRICT" | "INFORMATIONAL")
            || !matches!(close.as_str(), "OK" | "INFORMATIONAL")
        {
            bad.push(format!("{case}: {behavior}, close {close}"));
        }
        *counts.entry(format!("{behavior}, close {close}")).or_default() += 1;
    }
    assert!(bad.is_empty(), "{counts:?}: {bad:#?}");
}
