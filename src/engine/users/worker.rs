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
use crate::trace::trace_event;

/// Whether a user is assigned before it is due, so that its connections can be opened.
fn is_early(shard: &Shard, assignment: &Assignment) -> bool {
    matches!(assignment, Assignment::User(..)) && shard.prewarm_ns() > 0
}

/// Assigns a user to the task that became idle last, whose memory and connections are warm, or to a
/// new one. The caller has made sure that there may be one more user.
pub(crate) fn assign(shard: &Rc<Shard>, assignment: Assignment) {
    let idle = shard.idle_tasks.borrow_mut().pop();
    let task = idle.unwrap_or_else(|| {
        let task = Rc::new(UserTask::default());
        tokio::task::spawn_local(run_task(Rc::clone(shard), Rc::clone(&task), None));
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

/// Makes an idle task whose connections to the services of a workload are open.
pub(crate) fn prewarm_task(shard: &Rc<Shard>, workload: WorkloadId) {
    shard.prewarming.set(shard.prewarming.get() + 1);
    tokio::task::spawn_local(run_task(Rc::clone(shard), Rc::default(), Some(workload)));
}

/// Runs one assignment after another; if a workload is given, opens connections to its services
/// first.
async fn run_task(shard: Rc<Shard>, task: Rc<UserTask>, prewarm_for: Option<WorkloadId>) {
    let _guard = shard.lifecycle.panic_guard();
    // Made here: an argument of a task is stored twice.
    let mut user = User::new(&shard);
    if let Some(workload) = prewarm_for {
        // Boxed: it comes once, and would double the size of each user's task.
        Box::pin(prewarm::open_connections(&shard, &mut user, workload)).await;
        shard.prewarming.set(shard.prewarming.get() - 1);
        shard.idle_tasks.borrow_mut().push(Rc::clone(&task));
    }
    trace_event!(DEBUG, "user task started");
    while let Some(assignment) = task.next().await {
        match &assignment {
            Assignment::User(workload, stay) => {
                // Connections that an arrival or another user left open are not this user's.
                user.close_connections();
                if is_early(&shard, &assignment) {
                    // Boxed: it comes once, and would double the size of each user's task.
                    let is_due = Box::pin(prewarm::await_due(&shard, &mut user, *workload, stay));
                    if !is_due.await {
                        if !shard.is_draining() {
                            shard.user_meters[*workload].user_never_came(stay, &shard.recorder);
                        }
                        shard.shared.populations[*workload].user_departed();
                        shard.idle_tasks.borrow_mut().push(Rc::clone(&task));
                        continue;
                    }
                    shard.user_started();
                    shard.user_meters[*workload].user_arrived(stay, &shard.recorder);
                }
                ClosedUser::new(&shard, &mut user, *workload, stay).run().await;
                shard.user_meters[*workload].user_left(&shard.recorder);
            }
            Assignment::Arrival(workload, start) => {
                open_user::run(&shard, &mut user, *workload, start).await;
            }
        }
        shard.idle_tasks.borrow_mut().push(Rc::clone(&task));
        shard.user_ended();
        match assignment {
            // Last, so that no observer sees more users at work than are allowed.
            Assignment::Arrival(workload, _) => {
                shard.shared.users[workload.index()].fetch_sub(1, Relaxed);
            }
            Assignment::User(workload, _) => {
                shard.shared.populations[workload].user_departed();
            }
        }
    }
    trace_event!(DEBUG, "user task ended");
}

/// Releases memory that can be spared: idle tasks with their connections, buffers, and the room for
/// exemplars.
pub(crate) fn release_idle(shard: &Shard) {
    for task in std::mem::take(&mut *shard.idle_tasks.borrow_mut()) {
        task.close();
    }
    shard.buffers.clear();
    shard.recorder.borrow_mut().stop_capturing();
}
