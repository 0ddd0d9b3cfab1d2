//! The tasks of a shard that are prepared for users that have not come.
//!
//! `ahead` fills it, `worker` takes a user's task from it.
//! Invariant: a user has at most one prepared task.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::engine::users::user_task::UserTask;
use crate::ids::WorkloadId;

/// Prepared tasks, and those that will be.
#[derive(Debug, Default)]
pub(crate) struct PrewarmedTasks {
    /// Tasks whose connections are being opened.
    pub(crate) opening: Cell<u64>,
    users: RefCell<TasksByUser>,
}

/// By workload and number of their user of the closed model: the task; `None` while its connections
/// are being opened.
type TasksByUser = BTreeMap<(WorkloadId, u64), Option<Rc<UserTask>>>;

impl PrewarmedTasks {
    /// Whether a user's task is prepared, or will be.
    pub(crate) fn has(&self, workload: WorkloadId, number: u64) -> bool {
        self.users.borrow().contains_key(&(workload, number))
    }

    /// A task begins to open its connections.
    pub(crate) fn begin(&self, workload: WorkloadId, number: Option<u64>) {
        self.opening.set(self.opening.get() + 1);
        if let Some(number) = number {
            self.users.borrow_mut().insert((workload, number), None);
        }
    }

    /// A task has opened its connections. `false` if the user that it was prepared for has come
    /// already, or is not expected any more.
    pub(crate) fn end(
        &self,
        workload: WorkloadId,
        number: Option<u64>,
        task: &Rc<UserTask>,
    ) -> bool {
        self.opening.set(self.opening.get() - 1);
        let Some(number) = number else { return true };
        let mut users = self.users.borrow_mut();
        let place = users.get_mut(&(workload, number));
        place.map(|place| *place = Some(Rc::clone(task))).is_some()
    }

    /// Takes the task that is prepared for a user; `None` if there is none.
    pub(crate) fn take(&self, workload: WorkloadId, number: u64) -> Option<Rc<UserTask>> {
        self.users.borrow_mut().remove(&(workload, number)).flatten()
    }

    /// Keeps the tasks of users with these numbers; returns the other tasks of the workload.
    pub(crate) fn keep(
        &self,
        workload: WorkloadId,
        numbers: Range<u64>,
    ) -> impl Iterator<Item = Rc<UserTask>> + use<> {
        let mut others = Vec::new();
        self.users.borrow_mut().retain(|(id, number), task| {
            let is_kept = *id != workload || numbers.contains(number);
            if !is_kept {
                others.extend(task.take());
            }
            is_kept
        });
        others.into_iter()
    }

    /// Takes all tasks that are prepared.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = Rc<UserTask>> + use<> {
        std::mem::take(&mut *self.users.borrow_mut()).into_values().flatten()
    }
}
