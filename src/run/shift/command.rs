//! A shell command around a step of a shift, on a thread of its own.
//!
//! `controller` starts it, looks for its end, and ends it.
//! Invariant: a command ends within [`LIMIT`], or is ended with its whole process group; what it
//! prints costs at most 4 KiB. Its group does not outlive this process, whatever ends that.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::clock;
use crate::printable::printable;

/// The longest time that a command may take.
const LIMIT: Duration = Duration::from_mins(1);

/// How often its end is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// How long the rest of the output of a command that failed is waited for.
const REST: Duration = Duration::from_millis(200);

/// Bytes of its error output that are kept, the last ones.
const MAX_OUTPUT: usize = 4 << 10;

/// Runs a command beside a guard in the same process group. The guard reads the pipe that this
/// process holds: a line ends it, and the end of the pipe, also by the death of this process, ends
/// the group.
const GUARDED: &str = r#"exec 3<&0 </dev/null
{ read -r line <&3 || kill -KILL 0; } >/dev/null 2>&1 &
exec /bin/sh -c "$1" 3<&-"#;

/// The result of a command: `Err` says how it failed, as text.
pub(super) type CommandResult = Result<(), String>;

/// A command that was started.
pub(super) struct RunningCommand {
    receiver: oneshot::Receiver<CommandResult>,
    result: Option<CommandResult>,
    /// Whether its group has to be ended.
    is_unwanted: Arc<AtomicBool>,
}

impl RunningCommand {
    /// Starts a text in the shell with these variables.
    pub(super) fn start(text: &str, variables: &[(&str, String)]) -> Self {
        let (sender, receiver) = oneshot::channel();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARDED, "sh", text]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        let is_unwanted = Arc::new(AtomicBool::new(false));
        let unwanted = Arc::clone(&is_unwanted);
        let thread = std::thread::Builder::new().name("shift".to_owned()).spawn(move || {
            let result = match command.spawn() {
                Ok(child) => watch(child, &unwanted),
                Err(error) => Err(format!("could not be started: {error}")),
            };
            // A run that is over does not wait for it.
            let _ = sender.send(result);
        });
        // Without a thread the channel is closed, which counts as a failure.
        drop(thread);
        Self { receiver, result: None, is_unwanted }
    }

    /// Its result, once; `None` while it runs.
    pub(super) fn poll(&mut self) -> Option<CommandResult> {
        if self.result.is_none() {
            self.result = match self.receiver.try_recv() {
                Ok(result) => Some(result),
                Err(TryRecvError::Closed) => Some(no_thread()),
                Err(TryRecvError::Empty) => None,
            };
        }
        self.result.take()
    }

    /// Waits for its end; `poll` has its result then.
    pub(super) async fn ended(&mut self) {
        if self.result.is_none() {
            let result = (&mut self.receiver).await;
            self.result = Some(result.unwrap_or_else(|_| no_thread()));
        }
    }

    /// Ends its process group soon; its result follows.
    pub(super) fn end(&self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        self.end();
    }
}

fn no_thread() -> CommandResult {
    Err("could not be started: no thread".to_owned())
}

/// Waits for the end of a command, at most until the limit.
fn watch(mut child: Child, unwanted: &AtomicBool) -> CommandResult {
    let guard = child.stdin.take();
    let output = child.stderr.take().map(ErrorOutput::drain);
    let ended = clock::block_on(async {
        let until = clock::now() + LIMIT;
        loop {
            if let Some(status) = child.try_wait()? {
                if let Some(output) = output.as_ref().filter(|_| !status.success()) {
                    output.wait_for_rest().await;
                }
                return Ok(Ok(status));
            }
            if unwanted.load(Ordering::Relaxed) {
                return Ok(Err("was ended".to_owned()));
            }
            if clock::now() >= until {
                return Ok(Err(format!("took longer than {} s", LIMIT.as_secs())));
            }
            clock::sleep_until(clock::now() + LOOK).await;
        }
    });
    let failed = match ended.and_then(|ended| ended) {
        Ok(Ok(status)) if status.success() => {
            // What it left in the background goes on, such as a tunnel.
            let _ = guard.map(|mut guard| guard.write_all(b"\n"));
            return Ok(());
        }
        Ok(Ok(status)) => return Err(failure(status, output.as_ref())),
        Ok(Err(why)) => why,
        Err(error) => format!("failed: {error}"),
    };
    // It was not waited for: no other process has its id.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    Err(failed)
}

/// How a command failed, with its last line.
fn failure(status: ExitStatus, output: Option<&ErrorOutput>) -> String {
    let said = output.map_or_else(Vec::new, ErrorOutput::kept);
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).map(printable);
    let last = last.map_or(String::new(), |line| format!(": {line}"));
    format!("failed ({status}){last}")
}

/// The error output of a command, read on a thread so that the command never waits for a reader.
struct ErrorOutput {
    last: Arc<Mutex<Vec<u8>>>,
    /// `None` if no thread could be started.
    reader: Option<std::thread::JoinHandle<()>>,
}

impl ErrorOutput {
    /// Reads it until the last process has closed it.
    fn drain(mut pipe: ChildStderr) -> Self {
        let last = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&last);
        let reader = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            let mut bytes = [0; MAX_OUTPUT];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&bytes[..count]);
                let beyond = kept.len().saturating_sub(MAX_OUTPUT);
                kept.drain(..beyond);
            }
        });
        Self { last, reader: reader.ok() }
    }

    /// Waits until all is read; a process in the background may hold the pipe.
    async fn wait_for_rest(&self) {
        let until = clock::now() + REST;
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished())
            && clock::now() < until
        {
            clock::sleep_until(clock::now() + LOOK).await;
        }
    }

    fn kept(&self) -> Vec<u8> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> CommandResult {
        let variables = [("MANADA_SHIFT_PERCENT", "25".to_owned())];
        let mut command = RunningCommand::start(text, &variables);
        clock::block_on(command.ended()).unwrap();
        command.poll().unwrap()
    }

    /// Waits for the process whose number is in this file to be gone, or to be seen as alive.
    fn is_alive(file: &std::path::Path) -> bool {
        let number = std::fs::read_to_string(file).unwrap();
        let state = std::fs::read_to_string(format!("/proc/{}/stat", number.trim()));
        // A process that ended may not have been waited for.
        state.is_ok_and(|state| !state.contains(") Z "))
    }

    fn wait_until(is_so: impl Fn() -> bool) {
        clock::block_on(async {
            let until = clock::now() + Duration::from_secs(30);
            while !is_so() {
                assert!(clock::now() < until, "it did not come");
                clock::sleep_until(clock::now() + LOOK).await;
            }
        })
        .unwrap();
    }

    #[test]
    fn a_command_has_its_variables_and_its_failure_has_a_reason() {
        assert_eq!(run("test $MANADA_SHIFT_PERCENT = 25"), Ok(()));
        let failed = run("echo one >&2; echo 'no such server' >&2; exit 3");
        assert_eq!(failed, Err("failed (exit status: 3): no such server".to_owned()));
        assert!(run("kill -9 $$").unwrap_err().starts_with("failed (signal: 9"));
        assert_eq!(run("test -z \"$(cat)\""), Ok(()), "its input is empty");
    }

    #[test]
    fn a_command_with_much_output_does_not_block_and_its_last_line_is_shown() {
        let much = "head -c 1000000 /dev/zero | tr '\\0' x";
        assert_eq!(run(&format!("{much}; {much} >&2")), Ok(()));
        let failed = run(&format!("{much} >&2; echo >&2; echo last >&2; exit 1"));
        assert_eq!(failed, Err("failed (exit status: 1): last".to_owned()));
    }

    #[test]
    fn a_command_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let text = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        for is_dropped in [false, true] {
            let mut command = RunningCommand::start(&text, &[]);
            wait_until(|| file.exists());
            assert!(is_alive(&file));
            assert!(command.poll().is_none());
            if is_dropped {
                drop(command);
            } else {
                command.end();
                clock::block_on(command.ended()).unwrap();
                assert_eq!(command.poll(), Some(Err("was ended".to_owned())));
            }
            wait_until(|| !is_alive(&file));
            std::fs::remove_file(&file).unwrap();
        }
        // One that fails leaves nothing, either; one that succeeds may leave a tunnel.
        for (end, is_left) in [("exit 1", false), ("exit 0", true)] {
            let path = file.display();
            let left = format!("sleep 600 2>/dev/null & echo $! > {path}; {end}");
            assert_eq!(run(&left).is_ok(), is_left);
            if is_left {
                assert!(is_alive(&file));
                let number = std::fs::read_to_string(&file).unwrap();
                assert_eq!(run(&format!("kill -9 {number}")), Ok(()));
            }
            wait_until(|| !is_alive(&file));
        }
    }
}
