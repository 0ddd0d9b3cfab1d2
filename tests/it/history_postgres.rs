//! The run history in a real PostgreSQL, and servers that are down, slow, full, or none at all.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Done, Manada, Tied};
use crate::instances::wait_until;

/// A scenario with the built-in target.
const SHOP: &str = "
scenario: shop
services: { web: { builtin: { latency: 1ms } } }
workloads:
  api:
    flow: [ { get: /products/1, name: item } ]
    duration: 1s
    arrivals: { rate: 30/s, max_users: 40 }
";

/// A password with characters that a URL has to encode.
const PASSWORD: &str = "s3cret:p@ss/word";
const ENCODED: &str = "s3cret%3Ap%40ss%2Fword";

/// A PostgreSQL server with a data folder of its own.
pub(crate) struct Postgres {
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
    settings: Vec<String>,
    process: Tied,
}

impl Postgres {
    /// Starts a server with these settings.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        make_certificates(folder.path());
        let all = |mode| fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path(), all(0o755)).unwrap();
        if is_root() {
            let status = Command::new("chown").args(["-R", "nobody"]).arg(folder.path()).status();
            assert!(status.unwrap().success());
        }
        let made = command("initdb")
            .args(["--username=manada", "--auth=scram-sha-256", "--no-sync", "--pwfile"])
            .arg(&password)
            .arg("-D")
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let at = folder.path().to_str().unwrap();
        let settings: Vec<String> =
            settings.iter().map(|setting| setting.replace("FOLDER", at)).collect();
        let process = spawn(&folder, address, &settings);
        Self { address, folder, settings, process }
    }

    /// Shuts it down as `pg_ctl -m fast` does, which ends all sessions, and starts it again with
    /// its data.
    pub(crate) fn restart(&mut self) {
        self.process.signal(Signal::INT);
        assert!(self.process.0.wait().unwrap().success());
        self.process = spawn(&self.folder, self.address, &self.settings);
    }

    pub(crate) fn url(&self, rest: &str) -> String {
        format!("postgres://manada:{ENCODED}@{}/postgres{rest}", self.address)
    }

    /// Carries out a statement by PostgreSQL's own client library.
    pub(crate) fn execute(&self, sql: &str) -> postgres::Client {
        let mut client = postgres::Client::connect(&self.url(""), postgres::NoTls).unwrap();
        client.batch_execute(sql).unwrap();
        client
    }
}

/// Starts a server with the data of this folder, and waits until it is ready.
fn spawn(folder: &TempDir, address: SocketAddr, settings: &[String]) -> Tied {
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut server = command("postgres");
    server.arg("-D").arg(folder.path().join("data"));
    server.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
    server.args(["-c", "unix_socket_directories=", "-c", "fsync=off"]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    let process = Tied(server.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let is_ready = || {
        let said = fs::read_to_string(folder.path().join("log")).unwrap();
        // Clients that come while it starts are turned away with such words.
        let is_lost = |line: &&str| line.contains("FATAL") && !line.contains("is starting up");
        let lost = said.lines().find(is_lost);
        assert!(lost.is_none(), "{said}");
        said.contains("ready to accept connections")
    };
    wait_until("PostgreSQL is ready", is_ready);
    process
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A program of PostgreSQL, which refuses to run as root.
fn command(program: &str) -> Command {
    let path = find(program);
    if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(path);
        command
    } else {
        Command::new(path)
    }
}

/// A program of PostgreSQL: Debian has those of all versions in folders of their own.
fn find(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(program));
    found.filter(|path| path.exists()).max().unwrap_or_else(|| PathBuf::from(program))
}

/// Writes `ca.pem`, and `cert.pem` and `key.pem` for localhost.
fn make_certificates(folder: &Path) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = ca.self_signed(&key).unwrap();
    let issuer = Issuer::new(ca, key);
    let own = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let cert = CertificateParams::new(names).unwrap().signed_by(&own, &issuer).unwrap();
    fs::write(folder.join("ca.pem"), root.pem()).unwrap();
    fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), own.serialize_pem()).unwrap();
    fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Runs the scenario with a history at this URL.
fn run(url: &str, words: &[&str]) -> Done {
    Manada::run(SHOP, words).env("MANADA_HISTORY", url).go()
}

fn history(url: &str, words: &[&str]) -> Done {
    Manada::new(&["history"]).words(words).env("MANADA_HISTORY", url).go()
}

fn list(url: &str) -> Vec<Value> {
    let done = history(url, &["--json"]);
    assert_eq!(done.code, Some(0), "{done}");
    done.json().as_array().unwrap().clone()
}

/// Checks that the run is as good as any, and that the history's loss is told once.
#[track_caller]
fn assert_lost(done: &Done, why: &str) {
    done.measured();
    let lines: Vec<&str> =
        done.stderr.lines().filter(|line| line.contains("not in the history")).collect();
    assert_eq!(lines.len(), 1, "{done}");
    assert!(lines[0].contains(why), "{done}");
    assert_quiet(done);
}

/// Checks that the password is in no output.
#[track_caller]
fn assert_quiet(done: &Done) {
    for text in [&done.stdout, &done.stderr] {
        assert!(!text.contains("s3cret"), "{done}");
    }
}

#[test]
fn runs_are_stored_in_postgresql_as_in_a_file() {
    let server = Postgres::start(&[]);
    let url = server.url("");
    let done = history(&url, &[]);
    assert!(done.code == Some(3) && done.stderr.contains("none yet"), "{done}");
    let done = run(&url, &["--tag", "release=1"]);
    let summary = done.measured();
    assert!(!done.stderr.contains("history"), "{done}");
    assert_quiet(&done);
    run(&url, &["--tag", "release=2"]).measured();
    let runs = list(&url);
    assert_eq!(runs.len(), 2);
    let id = runs[1]["id"].as_str().unwrap();
    let done = history(&url, &["show", id, "--json"]);
    let stored = done.json();
    assert_eq!(stored["summary"], summary);
    assert_eq!(stored["tags"]["release"], "1");
    let p95 = |one: &Value| one["scope"] == "" && one["metric"] == "response.p95";
    let found = stored["figures"].as_array().unwrap().iter().find(|one| p95(one)).unwrap();
    assert_eq!(found["value"].as_f64(), summary["response_us"]["p95"].as_f64());
    assert!(!stored["intervals"].as_array().unwrap().is_empty());
    for words in [&["show", id][..], &["trend", "rate"], &["--tag", "release=1"]] {
        let done = history(&url, words);
        assert!(done.code == Some(0) && done.stdout.contains("shop"), "{done}");
        assert_quiet(&done);
    }
    assert_eq!(history(&url, &["delete", id]).code, Some(0));
    assert_eq!(list(&url).len(), 1);
    // The option shows its URL to nobody either.
    let done = Manada::run(SHOP, &["--history", &url]).go();
    done.measured();
    assert_quiet(&done);
    assert!(!done.read("out/report.html").contains("s3cret"));
    assert_eq!(list(&url).len(), 2);
    let done = history(&url, &["prune", "--keep", "1"]);
    assert_eq!(done.stdout, "deleted 1 run\n", "{done}");
}

#[test]
fn several_runs_create_the_tables_at_once() {
    let server = Postgres::start(&[]);
    let url = server.url("");
    let start = || Manada::run(SHOP, &[]).env("MANADA_HISTORY", &url).start();
    let running: Vec<_> = (0..4).map(|_| start()).collect();
    for one in running {
        let done = one.wait();
        assert!(!done.stderr.contains("not in the history"), "{done}");
    }
    assert_eq!(list(&url).len(), 4);
}

#[test]
fn servers_over_tls_are_verified() {
    let files = ["ssl=on", "ssl_cert_file=FOLDER/cert.pem", "ssl_key_file=FOLDER/key.pem"];
    let server = Postgres::start(&files);
    let ca = server.folder.path().join("ca.pem");
    let trusted = format!("?sslmode=verify-full&sslrootcert={}", ca.display());
    let done = run(&server.url(&trusted), &[]);
    done.measured();
    assert!(!done.stderr.contains("history"), "{done}");
    assert_eq!(list(&server.url(&trusted)).len(), 1);
    // The system's roots do not know this authority.
    assert_lost(&run(&server.url("?sslmode=require"), &[]), "certificate");
    let plain = Postgres::start(&[]);
    assert_lost(&run(&plain.url("?sslmode=require"), &[]), "TLS");
}

#[test]
fn servers_that_refuse_cost_the_history_alone() {
    let server = Postgres::start(&[]);
    let wrong = format!("postgres://manada:s3cret-wrong@{}/postgres", server.address);
    assert_lost(&run(&wrong, &[]), "password authentication failed");
    let done = history(&wrong, &[]);
    assert!(done.code == Some(1), "{done}");
    assert_quiet(&done);
    let missing = format!("postgres://manada:{ENCODED}@{}/nowhere", server.address);
    assert_lost(&run(&missing, &[]), "does not exist");
    // A server that only reads, as a replica does.
    server.execute("ALTER DATABASE postgres SET default_transaction_read_only = on");
    assert_lost(&run(&server.url(""), &[]), "does not allow writes");
    let mut client = server.execute("SET default_transaction_read_only = off");
    let off = "ALTER DATABASE postgres SET default_transaction_read_only = off";
    client.batch_execute(off).unwrap();
    run(&server.url(""), &[]).measured();
    // A server whose disk is full refuses rows with this error.
    server.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE \
         EXCEPTION 'could not extend file: No space left' USING ERRCODE = 'disk_full'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT ON manada_intervals \
         FOR EACH ROW EXECUTE FUNCTION full_disk()",
    );
    assert_lost(&run(&server.url(""), &[]), "No space left");
    assert_eq!(list(&server.url("")).len(), 1, "nothing of that run is there");
    server.execute("DROP TRIGGER full_disk ON manada_intervals");
    // Tables of a later version.
    server.execute("UPDATE manada_schema SET version = 99");
    assert_lost(&run(&server.url(""), &[]), "its tables have version 99");
    server.execute("UPDATE manada_schema SET version = 1");
    // A lock that another client keeps.
    let _holder = server.execute("BEGIN; LOCK TABLE manada_runs IN ACCESS EXCLUSIVE MODE");
    assert_lost(&run(&server.url(""), &[]), "timeout");
}

#[test]
fn what_is_no_server_costs_the_history_alone() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = |address: SocketAddr| format!("postgres://manada:{ENCODED}@{address}/runs");
    assert_lost(&run(&url(closed), &[]), "refused");
    // It accepts, and never answers: the kernel completes connections that are not accepted.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let done = run(&url(silent.local_addr().unwrap()), &[]);
    assert_lost(&done, &format!("postgres://{}/runs", silent.local_addr().unwrap()));
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap();
    thread::spawn(move || {
        for stream in web.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    assert_lost(&run(&url(address), &[]), "cannot connect");
}
