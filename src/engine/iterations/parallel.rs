//! Several calls of one user at the same time, as a browser fetches what a page needs.
//!
//! `iteration` calls it for a `parallel` step.
//! Invariant: each branch is a call like any other, intended when the step begins or when the
//! branches that it needs end; waiting for a free connection is blocked time, not lateness.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::clock::{self, Time};
use crate::engine::attempt;
use crate::engine::call::context::CallContext;
use crate::engine::call::prepared::PreparedCall;
use crate::engine::call::timing::{CallEnd, CallTiming};
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::plan::flow::{Branch, Parallel};
use crate::stats::{BlockCause, CallResult};

type RunningBranch<'a> = Pin<Box<dyn Future<Output = (usize, User, CallEnd)> + 'a>>;

/// A `parallel` step that is under way.
struct ParallelRun<'a, 'u> {
    shard: &'a Shard,
    user: &'u mut User,
    /// The timing of the step.
    timing: CallTiming,
    branches: &'a [Branch],
    /// The end of each branch; `None` if it has not end.
    ends: Vec<Option<CallEnd>>,
    has_begun: Vec<bool>,
    running: Vec<RunningBranch<'a>>,
    /// When the last branch end: from then on a waiting one could have begun.
    freed: Time,
}

/// Makes the calls of a `parallel` step; it ends with the last of them.
pub(crate) async fn run<'a>(
    shard: &'a Shard,
    user: &mut User,
    timing: CallTiming,
    parallel: &'a Parallel,
) -> CallEnd {
    let count = parallel.branches.len();
    let mut run = ParallelRun {
        shard,
        user,
        timing,
        branches: &parallel.branches,
        ends: vec![None; count],
        has_begun: vec![false; count],
        running: Vec::new(),
        freed: timing.ready,
    };
    run.begin();
    while !run.running.is_empty() {
        let (branch, child, end) = run.next().await;
        run.end(branch, child, end);
        run.begin();
    }
    run.summary()
}

impl<'a> ParallelRun<'a, '_> {
    fn calls(&self) -> &'a [PreparedCall] {
        &self.shard.flows[self.user.archetype].calls
    }

    /// Begins every branch that can begin now, in their order.
    fn begin(&mut self) {
        let (shard, timing) = (self.shard, self.timing);
        for (index, branch) in self.branches.iter().enumerate() {
            if self.running.len() == Parallel::AT_ONCE {
                return;
            }
            if self.has_begun[index] {
                continue;
            }
            let needed = branch.needs.iter().map(|need| self.ends[*need]);
            let Some(needed) = needed.collect::<Option<Vec<CallEnd>>>() else { continue };
            if !needed.iter().all(|end| end.goes_on) {
                // A branch that it needs failed: it is not made.
                continue;
            }
            let intended = needed.iter().map(|end| end.done).fold(timing.intended, Time::max);
            let ready = needed.iter().map(|end| end.done).fold(timing.ready, Time::max);
            // The first branches have a connection each; later ones wait until one is free.
            let had_room =
                self.has_begun.iter().filter(|begun| **begun).count() < Parallel::AT_ONCE;
            let waits = !had_room && self.freed > ready;
            let (ready, cause) =
                if waits { (self.freed, BlockCause::Parallel) } else { (ready, timing.cause) };
            self.has_begun[index] = true;
            let timing = CallTiming {
                ready,
                cause,
                ..CallTiming::at_once(intended, clock::now().max(ready))
            };
            let mut child = self.child();
            let prepared = &self.calls()[branch.call];
            self.running.push(Box::pin(async move {
                let context = CallContext { shard, prepared, timing: &timing };
                let end = attempt::call(context, &mut child).await;
                (index, child, end)
            }));
        }
    }

    /// A copy of the user, with its variables as they are now.
    fn child(&mut self) -> User {
        let (shard, user) = (self.shard, &mut *self.user);
        let mut child = user.extras().branches.pop().unwrap_or_else(|| User::new(shard));
        child.become_copy(user.snapshot());
        child.variables.clone_from(&user.variables);
        child
    }

    async fn next(&mut self) -> (usize, User, CallEnd) {
        poll_fn(|cx| {
            for (index, running) in self.running.iter_mut().enumerate() {
                if let Poll::Ready(end) = running.as_mut().poll(cx) {
                    drop(self.running.swap_remove(index));
                    return Poll::Ready(end);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Copies the captures of a branch to the user.
    fn end(&mut self, branch: usize, mut child: User, end: CallEnd) {
        let call = &self.calls()[self.branches[branch].call].call;
        let user = &mut *self.user;
        let status = self.shard.plan.archetypes[user.archetype].status;
        for slot in call.captures.iter().map(|capture| capture.variable).chain(status) {
            user.variables[slot] = child.variables[slot].take();
        }
        user.work = user.work.min(child.work);
        user.extras().branches.push(child);
        self.freed = end.done;
        self.ends[branch] = Some(end);
    }

    /// Returns the end of all branches as one call; the iteration continues if all branches
    /// continue and none was left out.
    fn summary(self) -> CallEnd {
        let all = || self.ends.iter().flatten();
        let done = all().map(|end| end.done).fold(self.timing.picked_up, Time::max);
        let goes_on = self.ends.iter().all(|end| end.is_some_and(|end| end.goes_on));
        let stopped = all().find(|end| end.result == CallResult::Unfinished);
        let stopped = stopped.or_else(|| all().find(|end| !end.goes_on));
        CallEnd {
            result: stopped.map_or(CallResult::Ok, |end| end.result),
            done,
            responded: all().all(|end| end.responded),
            goes_on,
        }
    }
}
