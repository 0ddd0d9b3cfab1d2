//! `--elasticsearch`: a strict fake of the bulk API, whose documents add up to the report, and
//! receivers in trouble.
//!
//! Invariant: the fake takes what the bulk API's reference describes, and nothing else; a document
//! is stored under its id, as an index does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::builtin::Builtin;
use crate::harness::{Done, Manada};
use crate::peer::{Peer, Server, refusing_address};

/// What a receiver has got.
#[derive(Default)]
struct Stored {
    template: Option<Value>,
    /// By index and id.
    documents: BTreeMap<(String, String), Value>,
    /// Documents that were sent again although they were stored.
    twice: u64,
    requests: usize,
    wrong: Vec<String>,
}

/// How the fake treats a bulk request with this number, counted from 0, and this many documents.
#[derive(Clone, Copy)]
enum Treatment {
    Take,
    /// The whole request, with this status line and head.
    Refuse(&'static str),
    /// Each document whose number is a multiple of three, with this status and type of error.
    Thirds(u16, &'static str),
    /// Takes all, but the client gets no response.
    Hang,
}

struct Receiver {
    server: Server,
    stored: Arc<Mutex<Stored>>,
}

impl Receiver {
    fn start(treat: impl Fn(usize, usize) -> Treatment + Send + Sync + 'static) -> Self {
        let stored = Arc::new(Mutex::new(Stored::default()));
        let own = Arc::clone(&stored);
        let server = Server::start(move |peer: &mut Peer| {
            while let Some((head, body)) = peer.head_and_body() {
                let answer = respond(&mut own.lock().unwrap(), &head, &body, &treat);
                let Some(answer) = answer else { return };
                if !peer.send(answer.as_bytes()) {
                    return;
                }
            }
        });
        Self { server, stored }
    }

    /// The documents of an index.
    fn documents(&self, index: &str) -> Vec<Value> {
        let stored = self.stored.lock().unwrap();
        assert_eq!(stored.wrong, Vec::<String>::new());
        let of = stored.documents.iter().filter(|((name, _), _)| name == index);
        of.map(|(_, document)| document.clone()).collect()
    }
}

fn response(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The response to a request; `None`: none.
fn respond(
    stored: &mut Stored,
    head: &str,
    body: &[u8],
    treat: &dyn Fn(usize, usize) -> Treatment,
) -> Option<String> {
    let is = |line: &str| head.lines().any(|known| known.eq_ignore_ascii_case(line));
    if head.starts_with("PUT /es/_index_template/manada HTTP/1.1\r\n") {
        if !is("content-type: application/json") || stored.requests > 0 {
            stored.wrong.push(head.to_owned());
        }
        stored.template = Some(serde_json::from_slice(body).unwrap());
        return Some(response("200 OK", "{\"acknowledged\":true}"));
    }
    let filter = "errors%2Citems.*.status%2Citems.*.error.type";
    let line = format!("POST /es/_bulk?filter_path={filter} HTTP/1.1\r\n");
    if !head.starts_with(&line) || !is("content-type: application/x-ndjson") {
        stored.wrong.push(head.to_owned());
        return Some(response("404 Not Found", "{}"));
    }
    let documents = match parse(body) {
        Ok(documents) => documents,
        Err(why) => {
            stored.wrong.push(why);
            return Some(response("400 Bad Request", "{}"));
        }
    };
    let treatment = treat(stored.requests, documents.len());
    stored.requests += 1;
    if let Treatment::Refuse(head) = treatment {
        return Some(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n"));
    }
    let (mut items, mut has_errors) = (Vec::new(), false);
    for (number, (key, document)) in documents.into_iter().enumerate() {
        if let Treatment::Thirds(status, kind) = treatment
            && number % 3 == 0
        {
            has_errors = true;
            items.push(json!({ "index": { "status": status, "error": { "type": kind } } }));
            continue;
        }
        let before = stored.documents.insert(key, document);
        stored.twice += u64::from(before.is_some());
        items.push(json!({ "index": { "status": if before.is_some() { 200 } else { 201 } } }));
    }
    if matches!(treatment, Treatment::Hang) {
        return None;
    }
    Some(response("200 OK", &json!({ "errors": has_errors, "items": items }).to_string()))
}

/// Index and id.
type Key = (String, String);

/// Parses the body of a bulk request strictly: an action, a document, each on a line of its own.
fn parse(body: &[u8]) -> Result<Vec<(Key, Value)>, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let text = text.strip_suffix('\n').ok_or("no line end at the end")?;
    let lines: Vec<&str> = text.split('\n').collect();
    if !lines.len().is_multiple_of(2) {
        return Err(format!("{} lines", lines.len()));
    }
    let pair = |pair: &[&str]| {
        let action: Value =
            serde_json::from_str(pair[0]).map_err(|error| format!("{error}: {}", pair[0]))?;
        let parts = action["index"].as_object().filter(|parts| parts.len() == 2);
        let parts = parts.ok_or_else(|| format!("no action: {}", pair[0]))?;
        let text = |name: &str| {
            let text = parts.get(name).and_then(Value::as_str).filter(|text| text.len() <= 512);
            text.map(str::to_owned).ok_or_else(|| format!("no {name}: {}", pair[0]))
        };
        let document: Value =
            serde_json::from_str(pair[1]).map_err(|error| format!("{error}: {}", pair[1]))?;
        if !document.is_object() {
            return Err(format!("no object: {}", pair[1]));
        }
        Ok(((text("_index")?, text("_id")?), document))
    };
    lines.chunks(2).map(pair).collect()
}

/// Runs a scenario with failures, a warm-up and tags.
fn run(target: &Builtin, url: &str) -> Done {
    let scenario = format!(
        "services: {{ shop: {{ url: '{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - get: /?a\n      name: 'look \"a\"'\n      \
         tags: {{ team: red }}\n    - get: /?b\n      name: buy\n\
         warmup: 1s\nworkloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    \
         arrivals: {{ rate: 40/s }}\n    duration: 4s\nthresholds: ['response.p95 < 2s']\n",
        target.url("")
    );
    let words = ["run", "s.yaml", "--json", "--ui", "none", "--no-control", "--seed", "7"];
    Manada::new(&words).words(&["--elasticsearch", url]).file("s.yaml", scenario).go()
}

fn sum(documents: &[Value], is_one: impl Fn(&Value) -> bool, path: &str) -> u64 {
    let of = documents.iter().filter(|document| is_one(document));
    of.map(|document| document.pointer(path).and_then(Value::as_u64).unwrap()).sum()
}

fn check_sums(summary: &Value, receiver: &Receiver) {
    let seconds = receiver.documents("manada-seconds");
    for step in summary["steps"].as_array().unwrap() {
        let of = |document: &Value| {
            document["kind"] == "step"
                && document["step"] == step["name"]
                && document["measured"] == true
        };
        for result in ["made", "ok", "failed"] {
            let calls = sum(&seconds, of, &format!("/calls/{result}"));
            assert_eq!(calls, step["calls"][result].as_u64().unwrap(), "{result}");
        }
        let times = sum(&seconds, of, "/response_us/count");
        assert_eq!(times, step["calls"]["made"].as_u64().unwrap());
    }
    let workload = |document: &Value| document["kind"] == "workload";
    let due = sum(&seconds, workload, "/starts/due");
    assert_eq!(due, summary["iterations"]["due"].as_u64().unwrap());
    let failures = receiver.documents("manada-failures");
    let is_503 = |document: &Value| document["kind"] == "status 503";
    let statuses = summary["status"]["503"].as_u64().unwrap();
    assert_eq!(sum(&failures, is_503, "/count"), statuses, "{:#}", summary["status"]);
}

#[test]
fn documents_add_up_to_the_report() {
    let target = Builtin::start(&["--fail", "20%:503"]);
    let receiver = Receiver::start(|_, _| Treatment::Take);
    let done = run(&target, &format!("{}es/", receiver.server.url()));
    let summary = done.report(0);
    assert!(!done.stderr.contains("lost") && !done.stderr.contains("refused"), "{done}");
    check_sums(&summary, &receiver);
    let stored = receiver.stored.lock().unwrap();
    let template = stored.template.as_ref().expect("the template is written first");
    let patterns = &template["index_patterns"];
    let mappings = &template["template"]["mappings"];
    assert_eq!(mappings["properties"]["@timestamp"]["type"], "date");
    assert_eq!(stored.twice, 0, "each document has an id of its own");
    for ((index, _), document) in &stored.documents {
        assert!(patterns.as_array().unwrap().contains(&json!(index)));
        assert_eq!(document["run_id"], summary["run_id"]);
        let at = document["@timestamp"].as_str().unwrap();
        assert!(humantime::parse_rfc3339(at).is_ok(), "{at}");
    }
    drop(stored);
    let failures = receiver.documents("manada-failures");
    let examples = failures.iter().filter(|document| document.get("example").is_some()).count();
    assert_eq!(examples, 2, "one for each step");
    let events = receiver.documents("manada-events");
    let has = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!((has("started"), has("ended")), (1, 1), "{events:#?}");
    let end = events.iter().find(|event| event["kind"] == "ended").unwrap();
    assert_eq!((&end["verdict"], &end["exit_code"]), (&json!("pass"), &json!(0)));
}

#[test]
fn what_is_refused_for_now_is_sent_again_and_written_once() {
    let target = Builtin::start(&["--fail", "20%:503"]);
    let receiver = Receiver::start(|number, documents| match number {
        0 => Treatment::Refuse("429 Too Many Requests\r\nRetry-After: 1"),
        1 => Treatment::Refuse("503 Service Unavailable"),
        2 => Treatment::Hang,
        3 => Treatment::Thirds(429, "es_rejected_execution_exception"),
        _ if documents > 5 => Treatment::Refuse("413 Content Too Large"),
        _ => Treatment::Take,
    });
    let done = run(&target, &format!("{}es", receiver.server.url()));
    let summary = done.report(0);
    assert!(!done.stderr.contains("lost"), "{done}");
    check_sums(&summary, &receiver);
    // The request without a response was stored; it came again under the same ids.
    assert!(receiver.stored.lock().unwrap().twice > 0);
}

#[test]
fn rejected_documents_are_counted() {
    let target = Builtin::start(&[]);
    let receiver = Receiver::start(|_, _| Treatment::Thirds(400, "mapper_parsing_exception"));
    let done = run(&target, &format!("{}es", receiver.server.url()));
    done.report(0);
    let line = done.stderr.lines().find(|line| line.contains(" documents lost: "));
    let line = line.unwrap_or_else(|| panic!("{done}"));
    assert!(line.contains("400 mapper_parsing_exception; the report is complete"), "{line}");
    let number = |text: &str| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<usize>().unwrap()
    };
    let (lost, all) = line.split_once(" documents lost").unwrap().0.rsplit_once(" of ").unwrap();
    let lost = number(lost.rsplit_once(": ").unwrap().1);
    let stored = receiver.stored.lock().unwrap();
    assert_eq!(number(all) - lost, stored.documents.len(), "{line}");
    assert!(lost >= stored.requests, "{line}");
}

#[test]
fn receivers_in_trouble_cost_documents_and_nothing_else() {
    let target = Builtin::start(&[]);
    let (_refusing, refusing) = refusing_address();
    let servers = [
        Server::answering_whole(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno \x1b[31mway",
        ),
        Server::answering_whole("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        Server::answering_whole("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"),
        Server::answering_whole("nonsense\r\n\r\n"),
        Server::start(Peer::hold),
    ];
    let mut urls: Vec<String> = servers.iter().map(Server::url).collect();
    urls.push(format!("http://user:s3cret@{refusing}/"));
    let wanted =
        ["403 Forbidden: no", "503 Service", "not that of the bulk API", "lost", "lost", "refused"];
    let runs = urls.iter().map(|url| {
        let words = ["hit", &target.url("/"), "-r", "20/s", "-d", "2s", "--ui", "none", "--json"];
        // A rule that holds however late a busy machine is.
        let rule = ["--threshold", "errors < 1%"];
        Manada::new(&words).words(&rule).words(&["--elasticsearch", url]).start()
    });
    let runs: Vec<_> = runs.collect();
    for (run, wanted) in runs.into_iter().zip(wanted) {
        let done = run.wait();
        assert_eq!(done.report(0)["calls"]["ok"], 40, "{done}");
        let line = done.stderr.lines().find(|line| line.contains(" lost: "));
        let line = line.unwrap_or_else(|| panic!("{done}"));
        assert!(line.contains(wanted) && line.contains("the report is complete"), "{line}");
        let all = format!("{}{}", done.stdout, done.stderr);
        assert!(!all.contains("s3cret") && !all.contains('\x1b'), "{all}");
        if wanted.starts_with("403") {
            assert!(done.stderr.contains("the index template was refused: 403"), "{done}");
        }
    }
}

#[test]
fn wrong_options_are_refused_before_the_load_and_headers_are_sent() {
    let target = Builtin::start(&[]);
    let hit = ["hit", &target.url("/"), "-n", "1", "--ui", "none"];
    let done = Manada::new(&hit).words(&["--elasticsearch", "127.0.0.1:9200"]).go();
    assert_eq!(done.code, Some(2), "{done}");
    assert!(done.stderr.contains("--elasticsearch expects the URL of a node"), "{done}");
    assert_eq!(target.count("/"), 0);
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.whole_request() {
            kept.lock().unwrap().push(head);
            peer.send(response("200 OK", "{\"errors\":false,\"items\":[]}").as_bytes());
        }
    });
    let run = Manada::new(&hit).words(&["--threshold", "errors < 1%", "--json"]);
    let run = run.words(&["--elasticsearch", &server.url()]);
    let done = run.env("MANADA_ELASTICSEARCH_HEADERS", "authorization=ApiKey%20s3cret").go();
    done.report(0);
    let heads = heads.lock().unwrap();
    assert!(heads.len() >= 2 && heads.iter().all(|head| head.contains("ApiKey s3cret")));
    assert!(!format!("{}{}", done.stdout, done.stderr).contains("s3cret"), "{done}");
}
