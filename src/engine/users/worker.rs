//! Workers: the pool of light local tasks that run virtual users.
//!
//! Starters assign users to it; each task runs one user after another.
//! Invariant: a task runs at most one user; an identity never outlives its stay.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use crate::engine::shard::Shard;
use crate::engine::users::closed_user::ClosedUser;
use crate::engine::users::user::User;
use crate::engine::users::user_task::{Assignment, UserTask};
use crate::engine::{startup::prewarm, users::open_user};
use crate::ids::WorkloadId;
use crate::pace::Stay;
use crate::trace::trace_event;

/// Whether a user is assigned before it is due, so that its connections can be opened.
fn is_early(shard: &Shard, assignment: &Assignment) -> bool {
    matches!(assignment, Assignment::User(..)) && shard.prewarm_ns() > 0
}

/// Assigns a user to the task that is prepared for it, or to the one that became idle last, whose
/// memory and connections are warm, or to a new one. The caller has made sure that there may be one
/// more user.
pub(crate) fn assign(shard: &Rc<Shard>, assignment: Assignment) {
    let prepared = match &assignment {
        Assignment::User(workload, stay) => shard.prewarmed.take(*workload, stay.number),
        Assignment::Arrival(..) | Assignment::Prewarm(..) => None,
    };
    let idle = prepared.or_else(|| shard.idle_tasks.borrow_mut().pop());
    let task = idle.unwrap_or_else(|| {
        let task = Rc::new(UserTask::default());
        tokio::task::spawn_local(run_task(Rc::clone(shard), Rc::clone(&task)));
        task
    });
    if !is_early(shard, &assignment) {
        shard.user_started();
        if let Assignment::User(workload, stay) = &assignment {
            shard.user_meters[*workload].user_arrived(stay, &shard.recorder);
        }
    }
    task.assign(assignment);
}

/// Makes an idle task whose connections to the services of a workload are open: for its user of the
/// closed model with this number, or for any user.
pub(crate) fn prewarm_task(shard: &Rc<Shard>, workload: WorkloadId, number: Option<u64>) {
    shard.prewarmed.begin(workload, number);
    let task = Rc::new(UserTask::default());
    task.assign(Assignment::Prewarm(workload, number));
    tokio::task::spawn_local(run_task(Rc::clone(shard), task));
}

/// Runs one assignment after another. What comes once for each user is boxed: in place it would
/// double the size of each user's task.
#[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
fn run_task(shard: Rc<Shard>, task: Rc<UserTask>) -> impl Future<Output = ()> {
    async move {
        let _guard = shard.lifecycle.panic_guard();
        let mut user = User::new(&shard);
        trace_event!(DEBUG, "user task started");
        while let Some(assignment) = task.next().await {
            match assignment {
                Assignment::Prewarm(workload, number) => {
                    Box::pin(open_early(&shard, &mut user, workload, number, &task)).await;
                }
                Assignment::User(workload, stay) => {
                    if !task.is_prewarmed() {
                        // Connections that an arrival or another user left open are not its own.
                        user.close_connections();
                    }
                    let stay = if shard.prewarm_ns() > 0 {
                        Box::pin(arrive_early(&shard, &mut user, workload, stay)).await
                    } else {
                        Some(stay)
                    };
                    let prewarmed = task.take_prewarmed();
                    if let Some(stay) = stay {
                        shard.recorder.borrow_mut().record_prewarm_used(prewarmed);
                        ClosedUser::new(&shard, &mut user, workload, stay).run().await;
                        shard.user_meters[workload].user_left(&shard.recorder);
                        shard.user_ended();
                    }
                    shard.idle_tasks.borrow_mut().push(Rc::clone(&task));
                    // Last, so that no observer sees more users at work than are allowed.
                    shard.shared.populations[workload].user_departed();
                }
                Assignment::Arrival(workload, start) => {
                    shard.recorder.borrow_mut().record_prewarm_used(task.take_prewarmed());
                    open_user::run(&shard, &mut user, workload, start).await;
                    shard.idle_tasks.borrow_mut().push(Rc::clone(&task));
                    shard.user_ended();
                    // Last, as above.
                    shard.shared.users[workload.index()].fetch_sub(1, Relaxed);
                }
            }
        }
        trace_event!(DEBUG, "user task ended");
    }
}

/// Opens the connections of a user before it comes; then the task is idle, for that user or any.
async fn open_early(
    shard: &Shard,
    user: &mut User,
    workload: WorkloadId,
    number: Option<u64>,
    task: &Rc<UserTask>,
) {
    let opened = match number {
        Some(number) => prewarm::open_own_connections(shard, user, workload, number).await,
        None => prewarm::open_connections(shard, user, workload).await,
    };
    task.set_prewarmed(opened);
    if !shard.prewarmed.end(workload, number, task) {
        task.close();
    } else if number.is_none() {
        shard.idle_tasks.borrow_mut().push(Rc::clone(task));
    }
}

/// Opens the connections of a user before it is due, and waits until then. Returns its stay;
/// `None` if it is not to start any more.
async fn arrive_early(
    shard: &Shard,
    user: &mut User,
    workload: WorkloadId,
    stay: Stay,
) -> Option<Stay> {
    let meter = &shard.user_meters[workload];
    if prewarm::await_due(shard, user, workload, &stay).await {
        shard.user_started();
        meter.user_arrived(&stay, &shard.recorder);
        return Some(stay);
    }
    if !shard.is_draining() {
        meter.user_never_came(&stay, &shard.recorder);
    }
    None
}

/// Releases memory that can be spared: idle tasks with their connections, buffers, and the room for
/// exemplars.
pub(crate) fn release_idle(shard: &Shard) {
    let idle = std::mem::take(&mut *shard.idle_tasks.borrow_mut());
    idle.into_iter().chain(shard.prewarmed.take_all()).for_each(|task| task.close());
    shard.buffers.clear();
    shard.recorder.borrow_mut().stop_capturing();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function of two arguments returns.
    fn size_of_output<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// What 10,000 users cost: a local variable that lives across an `await` makes each task
    /// larger. tokio adds 96 bytes and rounds up to 128: this fits in 1,152.
    #[test]
    fn task_of_a_user_takes_one_kilobyte() {
        let size = size_of_output(run_task);
        assert!(size <= 1_056, "{size} bytes; what is rare belongs in a box");
    }
}
