//! Looks up the addresses of all services before the load: a target that the safety limits forbid
//! is found here.
//!
//! `execute` and `dry_run` begin with it.
//! Invariant: a signal ends it; a note names the services that are still looked up.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;

use super::error::RunError;
use crate::clock::{self, Timer};
use crate::engine;
use crate::event::{Interrupt, RunEvent};
use crate::ids::ServiceId;
use crate::plan::{Address, Plan};
use crate::sinks::SinkSet;

/// A look-up that takes longer than this is reported.
const LOOK_UP: Duration = Duration::from_secs(1);

/// The index of a service, and its look-up: the reason if the service may not be reached.
type Pending<'a> = (ServiceId, Pin<Box<dyn Future<Output = Option<String>> + 'a>>);

/// Looks up the addresses of all services.
pub(super) fn before_load(
    plan: &Plan,
    addresses: &[Address],
    sinks: &mut SinkSet,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<(), RunError> {
    let endpoints =
        engine::endpoints(plan, addresses).map_err(|e| RunError::World("cannot set up TLS", e))?;
    let (sender, mut signals) = mpsc::channel(4);
    interrupts(sender);
    let looked_up = clock::block_on(async {
        // All at once: a resolver that does not respond costs its timeout once.
        let mut pending: Vec<Pending<'_>> = Vec::new();
        for (id, endpoint) in ServiceId::number(&endpoints) {
            pending.push((id, Box::pin(endpoint.foresee())));
        }
        let (patient, slow) = (Timer::new(), clock::now() + LOOK_UP);
        let mut is_slow = false;
        while !pending.is_empty() {
            let (at, refused) = tokio::select! {
                ended = poll_fn(|cx| first_ended(&mut pending, cx)) => ended,
                Some(interrupt) = signals.recv() => return Err(RunError::Interrupted(interrupt)),
                () = patient.wait_until(slow), if !is_slow => {
                    is_slow = true;
                    for (id, _) in &pending {
                        let name = &plan.services[*id].name;
                        let note = format!("service `{name}`: waiting for a name server");
                        sinks.publish(&RunEvent::Note(note));
                    }
                    continue;
                }
            };
            let (service, _) = pending.swap_remove(at);
            if let Some(why) = refused {
                let name = &plan.services[service].name;
                return Err(RunError::Forbidden(format!("service `{name}`: {why}")));
            }
        }
        Ok(())
    });
    looked_up.map_err(|e| RunError::World("cannot resolve host names", e))?
}

/// The index of the first look-up that has ended.
fn first_ended(pending: &mut [Pending<'_>], cx: &mut Context<'_>) -> Poll<(usize, Option<String>)> {
    for (at, (_, look_up)) in pending.iter_mut().enumerate() {
        if let Poll::Ready(refused) = look_up.as_mut().poll(cx) {
            return Poll::Ready((at, refused));
        }
    }
    Poll::Pending
}
