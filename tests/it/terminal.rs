//! A terminal for the real program: keys in, screen content out.
//!
//! `script` from util-linux makes the terminal and `stty` reports its settings.
//! Invariant: the program is killed after [`LIMIT`], even if it writes on; a failing test leaves
//! no process behind.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::{LIMIT, MANADA};

/// A terminal in which the program runs.
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Receiver<Vec<u8>>,
    /// All bytes ever written to it.
    pub(crate) written: String,
    /// The screen content.
    screen: vt100::Parser,
    folder: TempDir,
}

impl Terminal {
    /// Opens a terminal and runs the scenario `keyed` in it; its shell reports the settings before
    /// and after.
    pub(crate) fn open(scenario: &str, words: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("scenario.yaml"), scenario).unwrap();
        let line = format!(
            "stty rows 24 cols 80; stty -g > before; \
             timeout --foreground -s KILL {} {MANADA} run scenario.yaml {words} --out out; \
             echo $? > code; stty -g > after",
            LIMIT.as_secs()
        );
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(folder.path())
            .env("MANADA_HISTORY", "none")
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .env_remove("COLORTERM")
            .env("XDG_RUNTIME_DIR", folder.path())
            .env_remove("MANADA_SAFETY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keys = child.stdin.take().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (tell, shown) = sync_channel(1_000);
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count) = out.read(&mut bytes) {
                if count == 0 || tell.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen = vt100::Parser::new(rows(24), rows(80), 0);
        Self { child, keys, shown, written: String::new(), screen, folder }
    }

    /// Takes new output.
    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.written += &String::from_utf8_lossy(bytes);
    }

    /// Waits until the output and the screen satisfy a condition.
    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let more = self.shown.recv_timeout(LIMIT);
            let shown = || self.screen.screen().contents();
            let more = more.unwrap_or_else(|_| panic!("never: {what}\n{}", shown()));
            self.take(&more);
        }
    }

    /// Waits until it has written this text.
    #[track_caller]
    pub(crate) fn see(&mut self, text: &str) {
        self.until(text, |terminal| terminal.written.contains(text));
    }

    /// Waits until the screen has this text, and returns the screen.
    #[track_caller]
    pub(crate) fn show(&mut self, text: &str) -> String {
        self.until(text, |terminal| terminal.screen.screen().contents().contains(text));
        self.screen.screen().contents()
    }

    /// Waits until the screen does not have this text any more.
    #[track_caller]
    pub(crate) fn hide(&mut self, text: &str) {
        self.until(text, |terminal| !terminal.screen.screen().contents().contains(text));
    }

    /// Waits until the last row has this text; then all rows above are drawn as well.
    #[track_caller]
    pub(crate) fn foot(&mut self, text: &str) {
        self.until(text, |terminal| {
            let screen = terminal.screen.screen();
            let (rows, columns) = screen.size();
            let last = screen.rows(0, columns.get()).nth(usize::from(rows.get()) - 1);
            last.is_some_and(|row| row.contains(text))
        });
    }

    /// Changes its size.
    pub(crate) fn resize(&mut self, columns: u16, lines: u16) {
        self.screen.screen_mut().set_size(rows(lines), rows(columns));
        let size = ["rows", &lines.to_string(), "cols", &columns.to_string()].map(str::to_owned);
        let done = Command::new("stty").arg("-F").arg(self.tty()).args(size).status().unwrap();
        assert!(done.success());
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Returns the program's process id, by its socket, if it exists.
    fn found(&self) -> Option<Pid> {
        let mut sockets = fs::read_dir(self.folder.path().join("manada")).ok()?;
        let socket = sockets.next()?.ok()?.file_name().into_string().ok()?;
        Pid::from_raw(socket.strip_prefix("keyed-")?.strip_suffix(".sock")?.parse().ok()?)
    }

    /// Returns the program's process id.
    pub(crate) fn pid(&self) -> Pid {
        self.found().unwrap()
    }

    /// Suspends the program, as a shell would, and waits until it has stopped.
    pub(crate) fn stop(&self) {
        let pid = self.pid();
        kill_process(pid, Signal::TSTP).unwrap();
        let stopped = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
            stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
        };
        while !stopped() {
            thread::yield_now();
        }
    }

    fn tty(&self) -> PathBuf {
        fs::read_link(format!("/proc/{}/fd/0", self.pid().as_raw_nonzero())).unwrap()
    }

    /// Returns the current terminal settings.
    pub(crate) fn settings(&self) -> String {
        let stty = Command::new("stty").args(["-a", "-F"]).arg(self.tty()).output().unwrap();
        String::from_utf8(stty.stdout).unwrap()
    }

    /// Waits for the end and returns the program's exit code; the terminal has to be restored.
    #[track_caller]
    pub(crate) fn close(&mut self) -> i32 {
        while let Ok(more) = self.shown.recv_timeout(LIMIT) {
            self.take(&more);
        }
        self.child.wait().unwrap();
        let read = |name: &str| {
            let path: PathBuf = self.folder.path().join(name);
            fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {name}\n{}", self.written))
        };
        let screen = self.screen.screen();
        let (code, shown) = (read("code"), screen.contents());
        // 137: it did not end by itself.
        assert_eq!(read("before"), read("after"), "not as before, exit code {code}\n{shown}");
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
        assert!(!screen.bracketed_paste(), "what is pasted is text again");
        code.trim().parse().unwrap()
    }
}

fn rows(count: u16) -> std::num::NonZeroU16 {
    count.try_into().unwrap()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A failed test leaves no process: `script` ends with its terminal.
        if let Some(pid) = self.found() {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
