//! `--statsd`: datagrams at receivers that parse them strictly, whose sums equal the report.
//!
//! Invariant: the receiver reads until the run has ended and its socket is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use socket2::{SockRef, Socket};

use crate::builtin::Builtin;
use crate::harness::{Done, Manada};

/// A metric as it came: name, tags, value, kind.
struct Metric {
    name: String,
    tags: BTreeMap<String, String>,
    value: f64,
    kind: String,
}

/// Parses a datagram strictly: lines `name:value|kind`, with tags `|#name:value,…`.
fn parse(datagram: &[u8]) -> Vec<Metric> {
    assert!(!datagram.is_empty() && datagram.len() <= 1_432, "{} bytes", datagram.len());
    let text = std::str::from_utf8(datagram).unwrap();
    let line = |line: &str| {
        let (name, rest) = line.split_once(':').unwrap_or_else(|| panic!("no value: {line}"));
        let mut parts = rest.split('|');
        let value = parts.next().unwrap();
        let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
        assert!(value.chars().all(is_number), "{line}");
        let kind = parts.next().unwrap_or_else(|| panic!("no kind: {line}"));
        assert!(["c", "g"].contains(&kind), "{line}");
        let mut tags = BTreeMap::new();
        if let Some(part) = parts.next() {
            for tag in part.strip_prefix('#').unwrap_or_else(|| panic!("{line}")).split(',') {
                let (name, value) = tag.split_once(':').unwrap_or_else(|| panic!("{line}"));
                assert!(!name.is_empty() && !value.is_empty() && !value.contains(':'), "{line}");
                assert!(tags.insert(name.to_owned(), value.to_owned()).is_none(), "{line}");
            }
        }
        assert!(parts.next().is_none() && !name.is_empty(), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        Metric { name: name.to_owned(), tags, value, kind: kind.to_owned() }
    };
    text.split('\n').map(line).collect()
}

/// A thread that reads datagrams until it is stopped and nothing is left.
struct Receiver {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Receiver {
    fn start(socket: Socket) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        // As far as the system permits: a second's datagrams come at once.
        let _ = socket.set_recv_buffer_size(4 << 20);
        let thread = std::thread::spawn(move || {
            let (mut all, mut buffer) = (Vec::new(), vec![0; 65_536]);
            loop {
                // Looked at before the read: what was sent until then is there.
                let was_over = over.load(SeqCst);
                match io::Read::read(&mut &socket, &mut buffer) {
                    Ok(length) => all.push(buffer[..length].to_vec()),
                    Err(_) if was_over => return all,
                    Err(_) => {}
                }
            }
        });
        Self { is_over, thread }
    }

    /// All metrics, once the run is over.
    fn metrics(self) -> Vec<Metric> {
        self.is_over.store(true, SeqCst);
        let datagrams = self.thread.join().unwrap();
        datagrams.iter().flat_map(|datagram| parse(datagram)).collect()
    }
}

/// Runs a scenario with names that StatsD has to replace, failures and a warm-up.
fn run(target: &Builtin, words: &[&str]) -> Done {
    let scenario = format!(
        "services: {{ shop: {{ url: '{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - get: /?a\n      name: 'look:a|b@c#d,e'\n\
         warmup: 1s\nworkloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    \
         arrivals: {{ rate: 40/s }}\n    duration: 4s\nthresholds: ['response.p95 < 2s']\n",
        target.url("")
    );
    let all = ["run", "s.yaml", "--json", "--ui", "none", "--no-control", "--seed", "7"];
    Manada::new(&all).words(words).file("s.yaml", scenario).go()
}

fn sum(metrics: &[Metric], name: &str, tags: &[(&str, &str)]) -> f64 {
    let is_one = |metric: &&Metric| {
        metric.name == name
            && metric.kind == "c"
            && tags.iter().all(|(name, value)| metric.tags.get(*name).is_some_and(|v| v == value))
    };
    metrics.iter().filter(is_one).map(|metric| metric.value).sum()
}

fn check_sums(summary: &Value, metrics: &[Metric]) {
    let step = &summary["steps"][0];
    let tags = [("step", "look_a_b_c_d_e"), ("period", "measured"), ("workload", "shop")];
    for result in ["ok", "failed"] {
        let of = [&tags[..], &[("result", result)]].concat();
        let calls = sum(metrics, "manada.calls", &of);
        assert_eq!(calls as u64, step["calls"][result].as_u64().unwrap(), "{result}");
    }
    let times = sum(metrics, "manada.response.duration.seconds.count", &tags);
    assert_eq!(times as u64, step["calls"]["made"].as_u64().unwrap());
    assert!(sum(metrics, "manada.response.duration.seconds.sum", &tags) > 0.0);
    let sent = sum(metrics, "manada.network.sent.bytes", &[]);
    assert_eq!(sent as u64, summary["bytes"]["sent"].as_u64().unwrap());
    let due = sum(metrics, "manada.starts.due", &[]);
    assert_eq!(due as u64, summary["iterations"]["due"].as_u64().unwrap());
}

#[test]
fn counters_that_dogstatsd_adds_up_equal_the_report() {
    let target = Builtin::start(&["--fail", "20%:503"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let receiver = Receiver::start(socket.into());
    let done = run(&target, &["--statsd", &address]);
    let summary = done.report(0);
    assert!(!done.stderr.contains("lost"), "{done}");
    let metrics = receiver.metrics();
    check_sums(&summary, &metrics);
    let gauges: BTreeSet<&str> = metrics
        .iter()
        .filter(|metric| metric.kind == "g" && metric.value >= 0.0)
        .map(|metric| &*metric.name)
        .collect();
    for figure in ["min", "p50", "p90", "p95", "p99", "p999", "max"] {
        let name = format!("manada.response.duration.seconds.{figure}");
        assert!(gauges.contains(&*name), "{gauges:?}");
    }
    let active = metrics.iter().rfind(|metric| metric.name == "manada.run.active").unwrap();
    assert!(active.value < 0.5, "the last figures are the final ones");
}

#[test]
fn without_tags_labels_are_parts_of_the_name_also_over_a_unix_socket() {
    let target = Builtin::start(&["--fail", "20%:503"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statsd.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    let receiver = Receiver::start(std::os::fd::OwnedFd::from(socket).into());
    let address = format!("unix:{}", path.display());
    let done = run(&target, &["--statsd", &address, "--statsd-tags", "none"]);
    let summary = done.report(0);
    let metrics = receiver.metrics();
    assert!(metrics.iter().all(|metric| metric.tags.is_empty()));
    let lost = done.stderr.lines().find(|line| line.contains(" lost: "));
    // A full queue of a Unix socket refuses datagrams, which is said.
    if lost.is_none() {
        for result in ["ok", "failed"] {
            let name = format!("manada.calls.shop.buyer.look_a_b_c_d_e.measured.{result}");
            let calls = sum(&metrics, &name, &[]);
            assert_eq!(calls as u64, summary["steps"][0]["calls"][result].as_u64().unwrap());
        }
    }
    assert!(!metrics.is_empty(), "{done}");
}

#[test]
fn receivers_that_are_not_there_or_do_not_read_cost_datagrams_and_nothing_else() {
    let target = Builtin::start(&[]);
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Connected to itself, so that datagrams of others are refused while the port is taken.
    closed.connect(closed.local_addr().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full.sock");
    let unread = UnixDatagram::bind(&full).unwrap();
    SockRef::from(&unread).set_recv_buffer_size(1).unwrap();
    let absent = folder.path().join("absent.sock");
    for (address, wanted) in [
        (closed.local_addr().unwrap().to_string(), "refused"),
        (format!("unix:{}", absent.display()), "No such file"),
        (format!("unix:{}", full.display()), "does not read fast enough"),
    ] {
        let done = run(&target, &["--statsd", &address]);
        done.report(0);
        let line = done.stderr.lines().find(|line| line.contains("datagrams with metrics lost"));
        let line = line.unwrap_or_else(|| panic!("{address}: {done}"));
        assert!(line.contains(wanted) && line.contains("the report is complete"), "{line}");
    }
}

#[test]
fn wrong_addresses_are_refused_before_the_load() {
    let target = Builtin::start(&[]);
    for words in [
        &["--statsd", "127.0.0.1"][..],
        &["--statsd", "no-such-name.invalid:8125"],
        &["--statsd-tags", "none"],
    ] {
        let hit = ["hit", &target.url("/"), "-n", "1", "--ui", "none"];
        let done = Manada::new(&hit).words(words).go();
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains("--statsd"), "{done}");
    }
    assert_eq!(target.count("/"), 0);
}
