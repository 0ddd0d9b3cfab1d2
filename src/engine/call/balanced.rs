//! The attempts of a call to a service with several backends: each goes to one of them.
//!
//! `attempt` comes here for such calls; all others pay one look for it.
//! Invariant: an attempt counts as in flight at one backend from its choice to its end; an attempt
//! after a failed one goes to another backend, if one is left.

use std::time::Duration;

use super::attempts::{CallAttempts, NextAttempt};
use super::cookies;
use super::readdressed::readdress;
use crate::clock::{self, Time};
use crate::engine::resilience::record_change;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::ids::ServiceId;
use crate::plan::backends::BalanceMode;
use crate::resilience::BackendGroup;
use crate::resilience::balance::EjectionChange;
use crate::stats::sample::BackendNumber;
use crate::stats::{AttemptOutcome, Change, ChangeCause, ChangeSubject, TransitionCause};
use crate::wire::Outgoing;

impl CallAttempts<'_> {
    /// Makes the attempts, each to the backend that balancing chooses.
    pub(crate) async fn make_balanced(&mut self, user: &mut User) {
        let (shard, prepared) = (self.context.shard, self.context.prepared);
        let (service, front) = (prepared.call.service, self.outgoing);
        let Some(group) = shard.shared.backends.group(service) else { return };
        let (mut before, mut bytes) = (None, shard.buffers.take());
        loop {
            let backend = choose(shard, user, (service, group), before);
            let to = group.service(backend);
            let (first, other) = (&shard.target_texts[service], &shard.target_texts[to]);
            let mut outgoing = Outgoing { service: to, ..front };
            if backend > 0 {
                readdress(front.bytes, first, other, &mut bytes);
                outgoing.bytes = &bytes;
            }
            group.begin(backend);
            let mut attempts = self.with_request(outgoing);
            let next = attempts.make_one(user).await;
            group.end(backend);
            if next != NextAttempt::NotMade {
                attempts.last.backend = Some(BackendNumber::new(backend));
                attempts.observe_backend(user, (service, group, backend));
            }
            let lent = attempts;
            self.take_back(lent);
            if next != NextAttempt::Due {
                break;
            }
            before = Some(backend);
        }
        shard.buffers.give_back(bytes);
    }

    /// Counts an attempt at its backend, and lets the backend's ejection follow from it.
    fn observe_backend(
        &self,
        user: &mut User,
        (service, group, backend): (ServiceId, &BackendGroup, usize),
    ) {
        let shard = self.context.shard;
        let (outcome, done) = (self.last.outcome, self.last.done);
        let failed = shard.resilience.is_failure(outcome);
        shard.recorder.borrow_mut().record_backend_attempt(
            user.step(self.context.prepared.call.series),
            (service, BackendNumber::new(backend)),
            self.outgoing.intended,
            failed,
        );
        if let BalanceMode::StickyCookie(_) = group.balance()
            && let Some(jar) = &user.jar
        {
            jar.borrow_mut().set_backend(service, backend);
        }
        // What the generator broke off says nothing of the backend.
        let says = !matches!(
            outcome,
            AttemptOutcome::Unfinished(_) | AttemptOutcome::Own(_) | AttemptOutcome::Suppressed(_)
        );
        let now_ns = done.since(shard.start);
        if says && let Some(change) = group.observe(backend, now_ns, failed) {
            record_ejection(shard, (service, backend), (change, Some(outcome)), done);
        }
    }
}

/// Chooses a backend; `before` is the one of the attempt before.
fn choose(
    shard: &Shard,
    user: &User,
    (service, group): (ServiceId, &BackendGroup),
    before: Option<usize>,
) -> usize {
    let now = clock::now();
    let now_ns = now.since(shard.start);
    for backend in 0..group.size() {
        if let Some(change) = group.take_return(backend, now_ns) {
            record_ejection(shard, (service, backend), (change, None), now);
        }
    }
    if let BalanceMode::StickyCookie(name) = group.balance()
        && let Some(stuck) = stuck_backend(shard, user, service, name)
        && Some(stuck) != before
        && stuck < group.size()
        && group.is_in(stuck, now_ns)
    {
        return stuck;
    }
    let mut weights = shard.buffers.weights();
    group.choose((now_ns, user.number, shard.resilience.draw()), before, &mut weights)
}

/// The backend of the user's last call, if the user has the cookie.
fn stuck_backend(shard: &Shard, user: &User, service: ServiceId, cookie: &str) -> Option<usize> {
    let backend = user.jar.as_ref()?.borrow().backend(service)?;
    let to = shard.shared.backends.group(service)?.service(backend);
    let has_cookie = cookies::readable(shard, user, to).iter().any(|(name, _)| name == cookie);
    has_cookie.then_some(backend)
}

/// Records that a backend was ejected, or is used again.
#[cold]
fn record_ejection(
    shard: &Shard,
    (service, backend): (ServiceId, usize),
    (change, last): (EjectionChange, Option<AttemptOutcome>),
    now: Time,
) {
    let names = shard.plan.backend_names(service);
    let subject = ChangeSubject::Backend {
        service: shard.plan.services[service].name.clone(),
        backend: names.get(backend).cloned().unwrap_or_default(),
    };
    let (change, cause) = match change {
        EjectionChange::Ejected { for_ns, failures } => {
            let why = TransitionCause::InARow { failures };
            let lasts = Duration::from_nanos(for_ns);
            (Change::BackendEjected { lasts }, ChangeCause::Breaker { why, last })
        }
        EjectionChange::Returned => (Change::BackendReturned, ChangeCause::EjectionOver),
    };
    record_change(shard, subject, change, cause, now);
}
