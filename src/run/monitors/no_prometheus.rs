//! Stands in for `prometheus` in a build without that feature.
//!
//! Invariant: a run that names a Prometheus server ends with an error before the load.

use super::error::MonitorError;
use crate::stats::Monitor;

/// A query, of which there is none in this build.
#[derive(Debug)]
pub(super) enum Query {}

impl Query {
    /// # Errors
    /// Always.
    pub(super) fn new(url: &str, query: &str) -> Result<Self, MonitorError> {
        let reason = "this binary was built without the feature `monitor`".to_owned();
        Err(MonitorError::Unavailable { monitor: format!("`{query}` at {url}"), reason })
    }

    pub(super) fn monitor(&self) -> Monitor {
        match *self {}
    }

    pub(super) fn ask(&self) {
        match *self {}
    }

    pub(super) fn read(&self) -> Option<f64> {
        match *self {}
    }
}
