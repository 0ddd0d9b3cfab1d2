//! Tests of `sanitize`: the target, and everything that a run leaves behind, have no raw value of a
//! column with a rule.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};

use crate::harness::{Done, Manada};
use crate::peer::Server;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Raw values of the files: none of them may be seen.
const RAW: [&str; 6] =
    ["ana@shop.test", "bea@shop.test", "078-05-1120", "219-09-9999", "+55-11-98765", "inline-raw"];

const SCENARIO: &str = "\
scenario: persons
seed: 7
services: { it: URL }
archetypes:
  a:
    data:
      row:
        csv: persons.csv
        sanitize: { email: hash, phone: { fake: digits }, card: mask, note: { replace: none } }
      order: { json: orders.json, sanitize: { buyer: hash } }
      other:
        inline: [ { token: inline-raw, city: Recife } ]
        pick: circular
        sanitize: { token: hash }
    flow:
      - post: /
        json:
          row: \"{{ row }}\"
          email: \"{{ row.email }}\"
          buyer: \"{{ order.buyer }}\"
          phone: \"{{ row.phone }}\"
          card: \"{{ row.card }}\"
          other: \"{{ other.token }}\"
      - log: \"{{ row }} {{ order }} {{ other }}\"
workloads: { w: { users: 2, iterations: 4, archetypes: { a: 1 } } }
";

fn with_files(run: Manada) -> Manada {
    run.file(
        "persons.csv",
        "name,email,phone,card,note,ssn\n\
         ana,ana@shop.test,+55-11-98765,4539578763621486,x,078-05-1120\n\
         bea,bea@shop.test,+55-11-98766,4539578763621486,y,219-09-9999\n",
    )
    .file("orders.json", r#"[{"buyer":"ana@shop.test"},{"buyer":"bea@shop.test"}]"#)
    .file("limits.yaml", "sanitize: [ SSN ]\n")
}

/// A server that keeps the bodies that it gets.
fn server() -> (Server, Arc<Mutex<Vec<String>>>) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bodies);
    let server = Server::start(move |peer| {
        while let Some((_, body)) = peer.head_and_body() {
            kept.lock().unwrap().push(String::from_utf8(body).unwrap());
            if !peer.send(OK) {
                return;
            }
        }
    });
    (server, bodies)
}

fn assert_clean(place: &str, text: &str) {
    for raw in RAW {
        assert!(!text.contains(raw), "{raw} in {place}: {text}");
    }
}

/// Runs the scenario with its user's limits; returns the bodies that the target got.
fn run(words: &[&str], key: Option<&str>) -> (Done, Vec<serde_json::Value>) {
    let (server, bodies) = server();
    let text = SCENARIO.replace("URL", &format!("\"{}\"", server.url()));
    let run = with_files(Manada::telling(&text, words));
    let limits = run.path("limits.yaml");
    let run = run.env("MANADA_SAFETY", limits);
    let run = if let Some(key) = key { run.env("MANADA_SANITIZE_KEY", key) } else { run };
    let done = run.go();
    assert_eq!(done.code, Some(0), "{done}");
    let bodies = bodies.lock().unwrap();
    bodies.iter().for_each(|body| assert_clean("a request", body));
    let parsed = bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    (done, parsed)
}

fn values(bodies: &[serde_json::Value], key: &str) -> BTreeSet<String> {
    bodies.iter().map(|body| body[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_raw_value_is_sent_or_kept_and_joins_hold_over_files_and_processes() {
    let words = ["--processes", "2", "--shards", "2", "--samples", "samples.ndjson"];
    let words = [&words[..], &["--log", "json:run.log", "--report", "page.html"]].concat();
    let (done, bodies) = run(&words, None);
    assert_eq!(bodies.len(), 4, "{done}");
    let emails = values(&bodies, "email");
    assert!(emails.len() == 2 && emails.iter().all(|email| email.len() == 32), "{emails:?}");
    assert_eq!(emails, values(&bodies, "buyer"));
    assert_eq!(values(&bodies, "card"), BTreeSet::from(["************1486".to_owned()]));
    assert!(values(&bodies, "phone").iter().all(|phone| phone.starts_with('+')), "{bodies:?}");
    for body in &bodies {
        let row = body["row"].as_object().unwrap();
        assert!(row["note"] == "none" && !row.contains_key("ssn"), "{row:?}");
    }
    assert_clean("the output", &done.to_string());
    let folders = [done.path("out"), done.path("")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    for entry in files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
        if !["persons.csv", "orders.json", "scenario.yaml"].contains(&name.as_str()) {
            assert_clean(&name, &String::from_utf8_lossy(&fs::read(&entry).unwrap()));
        }
    }
    // The record, whose frames are compressed, has the text of the scenario without its rows.
    let out = done.path("out");
    let page = done.path("again.html");
    let again = ["report", out.to_str().unwrap(), "--report", page.to_str().unwrap()];
    assert_eq!(Manada::new(&again).go().code, Some(0));
    assert_clean("the page", &fs::read_to_string(&page).unwrap());
    let summary = done.read("out/summary.json");
    assert!(!summary.contains("inline-raw"));
}

#[test]
fn hashes_follow_from_the_key() {
    let (key, other) = ("0123456789abcdef-first", "0123456789abcdef-second");
    let (_, one) = run(&[], Some(key));
    let (_, same) = run(&[], Some(key));
    let (_, different) = run(&[], Some(other));
    assert_eq!(values(&one, "email"), values(&same, "email"));
    assert_ne!(values(&one, "email"), values(&different, "email"));
    let (_, random) = run(&[], None);
    assert_ne!(values(&one, "email"), values(&random, "email"));
    let text = SCENARIO.replace("URL", "\"http://127.0.0.1:1\"");
    let short = with_files(Manada::run(&text, &[])).env("MANADA_SANITIZE_KEY", "short").go();
    assert_eq!(short.code, Some(3), "{short}");
    assert!(short.stderr.contains("shorter than 16 bytes"), "{short}");
}

#[test]
fn dry_run_shows_rows_after_their_rules() {
    let (server, _) = server();
    let text = SCENARIO.replace("URL", &format!("\"{}\"", server.url()));
    let check = Manada::new(&["check", "scenario.yaml", "--once"]);
    let check = with_files(check).file("scenario.yaml", text);
    let limits = check.path("limits.yaml");
    let check = check.env("MANADA_SAFETY", limits).go();
    assert_eq!(check.code, Some(0), "{check}");
    assert_clean("the dry run", &check.to_string());
}
