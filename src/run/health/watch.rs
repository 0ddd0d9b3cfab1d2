//! Health checks during the load, on a thread of their own.
//!
//! `execute` starts them with the load; `dispatch` takes what they find.
//! Invariant: the load never waits for a check; checks end with the load.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::checker::{CheckedBackend, HealthChecker, HealthWire};
use crate::clock;
use crate::event::Order;
use crate::resilience::health::HealthState;
use crate::stats::{Change, ChangeCause, ChangeSubject};

/// How often the thread looks whether the load is over.
const LOOK: Duration = Duration::from_millis(50);

/// Changes that wait for the dispatcher; it takes them at once.
const MAX_WAITING: usize = 64;

/// The health of a backend has changed.
#[derive(Debug)]
pub struct HealthChange {
    /// What takes it out, or in again; `None` for a service with a single address.
    pub order: Option<Order>,
    /// The backend, or the service.
    pub subject: ChangeSubject,
    /// The change.
    pub change: Change,
    /// The checks that caused it.
    pub cause: ChangeCause,
}

/// Checks that are made until this is dropped.
#[derive(Debug, Default)]
pub(in crate::run) struct RunningChecks {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RunningChecks {
    /// Begins to check. `errors`: why backends are unhealthy when the load begins; these are taken
    /// out at once.
    ///
    /// # Errors
    /// If the system refuses a thread, or TLS cannot be set up.
    pub(in crate::run) fn begin(
        checker: HealthChecker,
        errors: Vec<Option<String>>,
    ) -> io::Result<(Self, mpsc::Receiver<HealthChange>)> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let over = Arc::<AtomicBool>::default();
        if checker.is_empty() {
            return Ok((Self { over, thread: None }, receiver));
        }
        let is_over = Arc::clone(&over);
        let thread = std::thread::Builder::new().name("health".to_owned()).spawn(move || {
            // Without a descriptor for its clock there are no checks; the run reports the shortage.
            let _ = clock::block_on(async {
                let Ok(wire) = checker.wire() else { return };
                let backends = checker.backends.iter().zip(errors);
                let all = join_all(
                    backends.map(|(backend, error)| keep_checking(backend, error, &wire, &sender)),
                );
                tokio::select! {
                    _ = all => {}
                    () = ended(&is_over) => {}
                }
            });
        })?;
        Ok((Self { over, thread: Some(thread) }, receiver))
    }
}

impl Drop for RunningChecks {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ready when the load is over.
async fn ended(over: &AtomicBool) {
    while !over.load(Relaxed) {
        clock::sleep_until(clock::now() + LOOK).await;
    }
}

/// Checks a backend, and reports changes of its health.
async fn keep_checking(
    backend: &CheckedBackend,
    error: Option<String>,
    wire: &HealthWire,
    changes: &mpsc::Sender<HealthChange>,
) {
    let policy = &backend.policy;
    let mut state = HealthState::new((policy.rise, policy.fall), error.is_none());
    let mut slot = wire.new_slot();
    if let Some(last) = error {
        let cause = ChangeCause::HealthChecks { checks: 1, last };
        if changes.send(change(backend, false, cause)).await.is_err() {
            return;
        }
    }
    let mut next = clock::now() + policy.every;
    loop {
        clock::sleep_until(next).await;
        let result = wire.check(backend, &mut slot).await;
        let passed = result.is_ok();
        if let Some(checks) = state.observe(passed) {
            let last = result.err().unwrap_or_else(|| "passed".to_owned());
            let cause = ChangeCause::HealthChecks { checks, last };
            if changes.send(change(backend, passed, cause)).await.is_err() {
                return;
            }
        }
        // A check that took longer than the time between two is followed by the next at once.
        next = (next + policy.every).max(clock::now());
    }
}

fn change(backend: &CheckedBackend, is_healthy: bool, cause: ChangeCause) -> HealthChange {
    HealthChange {
        order: backend
            .backend
            .map(|number| Order::BackendHealth(backend.service, number, is_healthy)),
        subject: backend.subject.clone(),
        change: Change::BackendHealth { healthy: is_healthy },
        cause,
    }
}
