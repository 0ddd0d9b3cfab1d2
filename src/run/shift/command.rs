//! A shell command around a step of a shift, on a thread of its own.
//!
//! `controller` starts it and looks for its end.
//! Invariant: a command ends within [`LIMIT`], or is ended; what it prints costs at most 4 KiB.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock;
use crate::printable::printable;

/// The longest time that a command may take.
const LIMIT: Duration = Duration::from_mins(1);

/// How often its end is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Maximum bytes of its error output that are shown.
const MAX_OUTPUT: u64 = 4 << 10;

/// The result of a command: `Err` says how it failed, as text.
pub(super) type CommandResult = Result<(), String>;

/// Starts `sh -c TEXT` with these variables; its result comes over the channel.
pub(super) fn start(text: &str, variables: &[(&str, String)]) -> oneshot::Receiver<CommandResult> {
    let (sender, receiver) = oneshot::channel();
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(text).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.envs(variables.iter().map(|(name, value)| (*name, value)));
    let thread = std::thread::Builder::new().name("shift".to_owned()).spawn(move || {
        let result = match command.spawn() {
            Ok(child) => watch(child),
            Err(error) => Err(format!("could not be started: {error}")),
        };
        // A run that is over does not wait for it.
        let _ = sender.send(result);
    });
    // Without a thread the channel is closed, which counts as a failure.
    drop(thread);
    receiver
}

/// Waits for the end of a command, at most until the limit.
fn watch(mut child: Child) -> CommandResult {
    let ended = clock::block_on(async {
        let until = clock::now() + LIMIT;
        loop {
            match child.try_wait() {
                Ok(None) if clock::now() < until => {
                    clock::sleep_until(clock::now() + LOOK).await;
                }
                Ok(ended) => return Ok(ended),
                Err(error) => return Err(error),
            }
        }
    });
    let status = match ended {
        Ok(Ok(Some(status))) => status,
        Ok(Ok(None)) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("took longer than {} s", LIMIT.as_secs()));
        }
        Ok(Err(error)) | Err(error) => return Err(format!("failed: {error}")),
    };
    if status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    if let Some(output) = child.stderr.take() {
        let _ = output.take(MAX_OUTPUT).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).map(printable);
    let last = last.map_or(String::new(), |line| format!(": {line}"));
    Err(format!("failed ({status}){last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> CommandResult {
        let variables = [("MANADA_SHIFT_PERCENT", "25".to_owned())];
        start(text, &variables).blocking_recv().unwrap()
    }

    #[test]
    fn a_command_has_its_variables_and_its_failure_has_a_reason() {
        assert_eq!(run("test $MANADA_SHIFT_PERCENT = 25"), Ok(()));
        let failed = run("echo one >&2; echo 'no such server' >&2; exit 3");
        assert_eq!(failed, Err("failed (exit status: 3): no such server".to_owned()));
        assert!(run("kill -9 $$").unwrap_err().starts_with("failed (signal: 9"));
    }
}
