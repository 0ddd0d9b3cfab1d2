//! Metrics at real receivers: what they add up equals the report. Receivers in trouble: the run
//! goes on, and what they lost is said.
//!
//! Invariant: no figure is compared before the receiver has the final ones.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, Running, Tied};
use crate::nginx::Nginx;
use crate::peer::{Peer, Server, refusing_address};
use crate::prometheus::{Prometheus, ask, pause, value_at};

/// Two steps, one with a tag, and a warm-up, so that figures of both periods are there.
pub(crate) fn scenario(target: &Builtin) -> String {
    format!(
        "services: {{ shop: {{ url: '{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - get: /?a\n      name: look\n      \
         tags: {{ team: 'red \"one\"' }}\n    - get: /?b\n      name: buy\n\
         warmup: 1s\nworkloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    \
         arrivals: {{ rate: 40/s }}\n    duration: 6s\nthresholds: ['response.p95 < 2s']\n",
        target.url("")
    )
}

/// A run of that scenario with these words.
pub(crate) fn start(target: &Builtin, words: &[&str]) -> Running {
    let all = [&["run", "s.yaml", "--json", "--ui", "none", "--no-control", "--seed", "7"], words];
    Manada::new(&all.concat()).file("s.yaml", scenario(target)).start()
}

/// The document of a run whose thresholds held.
fn summary(done: &Done) -> Value {
    done.report(0)
}

/// The calls of a step in the document.
pub(crate) fn step<'v>(summary: &'v Value, name: &str) -> &'v Value {
    let steps = summary["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{steps:#?}"))
}

/// Checks the sums of a receiver. `of` makes the query of a series and its labels.
fn check_sums(summary: &Value, value: impl Fn(&str) -> f64, of: impl Fn(&str, &str) -> String) {
    for name in ["look", "buy"] {
        let calls = &step(summary, name)["calls"];
        for result in ["ok", "failed"] {
            let labels = format!("step=\"{name}\",period=\"measured\",result=\"{result}\"");
            let got = value(&of("manada_calls_total", &labels));
            assert_eq!(got as u64, calls[result].as_u64().unwrap(), "{name} {result}");
        }
        let responses =
            value(&format!("sum({})", of("manada_responses_total", &format!("step=\"{name}\""))));
        let warmup = value(&format!(
            "sum({})",
            of("manada_calls_total", &format!("step=\"{name}\",period=\"warmup\""))
        ));
        assert_eq!(responses as u64, warmup as u64 + calls["made"].as_u64().unwrap(), "{name}");
    }
    let sent = value(&of("manada_network_sent_bytes_total", ""));
    assert_eq!(sent as u64, summary["bytes"]["sent"].as_u64().unwrap());
    let due = value(&of("manada_starts_due_total", "workload=\"shop\""));
    assert_eq!(due as u64, summary["iterations"]["due"].as_u64().unwrap());
    assert_eq!(
        value(&of("manada_run_active", "")) as u64,
        0,
        "the last figures are the final ones"
    );
}

#[test]
fn prometheus_has_the_sums_of_the_report_by_scrape_and_by_remote_write() {
    let (target, prometheus) = (Builtin::start(&["--fail", "20%:503"]), Prometheus::start());
    let write = format!("http://{}/api/v1/write", prometheus.address);
    let run = start(&target, &["--metrics=127.0.0.1:0", "--remote-write", &write]);
    let url = run.heard_line("metrics: ");
    let address = url.trim().trim_start_matches("metrics: http://").trim_end_matches("/metrics");
    prometheus.scrape(address);
    // Text is valid by Prometheus' own tool while the run goes on.
    let text = (0..100).find_map(|_| {
        pause();
        let text = ask(address, "/metrics");
        text.contains("manada_calls_total{").then_some(text)
    });
    check_text(text.unwrap().split_once("\r\n\r\n").unwrap().1);
    let root = ask(address, "/");
    assert!(root.contains(" 404 "), "{root}");
    let done = run.wait();
    let summary = summary(&done);
    for job in ["run", "manada"] {
        let of = |name: &str, labels: &str| {
            let comma = if labels.is_empty() { "" } else { "," };
            format!("last_over_time({name}{{job=\"{job}\"{comma}{labels}}}[10m])")
        };
        check_sums(&summary, |query| prometheus.value(query), of);
    }
    let tag = "last_over_time(manada_calls_total{job='run',tag_team='red \"one\"',result='ok',\
               period='measured'}[10m])";
    let tagged = prometheus.value(tag);
    assert!(tagged > 0.0, "{:#}", summary["steps"]);
    // Scraped as native histograms, written as classic ones.
    let labels = "step=\"look\",period=\"measured\"";
    let made = step(&summary, "look")["calls"]["made"].as_u64().unwrap();
    // Functions over time of this version do not know native histograms: the last scrape it is.
    let last = "max_over_time(timestamp(manada_run_active{job='run'})[10m:500ms])";
    let native = || {
        let last = prometheus.value(last);
        format!("manada_response_duration_seconds{{job=\"run\",{labels}}} @ {last:.3}")
    };
    let is_whole = (0..100).any(|_| {
        pause();
        prometheus.value(&format!("histogram_count({})", native())) as u64 == made
    });
    assert!(is_whole, "{:#}", summary["steps"]);
    let native = native();
    let median = prometheus.value(&format!("histogram_quantile(0.5, {native})")) * 1e6;
    let known = step(&summary, "look")["response_us"]["p50"].as_f64().unwrap();
    assert!((median / known - 1.0).abs() < 0.1, "{median} and {known}");
    let bucket = |bound: &str| {
        let name = "manada_response_duration_seconds_bucket";
        prometheus.value(&format!(
            "last_over_time({name}{{job=\"manada\",{labels},le=\"{bound}\"}}[10m])"
        )) as u64
    };
    assert_eq!((bucket("+Inf"), bucket("60.0")), (made, made));
}

/// Checks a text by `promtool`, which comes with Prometheus.
fn check_text(text: &str) {
    use std::io::Write;
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut tool = tool.expect("this test needs promtool, which is in Debian's prometheus");
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A VictoriaMetrics on a free port.
struct VictoriaMetrics {
    _child: Tied,
    address: String,
    _folder: TempDir,
}

impl VictoriaMetrics {
    fn start() -> Self {
        let program = Path::new("/usr/bin/victoria-metrics");
        assert!(
            program.exists(),
            "this test needs victoria-metrics: `apt-get install victoria-metrics`, or run \
             scripts/test, which does"
        );
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, folder) = (free.to_string(), tempfile::tempdir().unwrap());
        let child = Command::new(program)
            .arg(format!("-httpListenAddr={address}"))
            .arg(format!("-storageDataPath={}", folder.path().display()))
            .args(["-search.latencyOffset=0s", "-search.disableCache", "-retentionPeriod=1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { _child: Tied(child), address, _folder: folder };
        let is_up = (0..300).any(|_| {
            let up = ask(&started.address, "/health").contains("OK");
            if !up {
                pause();
            }
            up
        });
        assert!(is_up, "VictoriaMetrics does not start");
        started
    }
}

#[test]
fn victoria_metrics_has_the_sums_of_the_report_by_remote_write() {
    let (target, receiver) = (Builtin::start(&["--fail", "20%:503"]), VictoriaMetrics::start());
    let write = format!("http://{}/api/v1/write", receiver.address);
    let summary = summary(&start(&target, &["--remote-write", &write]).wait());
    ask(&receiver.address, "/internal/force_flush");
    let of = |name: &str, labels: &str| format!("last_over_time({name}{{{labels}}}[10m])");
    check_sums(&summary, |query| value_at(&receiver.address, query), of);
}

#[test]
fn receivers_in_trouble_cost_metrics_and_nothing_else() {
    let target = Builtin::start(&[]);
    let (_bound, refusing) = refusing_address();
    let servers = [
        Server::answering_whole(
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 12\r\n\r\nno \x1b[31mlabel",
        ),
        Server::answering_whole(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        Server::answering_whole(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        ),
        Server::answering_whole(b"nonsense\r\n\r\n"),
        Server::start(Peer::hold),
    ];
    let mut urls: Vec<String> = servers.iter().map(Server::url).collect();
    urls.push(format!("http://user:s3cret@{refusing}/w"));
    let wanted = [
        "400 Bad Request: no",
        "503 Service Unavailable",
        "a page of HTML",
        "lost",
        "lost",
        "refused",
    ];
    let runs = urls.iter().map(|url| {
        let words = ["hit", &target.url("/"), "-r", "20/s", "-d", "2s", "--ui", "none", "--json"];
        // A rule that holds whatever the machine does: without one, a busy machine is inconclusive.
        let rule = ["--threshold", "errors < 1%"];
        Manada::new(&words).words(&["--remote-write", url]).words(&rule).start()
    });
    let runs: Vec<Running> = runs.collect();
    for (run, wanted) in runs.into_iter().zip(wanted) {
        let done = run.wait();
        let summary = summary(&done);
        assert_eq!(summary["calls"]["ok"], 40, "{done}");
        let line = done.stderr.lines().find(|line| line.contains("with metrics lost"));
        let line = line.unwrap_or_else(|| panic!("{done}"));
        assert!(line.contains(wanted) && line.contains("the report is complete"), "{line}");
        assert!(!line.contains("s3cret") && !line.contains('\x1b'), "{line}");
    }
}

#[test]
fn a_receiver_with_tls_is_trusted_by_the_roots_of_the_system() {
    let (target, nginx) = (Builtin::start(&[]), Nginx::start());
    let url = format!("https://{}/upload", nginx.tls);
    let words = ["hit", &target.url("/"), "-r", "20/s", "-d", "1s", "--ui", "none", "--json"];
    let rule = ["--threshold", "errors < 1%"];
    let run = || Manada::new(&words).words(&["--remote-write", &url]).words(&rule);
    let trusted = run().env("SSL_CERT_FILE", nginx.path("cert.pem")).go();
    summary(&trusted);
    assert!(!trusted.stderr.contains("lost"), "{trusted}");
    let done = run().go();
    summary(&done);
    assert!(done.stderr.contains("certificate"), "{done}");
}

#[test]
fn wrong_options_are_refused_before_the_load() {
    let target = Builtin::start(&[]);
    let url = target.url("/");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("--metrics={}", taken.local_addr().unwrap());
    let hit = ["hit", &url, "-n", "1", "--ui", "none"];
    let cases: [(&[&str], i32, &str); 5] = [
        (&["--metrics=localhost:9464"], 2, "such as --metrics=127.0.0.1:9464"),
        (&["--remote-write", "file:///etc/passwd"], 2, "expects the URL of a receiver"),
        (&["--remote-write", "127.0.0.1:9090"], 2, "http://127.0.0.1:9090/api/v1/write"),
        (&[&taken], 1, "cannot serve metrics at 127.0.0.1:"),
        (&["--remote-write-histograms", "native"], 2, "--remote-write"),
    ];
    for (words, code, text) in cases {
        let done = Manada::new(&hit).words(words).go();
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.stderr.contains(text), "{done}");
    }
    let headers = Manada::new(&hit).words(&["--remote-write", "http://127.0.0.1:1/w"]);
    let done = headers.env("MANADA_REMOTE_WRITE_HEADERS", "authorization Bearer-s3cret").go();
    assert_eq!(done.code, Some(2), "{done}");
    assert!(done.stderr.contains("expected `name=value`") && !done.stderr.contains("s3cret"));
    assert_eq!(target.count("/"), 0);
}
