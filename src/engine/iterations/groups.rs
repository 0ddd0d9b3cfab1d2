//! The groups of an iteration: steps that are timed as one.
//!
//! `iteration` opens and closes them.
//! Invariant: a group that was opened is recorded once, also if it does not end.

use crate::clock::RunOffset;
use crate::engine::iterations::iteration::IterationRunner;
use crate::engine::users::user::OpenGroup;

impl IterationRunner<'_> {
    /// Records a group that ended: from its beginning to the end of its last call, without thinks.
    pub(super) fn record_group(&mut self, group: &OpenGroup) {
        let thought_ns = self.thought_before_ns.saturating_sub(group.thought_ns);
        let took_ns = self.done.since(group.intended).saturating_sub(thought_ns);
        let intended = RunOffset::of(group.intended, self.shard.start);
        let group = self.user.group(group.id);
        self.shard.recorder.borrow_mut().record_group(group, intended, Some(took_ns));
    }

    /// Records the group that was opened last as one that does not end.
    pub(super) fn abandon_group(&mut self) {
        let Some(group) = self.user.extras().groups.pop() else { return };
        let intended = RunOffset::of(group.intended, self.shard.start);
        let group = self.user.group(group.id);
        self.shard.recorder.borrow_mut().record_group(group, intended, None);
    }

    /// Records the groups that have begun and will not end.
    pub(super) fn record_open_groups(&mut self) {
        let Some(extras) = &mut self.user.extras else { return };
        for group in std::mem::take(&mut extras.groups) {
            let intended = RunOffset::of(group.intended, self.shard.start);
            let group = self.user.group(group.id);
            self.shard.recorder.borrow_mut().record_group(group, intended, None);
        }
    }
}
