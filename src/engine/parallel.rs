//! Several calls of one user at the same time, as a browser fetches what a page needs.
//!
//! `walk` comes here for a `parallel` step.
//! Invariant: each branch is a call like any other, intended at the fork or at the end of what it
//! needs; waiting for a free connection is blocked time, not lateness.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::attempt::{self, CallEnd, CallTiming};
use super::iteration::IterationRunner;
use super::shard::Shard;
use super::user::User;
use crate::clock::{self, Time};
use crate::plan::flow::{Branch, Parallel};
use crate::stats::{BlockCause, CallResult};

type RunningBranch<'a> = Pin<Box<dyn Future<Output = (usize, User, CallEnd)> + 'a>>;

/// The branches of one step.
struct ParallelRun<'a, 'w> {
    walk: &'w mut IterationRunner<'a>,
    branches: &'a [Branch],
    /// How each branch that was begun has ended.
    ended: Vec<Option<CallEnd>>,
    begun: Vec<bool>,
    running: Vec<RunningBranch<'a>>,
    /// When the last branch ended: from then on a waiting one could have begun.
    freed: Time,
}

/// Makes the calls of `parallel`; the end of all is the end of the last.
pub(super) async fn calls<'a>(walk: &mut IterationRunner<'a>, parallel: &'a Parallel) -> CallEnd {
    let count = parallel.branches.len();
    let freed = walk.timing.ready;
    let mut fork = ParallelRun {
        walk,
        branches: &parallel.branches,
        ended: vec![None; count],
        begun: vec![false; count],
        running: Vec::new(),
        freed,
    };
    fork.begin();
    while !fork.running.is_empty() {
        let (branch, child, ended) = fork.next().await;
        fork.end(branch, child, ended);
        fork.begin();
    }
    fork.whole()
}

impl ParallelRun<'_, '_> {
    /// Begins every branch that can begin now, in order.
    fn begin(&mut self) {
        let fork = self.walk.timing;
        for (index, branch) in self.branches.iter().enumerate() {
            if self.running.len() == Parallel::AT_ONCE {
                return;
            }
            if self.begun[index] {
                continue;
            }
            let needed = branch.needs.iter().map(|need| self.ended[*need]);
            let Some(needed) = needed.collect::<Option<Vec<CallEnd>>>() else { continue };
            if !needed.iter().all(|end| end.goes_on) {
                // What it needs is not there: it is not made.
                continue;
            }
            let intended = needed.iter().map(|end| end.done).fold(fork.intended, Time::max);
            let ready = needed.iter().map(|end| end.done).fold(fork.ready, Time::max);
            // The first ones have a connection waiting; later ones wait for one to be free.
            let had_room = self.begun.iter().filter(|begun| **begun).count() < Parallel::AT_ONCE;
            let waits = !had_room && self.freed > ready;
            let (ready, cause) =
                if waits { (self.freed, BlockCause::Parallel) } else { (ready, fork.cause) };
            self.begun[index] = true;
            let turn = CallTiming {
                ready,
                cause,
                ..CallTiming::at_once(intended, clock::now().max(ready))
            };
            let shard = self.walk.shard;
            let mut child = self.child();
            let prepared = &self.walk.flow().calls[branch.call];
            self.running.push(Box::pin(async move {
                let ended = attempt::call(shard, &mut child, prepared, &turn).await;
                (index, child, ended)
            }));
        }
    }

    /// Another self of the user, with what its variables are now.
    fn child(&mut self) -> User {
        let shard: &Shard = self.walk.shard;
        let user = &mut *self.walk.user;
        let mut child = user.extras().branches.pop().unwrap_or_else(|| User::new(shard));
        child.split_off(user);
        child.variables.clone_from(&user.variables);
        child
    }

    async fn next(&mut self) -> (usize, User, CallEnd) {
        poll_fn(|cx| {
            for (index, running) in self.running.iter_mut().enumerate() {
                if let Poll::Ready(ended) = running.as_mut().poll(cx) {
                    drop(self.running.swap_remove(index));
                    return Poll::Ready(ended);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// What a branch captured is the user's.
    fn end(&mut self, branch: usize, mut child: User, ended: CallEnd) {
        let call = &self.walk.flow().calls[self.branches[branch].call].call;
        let user = &mut *self.walk.user;
        let status = self.walk.shard.plan.archetypes[user.archetype].status;
        for slot in call.captures.iter().map(|capture| capture.variable).chain(status) {
            user.variables[slot] = child.variables[slot].take();
        }
        user.work = user.work.min(child.work);
        user.extras().branches.push(child);
        self.freed = ended.done;
        self.ended[branch] = Some(ended);
    }

    /// All branches as one call: it goes on when all do and none was left out.
    fn whole(self) -> CallEnd {
        let all = || self.ended.iter().flatten();
        let done = all().map(|end| end.done).fold(self.walk.timing.picked_up, Time::max);
        let goes_on = self.ended.iter().all(|end| end.is_some_and(|end| end.goes_on));
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
