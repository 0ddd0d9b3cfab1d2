//! Runs the real program in its own folder: arguments in, exit code, output and JSON out.
//!
//! Invariant: a program that does not end within [`LIMIT`] is killed, which fails the test; a
//! failing test leaves no program behind.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::sums::{answered, wrong_sums};

/// The program under test.
pub(crate) const MANADA: &str = env!("CARGO_BIN_EXE_manada");

/// Maximum duration of a run; it only detects a hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// A threshold that holds in every run with a call, however busy the machine is. Without a
/// threshold an untrusted run is inconclusive, and tests run on any machine.
const STANDS: &[&str] = &["--threshold", "calls > 0"];

/// A call of the program under construction.
pub(crate) struct Manada {
    words: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    folder: TempDir,
    /// Its standard output, if it is not read.
    stdout: Option<Stdio>,
    /// The control group that it joins before it starts.
    group: Option<PathBuf>,
    /// A signal that is ignored when it starts.
    ignored: Option<&'static str>,
    /// Files of its folder that it sees in place of the system's.
    mounts: Vec<(&'static str, &'static str)>,
}

/// A started program; it ends with its handle.
pub(crate) struct Running {
    child: Tied,
    stdout: Option<Arc<Output>>,
    stderr: Arc<Output>,
    folder: TempDir,
}

/// A process that is killed with its handle, whatever its state.
pub(crate) struct Tied(pub(crate) Child);

/// The output of a program so far.
#[derive(Default)]
struct Output {
    /// The text, and whether it has ended.
    said: Mutex<(Vec<u8>, bool)>,
    more: Condvar,
}

/// A program that has ended.
pub(crate) struct Done {
    /// Its exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: TempDir,
}

impl Manada {
    /// `manada` with these arguments.
    pub(crate) fn new(words: &[&str]) -> Self {
        Self {
            words: words.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            stdout: None,
            group: None,
            ignored: None,
            mounts: Vec::new(),
        }
    }

    /// `manada hit URL WORDS --json`, without a screen.
    pub(crate) fn hit(url: &str, words: &[&str]) -> Self {
        Self::new(&["hit", url, "--json", "--ui", "none", "--seed", "7"]).words(STANDS).words(words)
    }

    /// `manada run` of a scenario with this text; the report is in `out`.
    pub(crate) fn run(scenario: &str, words: &[&str]) -> Self {
        let words_first = ["run", "scenario.yaml", "--json", "--ui", "none", "--out", "out"];
        Self::new(&words_first).words(STANDS).words(words).file("scenario.yaml", scenario)
    }

    /// As `run`, with events on standard error.
    pub(crate) fn telling(scenario: &str, words: &[&str]) -> Self {
        let words_first = ["run", "scenario.yaml", "--json", "--ui", "plain", "-v", "--out", "out"];
        Self::new(&words_first).words(STANDS).words(words).file("scenario.yaml", scenario)
    }

    /// As `run`, with the summary on standard output.
    pub(crate) fn summary(scenario: &str) -> Self {
        let words_first = ["run", "scenario.yaml", "--ui", "none", "--out", "out"];
        Self::new(&words_first).words(STANDS).file("scenario.yaml", scenario)
    }

    /// Adds arguments.
    pub(crate) fn words(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(OsString::from));
        self
    }

    /// Adds a file to its folder.
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Returns a path in its folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Redirects its standard output, unread.
    pub(crate) fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.stdout = Some(to.into());
        self
    }

    /// Runs it in the control group of this folder.
    pub(crate) fn within(mut self, group: &Path) -> Self {
        self.group = Some(group.join("cgroup.procs"));
        self
    }

    /// Shows it a file of this text in place of the system's `path`; needs root.
    pub(crate) fn instead_of(mut self, path: &'static str, text: &str) -> Self {
        let name = path.rsplit('/').next().unwrap();
        self.mounts.push((name, path));
        self.file(name, text)
    }

    /// Starts it with this signal ignored, as under `nohup`.
    pub(crate) fn ignoring(mut self, signal: &'static str) -> Self {
        self.ignored = Some(signal);
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> Running {
        let read = self.stdout.is_none();
        let mut command = match &self.group {
            None if !self.mounts.is_empty() => {
                let mut unshare = Command::new("unshare");
                let mut line = String::new();
                for (name, path) in &self.mounts {
                    line.extend(["mount --bind ", name, " ", path, " && "]);
                }
                line += "exec \"$0\" \"$@\"";
                unshare.args(["--mount", "/bin/sh", "-c", &line, MANADA]);
                unshare
            }
            None if self.ignored.is_some() => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", "trap '' $0 && exec \"$@\""]);
                shell.args([self.ignored.unwrap_or_default(), MANADA]);
                shell
            }
            // The parent of the tests may ignore signals, as a shell does for background jobs; the
            // program would keep ignoring them.
            None => {
                let mut env = Command::new("env");
                env.args(["--default-signal", MANADA]);
                env
            }
            Some(members) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(members).arg(MANADA);
                shell
            }
        };
        command
            .args(&self.words)
            .current_dir(self.folder.path())
            .env_remove("NO_COLOR")
            // The user who runs the tests may have a safety file.
            .env_remove("MANADA_SAFETY")
            // Tests leave nothing in the user's history.
            .env("MANADA_HISTORY", "none")
            .env("XDG_CONFIG_HOME", self.folder.path().join(".config"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(self.stdout.unwrap_or_else(Stdio::piped))
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = read.then(|| Output::of(child.stdout.take().unwrap()));
        let stderr = Output::of(child.stderr.take().unwrap());
        Running { child: Tied(child), stdout, stderr, folder: self.folder }
    }

    /// Starts it and waits for its end.
    pub(crate) fn go(self) -> Done {
        self.start().wait()
    }
}

impl Running {
    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Waits until it has written this text to standard error.
    pub(crate) fn hear(&self, text: &str) {
        let heard = self.stderr.until(|said, _| String::from_utf8_lossy(said).contains(text));
        assert!(heard.is_some(), "it never said {text:?}, but:\n{}", self.stderr.text());
    }

    /// Waits until it has written a line of progress of this second of the load, or of a later one:
    /// on a busy machine it leaves some out.
    pub(crate) fn hear_second(&self, second: u64) {
        let second_of = |line: &str| line.trim_start().split_once("s of ")?.0.parse().ok();
        let is_late = |line: &str| second_of(line).is_some_and(|found: u64| found >= second);
        let is_there = |said: &[u8]| String::from_utf8_lossy(said).lines().any(is_late);
        let heard = self.stderr.until(|said, _| is_there(said));
        assert!(heard.is_some(), "it never reached {second} s, but:\n{}", self.stderr.text());
    }

    /// Waits for the line on standard error that begins with this text, and returns it.
    pub(crate) fn heard_line(&self, begin: &str) -> String {
        let find = |said: &str| {
            let line = said.split_inclusive('\n').find(|line| line.starts_with(begin))?;
            line.strip_suffix('\n').map(str::to_owned)
        };
        let heard = self.stderr.until(|said, _| find(&String::from_utf8_lossy(said)).is_some());
        let never = || panic!("it never said {begin:?}, but:\n{}", self.stderr.text());
        heard.and_then(|said| find(&said)).unwrap_or_else(never)
    }

    /// Waits until it has written more to standard error.
    pub(crate) fn hear_more(&self) {
        let known = self.stderr.said.lock().unwrap().0.len();
        let heard = self.stderr.until(|said, ended| ended || said.len() > known);
        assert!(heard.is_some(), "it says nothing more");
    }

    /// Returns a path in its folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Done {
        // Its outputs end when it does: a limited wait without polling.
        let stderr = self.stderr.until(|_, ended| ended);
        if stderr.is_none() {
            self.child.0.kill().unwrap();
        }
        let stdout = self.stdout.take().map(|out| out.until(|_, ended| ended).unwrap());
        let code = self.child.0.wait().unwrap().code();
        Done {
            code,
            stdout: stdout.unwrap_or_default(),
            stderr: stderr.expect("the program ends within its limit"),
            folder: self.folder,
        }
    }
}

impl Tied {
    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        // After a wait its id may belong to another process.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Output {
    /// Collects everything from a reader.
    fn of(mut from: impl Read + Send + 'static) -> Arc<Self> {
        let output = Arc::new(Self::default());
        let own = Arc::clone(&output);
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            loop {
                let count = from.read(&mut bytes).unwrap_or(0);
                let mut said = own.said.lock().unwrap();
                said.0.extend_from_slice(&bytes[..count]);
                said.1 = count == 0;
                own.more.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        output
    }

    /// Returns the output up to now.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap().0).into_owned()
    }

    /// Waits until the output satisfies `holds`, and returns it; `None` after the time limit.
    fn until(&self, holds: impl Fn(&[u8], bool) -> bool) -> Option<String> {
        let said = self.said.lock().unwrap();
        let wait = self.more.wait_timeout_while(said, LIMIT, |(said, ended)| !holds(said, *ended));
        let (said, waited) = wait.unwrap();
        let text = || String::from_utf8(said.0.clone()).unwrap();
        (!waited.timed_out()).then(text)
    }
}

impl Done {
    /// Returns the JSON document on its standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// Returns the document of a run with this exit code, whose ledgers add up.
    #[track_caller]
    pub(crate) fn report(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self}");
        let report = self.json();
        let wrong = wrong_sums(&report);
        assert!(wrong.is_empty(), "{wrong:?}\n{self}");
        report
    }

    /// Returns the document of a run whose verdict depends on any response: without a complete one
    /// it has failed.
    #[track_caller]
    pub(crate) fn measured(&self) -> Value {
        self.report(if answered(&self.json()) == 0 { 4 } else { 0 })
    }

    /// Returns a path in its folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a file of its folder, as text.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, .. } = self;
        write!(f, "exit {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Returns a count of a report, by its path such as `calls.made`.
pub(crate) fn count(report: &Value, path: &str) -> u64 {
    let found = path.split('.').fold(report, |value, key| &value[key]);
    found.as_u64().unwrap_or_else(|| panic!("{path} is {found}"))
}
