//! Signals that end a run: heard on a thread of its own, from the first moment to the last.
//!
//! `launch` starts it and says who takes them; setup, load and teardown do in turn.
//! Invariant: whatever else hangs (a disk, a pipe that is not read, a resolver), signals are heard:
//! the first ends what runs in good order, the second at once, and then the process ends.
//!
//! A signal that the parent process ignores (`nohup`) stays ignored.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock;
use crate::event::Interrupt;
use crate::host;
#[cfg(feature = "tui")]
use crate::sinks::tui::terminal;

const KINDS: [(SignalKind, Interrupt); 4] = [
    (SignalKind::interrupt(), Interrupt::Int),
    (SignalKind::terminate(), Interrupt::Term),
    (SignalKind::hangup(), Interrupt::Hup),
    (SignalKind::quit(), Interrupt::Quit),
];

/// The signals of this process.
#[derive(Clone, Debug)]
pub(super) struct Signals(Arc<SignalState>);

#[derive(Debug, Default)]
struct SignalState {
    /// Who takes the next signal.
    listener: Mutex<Option<mpsc::Sender<Interrupt>>>,
    counts: Mutex<SignalCounts>,
    /// Nothing is to be waited for any more.
    hurry: Arc<AtomicBool>,
}

/// How many signals came.
#[derive(Debug, Default)]
struct SignalCounts {
    /// In all; SIGQUIT counts for two.
    all: u32,
    /// While nothing took them.
    unheard: u32,
}

impl Signals {
    /// Begins to hear signals.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn hear() -> io::Result<Self> {
        let signals = Self(Arc::default());
        let state = Arc::clone(&signals.0);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let _ = clock::block_on(async {
                for (kind, interrupt) in KINDS {
                    // One that cannot be heard ends the process as it would have anyway.
                    if host::is_ignored(kind.as_raw_value()) {
                        continue;
                    }
                    let Ok(heard) = signal(kind) else { continue };
                    tokio::task::spawn_local(pass_on(heard, interrupt, Arc::clone(&state)));
                }
                std::future::pending::<()>().await;
            });
        })?;
        Ok(signals)
    }

    /// From now on signals go to `listener`, until its receiver is gone.
    pub(super) fn pass_to(&self, listener: mpsc::Sender<Interrupt>) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// Set once nothing is to be waited for any more.
    pub(super) fn hurry(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.hurry)
    }
}

async fn pass_on(mut signals: Signal, interrupt: Interrupt, state: Arc<SignalState>) {
    while signals.recv().await.is_some() {
        if state.take(interrupt) {
            end_now(interrupt);
        }
    }
}

impl SignalState {
    /// Takes a signal; true when the process has to end now.
    fn take(&self, interrupt: Interrupt) -> bool {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let is_heard = listener.as_ref().is_some_and(|to| to.try_send(interrupt).is_ok());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all += if interrupt == Interrupt::Quit { 2 } else { 1 };
        counts.unheard += u32::from(!is_heard);
        // The second does not wait for anything; nor does one for which nothing is left to end.
        if counts.all >= 2 || !is_heard {
            self.hurry.store(true, Relaxed);
        }
        counts.unheard >= 2 || counts.all > 3
    }
}

/// Ends the process in the middle of whatever it does.
#[expect(clippy::disallowed_methods, reason = "a thread that hangs cannot return an ending")]
fn end_now(interrupt: Interrupt) {
    #[cfg(feature = "tui")]
    terminal::give_back_now();
    std::process::exit(interrupt.exit_status().code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_hurries_and_what_nothing_takes_ends_the_process() {
        let state = SignalState::default();
        let (sender, mut listener) = mpsc::channel(4);
        *state.listener.lock().unwrap() = Some(sender);
        let hurries = || state.hurry.load(Relaxed);
        assert!(!state.take(Interrupt::Term) && !hurries());
        assert!(!state.take(Interrupt::Term) && hurries());
        assert_eq!(listener.try_recv(), Ok(Interrupt::Term));
        assert!(!state.take(Interrupt::Int), "a third may be impatience");
        assert!(state.take(Interrupt::Int));

        let state = SignalState::default();
        assert!(!state.take(Interrupt::Int), "a report is being written");
        assert!(state.take(Interrupt::Int));
        let state = SignalState::default();
        let (sender, _listener) = mpsc::channel(4);
        *state.listener.lock().unwrap() = Some(sender);
        assert!(!state.take(Interrupt::Quit) && state.hurry.load(Relaxed));
    }
}
