//! Terminal keys that control a run, while progress bars are shown.
//!
//! `cli` starts it on the dispatcher's thread.
//! Invariant: the terminal is restored whenever the program ends or stops; in the background it is
//! not touched.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Mutex, Once, PoisonError};

use rustix::process::{Signal as Number, getpgrp, getpid, kill_process};
use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::ControlHandles;
use crate::event::{ControlCommand, ControlRequest, Interrupt};
use crate::stats::ControlOrigin;

/// The original terminal settings, while they are changed.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// SIGTSTP and SIGCONT, which tokio has no names for.
const SUSPEND: i32 = Number::TSTP.as_raw();
const CONTINUE: i32 = Number::CONT.as_raw();

/// Listens to keys until it is dropped.
#[derive(Debug)]
pub(crate) struct TerminalKeys {
    task: Option<JoinHandle<()>>,
    _suspend_watch: SuspendWatch,
}

impl Drop for TerminalKeys {
    fn drop(&mut self) {
        self.task.iter().for_each(JoinHandle::abort);
        restore();
    }
}

/// Handles suspension of the program until it is dropped.
#[derive(Debug)]
pub(crate) struct SuspendWatch([JoinHandle<()>; 2]);

impl Drop for SuspendWatch {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Whether a terminal with keys is available.
pub(crate) fn are_available() -> bool {
    isatty(stdin()) && in_foreground()
}

/// Starts to listen to keys.
///
/// # Errors
/// If the terminal cannot be configured or polled.
pub(crate) fn listen(handles: ControlHandles) -> io::Result<TerminalKeys> {
    restore_on_panic();
    let again = || {
        if in_foreground() {
            let _ = enable_keys();
        }
    };
    let mut keys = TerminalKeys { task: None, _suspend_watch: watch_suspend(restore, again) };
    enable_keys()?;
    let fd = rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?;
    // The newer registration function is unsafe, because it requires that the descriptor stays
    // open. An OwnedFd that only AsyncFd can reach guarantees that.
    #[expect(deprecated, reason = "safe for a descriptor that AsyncFd owns")]
    let fd = AsyncFd::try_with_interest(fd, Interest::READABLE)?;
    keys.task = Some(tokio::task::spawn_local(read_keys(fd, Rc::new(handles))));
    Ok(keys)
}

/// Calls `leave` before the program is suspended, and `again` after it continues.
pub(crate) fn watch_suspend(
    leave: impl Fn() + 'static,
    again: impl Fn() + 'static,
) -> SuspendWatch {
    // Both handlers are installed now: a suspension before that would leave the terminal changed.
    let handler = |number| signal(SignalKind::from_raw(number));
    let (suspends, continues) = (handler(SUSPEND), handler(CONTINUE));
    let suspends = tokio::task::spawn_local(handle_suspend(suspends, leave));
    SuspendWatch([suspends, tokio::task::spawn_local(handle_continue(continues, again))])
}

/// Returns the command of a key.
fn command(key: u8, marks: &mut u32) -> Option<ControlCommand> {
    Some(match key {
        b'p' | b' ' => ControlCommand::Toggle(None),
        b'+' | b'=' => ControlCommand::Nudge(None, 100),
        b'-' => ControlCommand::Nudge(None, -100),
        b'm' => {
            *marks += 1;
            ControlCommand::Mark(format!("mark {marks}"))
        }
        b'?' | b'h' => ControlCommand::Keys,
        _ => return None,
    })
}

async fn read_keys(fd: AsyncFd<OwnedFd>, handles: Rc<ControlHandles>) {
    let mut marks = 0;
    while let Ok(mut ready) = fd.readable().await {
        let mut keys = [0; 64];
        // A read in the background would suspend us, and those keys belong to another program.
        let count =
            if in_foreground() { rustix::io::read(fd.get_ref(), &mut keys).ok() } else { None };
        // The terminal returns 0 if no more keys are available, and also if it is gone.
        ready.clear_ready();
        for key in &keys[..count.unwrap_or(0)] {
            if *key == b'q' {
                // As Ctrl-C; a full queue already holds interrupts.
                let _ = handles.interrupts.try_send(Interrupt::Int);
            } else if let Some(command) = command(*key, &mut marks) {
                let _ = handles.commands.try_send(ControlRequest {
                    command,
                    origin: ControlOrigin::Key,
                    reply: None,
                });
            }
        }
    }
}

/// Handles Ctrl-Z: restores the terminal for the shell, then stops the process.
async fn handle_suspend(suspends: io::Result<Signal>, leave: impl Fn()) {
    let Ok(mut suspends) = suspends else { return };
    while suspends.recv().await.is_some() {
        leave();
        let _ = kill_process(getpid(), Number::STOP);
    }
}

/// Handles the continuation, perhaps in the foreground.
async fn handle_continue(continues: io::Result<Signal>, again: impl Fn()) {
    let Ok(mut continues) = continues else { return };
    while continues.recv().await.is_some() {
        again();
    }
}

/// Whether this process is in the foreground of its own session's terminal.
fn in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}

/// Disables line mode and echo; signal keys still work.
fn enable_keys() -> io::Result<()> {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let found = tcgetattr(stdin())?;
    let mut changed = found.clone();
    changed.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    // A read returns available bytes and never waits, so the terminal's shared file flags need not
    // change.
    changed.special_codes[SpecialCodeIndex::VMIN] = 0;
    changed.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(stdin(), OptionalActions::Now, &changed)?;
    before.get_or_insert(found);
    Ok(())
}

/// Restores the terminal. In the background the shell has done that, and would suspend us.
fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before
        && in_foreground()
    {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            previous_hook(panic);
        }));
    });
}
