//! Processes of a job: its run, and the commands before and after it.
//!
//! `execution` starts and watches them; `cli` is the process in between, [`guarded`].
//! Invariant: a process dies with the scheduler that started it, whatever ends that: the kernel
//! kills it. What it writes goes to a bounded file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};

/// The command of this program that starts another one and dies with its parent.
pub const GUARDED: &str = "guarded";

/// The longest output of a process that is kept, bytes.
const MAX_OUTPUT: u64 = 8 << 20;

/// A process of a job.
#[derive(Debug)]
pub(super) struct JobProcess {
    child: Child,
    group: Option<Pid>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessEnd {
    /// The exit code; `None`: a signal ended it.
    pub(super) code: Option<u8>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
}

impl JobProcess {
    /// Starts a program in a process group of its own. The calling thread has to live as long as
    /// the process: the kernel kills it with the thread.
    ///
    /// # Errors
    /// If the process or the file of its output is refused.
    pub(super) fn start(
        words: &[OsString],
        variables: &[(&'static str, String)],
        folder: &Path,
        output: &Path,
    ) -> io::Result<Self> {
        let file = File::create(output)?;
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(GUARDED).arg(std::process::id().to_string()).args(words);
        command
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        let child = command.spawn()?;
        // Our ends of the pipe are in `command`.
        drop(command);
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = Self { child, group };
        // It ends with the last process that has the pipe, perhaps a server that a command left.
        std::thread::Builder::new().name("output".to_owned()).spawn(move || keep(reader, file))?;
        Ok(process)
    }

    /// How it ended; `None`: it has not.
    pub(super) fn poll(&mut self) -> io::Result<Option<ProcessEnd>> {
        let end = |status: ExitStatus| ProcessEnd {
            code: status.code().and_then(|code| u8::try_from(code).ok()),
            signal: status.signal(),
        };
        Ok(self.child.try_wait()?.map(end))
    }

    /// Asks it and what it started to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills it and what it started.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended meanwhile; its id is not used again before it is waited for.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for JobProcess {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|end| end.is_none()) {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// Copies the output of a process to its file, up to [`MAX_OUTPUT`]; reads on, so that a process
/// never waits for a reader.
fn keep(mut reader: impl Read, mut file: File) {
    let (mut kept, mut bytes) = (0, [0; 16 << 10]);
    while let Ok(count @ 1..) = reader.read(&mut bytes) {
        if kept >= MAX_OUTPUT {
            continue;
        }
        kept += count as u64;
        let _ = file.write_all(&bytes[..count]);
        if kept >= MAX_OUTPUT {
            let _ = writeln!(file, "\n[output beyond {} MiB is left out]", MAX_OUTPUT >> 20);
        }
    }
}

/// Becomes another program that the kernel kills when the process `parent` dies. Returns only if
/// that fails.
pub fn guarded(parent: u32, words: &[OsString]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The parent may have died before.
    let own = getppid().map(|own| own.as_raw_nonzero().get());
    if own.and_then(|own| u32::try_from(own).ok()) != Some(parent) {
        return io::Error::other("the scheduler has ended");
    }
    let Some((program, arguments)) = words.split_first() else {
        return io::Error::other("no program");
    };
    Command::new(program).args(arguments).exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_a_process_is_kept_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.log");
        keep(io::repeat(b'x').take(MAX_OUTPUT * 2), File::create(&path).unwrap());
        let text = std::fs::read(&path).unwrap();
        assert!((text.len() as u64) < MAX_OUTPUT + (32 << 10), "{}", text.len());
        assert!(text.ends_with(b"[output beyond 8 MiB is left out]\n"));
        keep(&b"short\n"[..], File::create(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"short\n");
    }
}
