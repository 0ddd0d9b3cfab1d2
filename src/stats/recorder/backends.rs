//! Recording by backend: the calls and attempts of services with several addresses.
//!
//! `engine::call` records attempts; the parent module records each call here, too.
//! Invariant: each attempt counts at one backend, each call at that of its last attempt.

use super::{Recorder, record_call};
use crate::clock::RunOffset;
use crate::ids::{ServiceId, StepId};
use crate::stats::delta::BackendWindow;
use crate::stats::sample::{BackendNumber, Sample};

impl Recorder {
    /// Records a call that went to a backend.
    #[cold]
    pub(super) fn record_backend(&mut self, sample: &Sample, is_drain: bool) {
        let Some(backend) = sample.backend else { return };
        if let Some(window) = self.backend_window(sample.step, backend, sample.intended) {
            record_call(&mut window.calls, sample, is_drain);
        }
    }

    /// Records an attempt to a backend; `failed`: the target failed it.
    pub fn record_backend_attempt(
        &mut self,
        step: StepId,
        backend: (ServiceId, BackendNumber),
        intended: RunOffset,
        failed: bool,
    ) {
        if let Some(window) = self.backend_window(step, backend, intended) {
            window.attempts += 1;
            window.failed += u64::from(failed);
        }
    }

    fn backend_window(
        &mut self,
        step: StepId,
        (service, backend): (ServiceId, BackendNumber),
        intended: RunOffset,
    ) -> Option<&mut BackendWindow> {
        let first = *self.shape.backend_places.get(&(step, service))?;
        let window = self.window(intended).backends.get_mut(first + backend.place())?;
        Some(window.get_or_insert_default())
    }
}
