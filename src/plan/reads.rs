//! Variable usage of an archetype: which are read, which depend on responses.
//!
//! `scenario` warns about unread variables; `engine` attributes errors in the others to the
//! target.
//! Invariant: every template of an archetype is visited.

use super::call::{Call, RequestBody};
use super::flow::{Archetype, Step};
use super::listener::ChannelPlan;

impl Archetype {
    /// Returns for each variable whether a template or condition reads it.
    pub fn variables_read(&self) -> Vec<bool> {
        let mut read = vec![false; self.variables.len()];
        let each = &mut |slot: usize| {
            if let Some(read) = read.get_mut(slot) {
                *read = true;
            }
        };
        self.vars.iter().for_each(|(_, value)| value.reads(each));
        self.steps.iter().for_each(|step| step.reads(each));
        for call in &self.calls {
            call.request.path.reads(each);
            call.request.headers.iter().for_each(|(_, value)| value.reads(each));
            if let RequestBody::Template(body) = &call.request.body {
                body.reads(each);
            }
            if let Some(ChannelPlan::Named(name)) = &call.stamp {
                name.reads(each);
            }
            if let Some(step) = &call.stream {
                step.act.reads(each);
            }
            if let Some(operation) = &call.operation {
                operation.reads(each);
            }
        }
        read
    }

    /// Returns the variables that are kept in caches, by slot.
    pub fn cached_variables(&self) -> Vec<usize> {
        let kept = self.steps.iter().filter_map(|step| match step {
            Step::Cached(step) => Some(step.keep.iter().map(|(_, slot)| *slot)),
            _ => None,
        });
        kept.flatten().collect()
    }

    /// Returns for each step whether it computes from a variable that a listener captures in the
    /// background; empty if no listener captures any.
    pub fn steps_that_read_captured(&self) -> Vec<bool> {
        let mut captured = vec![false; self.variables.len()];
        for call in &self.calls {
            let Some(listener) = call.stream.as_ref().and_then(|step| step.act.listener()) else {
                continue;
            };
            let in_replies = listener.replies.iter().flat_map(|reply| &reply.captures);
            for capture in call.captures.iter().chain(in_replies) {
                captured[capture.variable] = true;
            }
        }
        if !captured.contains(&true) {
            return Vec::new();
        }
        let reads_one = |step: &Step| {
            let mut reads_one = false;
            step.reads(&mut |slot| reads_one |= captured.get(slot) == Some(&true));
            reads_one
        };
        self.steps.iter().map(reads_one).collect()
    }

    /// Returns for each variable whether its value may come from a response: captures, the status,
    /// and everything computed from them. `globals` tells it of the variables that `setup` set.
    pub fn variables_from_responses(&self, globals: &[bool]) -> Vec<bool> {
        let mut found = globals.to_vec();
        found.resize(self.variables.len(), false);
        let replies = self.calls.iter().flat_map(Call::replies);
        let in_replies = replies.flat_map(|reply| &reply.captures);
        let captured = self.calls.iter().flat_map(|call| &call.captures).chain(in_replies);
        for slot in captured.map(|capture| capture.variable).chain(self.status) {
            found[slot] = true;
        }
        // In a loop, a variable may depend on one that is set further down.
        loop {
            let mut has_changed = false;
            let sets = self.steps.iter().filter_map(|step| match step {
                Step::Set(values) => Some(values),
                _ => None,
            });
            for (slot, value) in sets.flatten().chain(&self.vars) {
                let mut reads_one = false;
                value.reads(&mut |read| reads_one |= found[read]);
                has_changed |= reads_one && !found[*slot];
                found[*slot] |= reads_one;
            }
            if !has_changed {
                return found;
            }
        }
    }
}

impl Step {
    /// Calls `each` with the variables that the step itself reads; calls are read apart from it.
    fn reads(&self, each: &mut dyn FnMut(usize)) {
        match self {
            Self::Set(values) => values.iter().for_each(|(_, value)| value.reads(each)),
            Self::Log(text) => text.reads(each),
            Self::If { condition, .. } => condition.reads(each),
            Self::Count { times, .. } => times.reads(each),
            Self::Cached(step) => step.key.reads(each),
            Self::Forget(step) => step.key.reads(each),
            _ => {}
        }
    }
}
