//! Keys of the terminal that a run is started from, while bars are shown.
//!
//! `launch` listens beside the run, on the dispatcher's thread.
//! Invariant: whatever ends or stops the program, the terminal is as it was; in the background
//! nothing of it is touched.

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

/// How the terminal was; there while it is otherwise.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// SIGTSTP and SIGCONT, which tokio has no names for.
const STOP_ASKED: i32 = Number::TSTP.as_raw();
const CONTINUED: i32 = Number::CONT.as_raw();

/// Keys are listened to until this is dropped.
#[derive(Debug)]
pub(crate) struct TerminalKeys {
    hears: Option<JoinHandle<()>>,
    _minds: SuspendWatch,
}

impl Drop for TerminalKeys {
    fn drop(&mut self) {
        self.hears.iter().for_each(JoinHandle::abort);
        restore();
    }
}

/// Stops of the program are minded until this is dropped.
#[derive(Debug)]
pub(crate) struct SuspendWatch([JoinHandle<()>; 2]);

impl Drop for SuspendWatch {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Whether there are keys to listen to.
pub(crate) fn there_are() -> bool {
    isatty(stdin()) && in_foreground()
}

/// Listens to keys.
///
/// # Errors
/// When the terminal cannot be set, or not be waited for.
pub(crate) fn listen(levers: ControlHandles) -> io::Result<TerminalKeys> {
    restore_on_panic();
    let again = || {
        if in_foreground() {
            let _ = enter();
        }
    };
    let mut keys = TerminalKeys { hears: None, _minds: mind(restore, again) };
    enter()?;
    let fd = rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?;
    // The new way to register is unsafe: it asks for a promise that the descriptor stays open. An
    // OwnedFd that nobody else can reach keeps it by itself.
    #[expect(deprecated, reason = "safe for a descriptor that AsyncFd owns")]
    let fd = AsyncFd::try_with_interest(fd, Interest::READABLE)?;
    keys.hears = Some(tokio::task::spawn_local(hear(fd, Rc::new(levers))));
    Ok(keys)
}

/// Gives the terminal back whenever the program is stopped, and takes it again when it goes on.
pub(crate) fn mind(leave: impl Fn() + 'static, again: impl Fn() + 'static) -> SuspendWatch {
    // Both are heard from here on: a stop that nobody minds would leave the terminal as it is.
    let heard = |number| signal(SignalKind::from_raw(number));
    let (stops, returns) = (heard(STOP_ASKED), heard(CONTINUED));
    let stops = tokio::task::spawn_local(mind_stops(stops, leave));
    SuspendWatch([stops, tokio::task::spawn_local(mind_returns(returns, again))])
}

/// The command of a key.
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

async fn hear(fd: AsyncFd<OwnedFd>, levers: Rc<ControlHandles>) {
    let mut marks = 0;
    while let Ok(mut ready) = fd.readable().await {
        let mut keys = [0; 64];
        // To read in the background would stop us; and there the keys are somebody else's.
        let count =
            if in_foreground() { rustix::io::read(fd.get_ref(), &mut keys).ok() } else { None };
        // A terminal that has nothing more says 0, as does one that is gone.
        ready.clear_ready();
        for key in &keys[..count.unwrap_or(0)] {
            if *key == b'q' {
                // As Ctrl-C: a queue that is full has been told.
                let _ = levers.interrupts.try_send(Interrupt::Int);
            } else if let Some(command) = command(*key, &mut marks) {
                let _ = levers.commands.try_send(ControlRequest {
                    command,
                    origin: "key",
                    reply: None,
                });
            }
        }
    }
}

/// Ctrl-Z: the shell gets its terminal back as it was.
async fn mind_stops(stops: io::Result<Signal>, leave: impl Fn()) {
    let Ok(mut stops) = stops else { return };
    while stops.recv().await.is_some() {
        leave();
        let _ = kill_process(getpid(), Number::STOP);
    }
}

/// Back, perhaps in the foreground.
async fn mind_returns(returns: io::Result<Signal>, again: impl Fn()) {
    let Ok(mut returns) = returns else { return };
    while returns.recv().await.is_some() {
        again();
    }
}

/// Whether the terminal listens to us. Another one than our session's own does not.
fn in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}

/// Keys come one by one and unseen; what sends signals still does.
fn enter() -> io::Result<()> {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let found = tcgetattr(stdin())?;
    let mut ours = found.clone();
    ours.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    // A read takes what is there and never waits: nobody else's flags on the terminal change.
    ours.special_codes[SpecialCodeIndex::VMIN] = 0;
    ours.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(stdin(), OptionalActions::Now, &ours)?;
    before.get_or_insert(found);
    Ok(())
}

/// The terminal as it was. In the background the shell has seen to that, and would stop us.
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
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            told(panic);
        }));
    });
}
