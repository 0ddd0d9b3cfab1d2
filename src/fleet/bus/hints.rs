//! Hints that the control record has changed, so that an agent reads it before its next heartbeat.
//!
//! `run` starts one for an agent.
//! Invariant: hints may be lost; nothing but the time to the next heartbeat depends on them.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::address::BusAddress;
use super::connection::connect;
use super::error::BusError;
use super::failure::error_of;
use super::keys::BusKeys;

/// How long a read may take before the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// From a failure to the next attempt to connect.
const RETRY: Duration = Duration::from_secs(1);

/// How long a connection may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A subscription to a run's hints. Dropping it ends its thread.
pub struct BusHints {
    ending: Arc<Ending>,
    thread: Option<JoinHandle<()>>,
}

/// Whether the thread is to end.
#[derive(Default)]
struct Ending {
    is_ending: Mutex<bool>,
    changed: Condvar,
}

impl Ending {
    fn is_ending(&self) -> bool {
        *self.is_ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, at_most: Duration) {
        let guard = self.is_ending.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(guard, at_most, |is_ending| !*is_ending));
    }
}

impl BusHints {
    /// Starts a thread that calls `wake` for each hint, and after each new subscription, since
    /// hints before it are lost.
    ///
    /// # Errors
    /// If the id of the run is not valid, or the system refuses a thread.
    pub fn start(
        address: &BusAddress,
        run: &str,
        wake: impl Fn() + Send + 'static,
    ) -> Result<Self, BusError> {
        let channel = BusKeys::of(run)?.wake();
        let ending = Arc::new(Ending::default());
        let (of_thread, address) = (Arc::clone(&ending), address.clone());
        let shown = address.to_string();
        let listen = move || {
            while !of_thread.is_ending() {
                // A lost connection is opened again.
                let _ = listen(&address, &channel, &of_thread, &wake);
                of_thread.wait(RETRY);
            }
        };
        let started = std::thread::Builder::new().name("bus-hints".to_owned()).spawn(listen);
        let failed = |error: io::Error| BusError::Unreachable {
            address: shown,
            why: error.to_string(),
            cure: "the system refuses another thread: check its limits",
        };
        Ok(Self { ending, thread: Some(started.map_err(failed)?) })
    }
}

impl Drop for BusHints {
    fn drop(&mut self) {
        *self.ending.is_ending.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed.
            let _ = thread.join();
        }
    }
}

fn listen(
    address: &BusAddress,
    channel: &str,
    ending: &Ending,
    wake: &impl Fn(),
) -> Result<(), BusError> {
    let of_library = |error| error_of(address, &error);
    let mut connection = connect(address, TIMEOUT)?;
    let mut subscription = connection.as_pubsub();
    subscription.subscribe(channel).map_err(of_library)?;
    subscription.set_read_timeout(Some(LOOK)).map_err(of_library)?;
    wake();
    while !ending.is_ending() {
        match subscription.get_message() {
            Ok(_) => wake(),
            Err(error) if error.is_timeout() => {}
            Err(error) => return Err(of_library(error)),
        }
    }
    Ok(())
}
