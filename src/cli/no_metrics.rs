//! Metrics in a build without the feature `metrics`: there are none.
//!
//! Stands in for `metrics`.
//! Invariant: same functions, no option.

use std::io;
use std::sync::atomic::AtomicBool;

use crate::plan::Plan;
use crate::sinks::SinkSet;

pub(super) use {NoMetricsArgs as MetricsArgs, NoReceivers as MetricsReceivers};

/// No options.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct NoMetricsArgs {}

/// No receivers.
#[derive(Debug, Default)]
pub(super) struct NoReceivers {}

impl NoMetricsArgs {
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn has_spans(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn ports(&self) -> (Vec<u16>, Option<u16>) {
        (Vec::new(), None)
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the feature")]
    pub(super) fn open(&self, _: &Plan, _: &mut SinkSet) -> io::Result<(NoReceivers, Vec<String>)> {
        Ok((NoReceivers {}, Vec::new()))
    }
}

impl NoReceivers {
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn finish(self, _: &AtomicBool) {}
}
