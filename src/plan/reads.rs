//! Which variables an archetype reads anywhere.
//!
//! `scenario` doubts those that nothing reads.
//! Invariant: every template of an archetype is asked.

use super::call::Body;
use super::flow::{Archetype, Step};

impl Archetype {
    /// For each variable, whether a template or condition reads it.
    pub fn reads(&self) -> Vec<bool> {
        let mut read = vec![false; self.variables.len()];
        let each = &mut |slot: usize| {
            if let Some(read) = read.get_mut(slot) {
                *read = true;
            }
        };
        self.vars.iter().for_each(|(_, value)| value.reads(each));
        for step in &self.steps {
            match step {
                Step::Set(values) => values.iter().for_each(|(_, value)| value.reads(each)),
                Step::Log(text) => text.reads(each),
                Step::If { condition, .. } => condition.reads(each),
                Step::Count { times, .. } => times.reads(each),
                _ => {}
            }
        }
        for call in &self.calls {
            call.request.path.reads(each);
            call.request.headers.iter().for_each(|(_, value)| value.reads(each));
            if let Body::Template(body) = &call.request.body {
                body.reads(each);
            }
        }
        read
    }
}
