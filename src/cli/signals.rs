//! Handles signals that end a run, on a thread of its own for the life of the process.
//!
//! `execute` starts it and sets the listener; setup, load and teardown listen in turn.
//! Invariant: signals are handled even if other threads hang (a disk, a full pipe, a resolver):
//! the first one ends the run in good order, the second one at once, and later ones end the
//! process.
//!
//! Signals that the parent process ignores (`nohup`) stay ignored.

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

/// The signal handler of this process.
#[derive(Clone, Debug)]
pub(super) struct Signals(Arc<SignalState>);

#[derive(Debug, Default)]
struct SignalState {
    /// Receives the next signals.
    listener: Mutex<Option<mpsc::Sender<Interrupt>>>,
    counts: Mutex<SignalCounts>,
    /// Set when nothing should wait any more.
    hurry: Arc<AtomicBool>,
}

/// Counts of received signals.
#[derive(Debug, Default)]
struct SignalCounts {
    /// All signals; SIGQUIT counts twice.
    all: u32,
    /// Signals that no listener received.
    unhandled: u32,
}

impl Signals {
    /// Starts to handle signals: when it returns, no signal ends the process by default any more.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start() -> io::Result<Self> {
        let signals = Self(Arc::default());
        let state = Arc::clone(&signals.0);
        let (ready, started) = std::sync::mpsc::sync_channel::<()>(0);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let _ = clock::block_on(async {
                for (kind, interrupt) in KINDS {
                    // A signal that cannot be handled ends the process, as by default.
                    if host::is_ignored(kind.as_raw_value()) {
                        continue;
                    }
                    let Ok(heard) = signal(kind) else { continue };
                    tokio::task::spawn_local(pass_on(heard, interrupt, Arc::clone(&state)));
                }
                drop(ready);
                std::future::pending::<()>().await;
            });
        })?;
        // The thread drops its end once it handles signals, or if it cannot: either ends the wait.
        let _ = started.recv();
        Ok(signals)
    }

    /// Sends later signals to `listener`, until its receiver is dropped.
    pub(super) fn pass_to(&self, listener: mpsc::Sender<Interrupt>) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// Returns a flag that is set when nothing should wait any more.
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
    /// Counts a signal and passes it on; returns whether the process has to end now.
    fn take(&self, interrupt: Interrupt) -> bool {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let is_heard = listener.as_ref().is_some_and(|to| to.try_send(interrupt).is_ok());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all += if interrupt == Interrupt::Quit { 2 } else { 1 };
        counts.unhandled += u32::from(!is_heard);
        // The second signal does not wait; nor does one that nothing is left to end for.
        if counts.all >= 2 || !is_heard {
            self.hurry.store(true, Relaxed);
        }
        counts.unhandled >= 2 || counts.all > 3
    }
}

/// Ends the process immediately.
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
    fn second_signal_hurries_and_unhandled_signals_end_the_process() {
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
