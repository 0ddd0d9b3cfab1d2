//! Stands in for `prometheus` in a build without that feature.
//!
//! Invariant: a run that names it ends with an error before the load.

use crate::stats::{Dial, Unit, Whose};

/// A query that cannot be made.
#[derive(Debug)]
pub(super) struct Query;

impl Query {
    /// # Errors
    /// Always.
    pub(super) fn new(url: &str, _: &str) -> Result<Self, String> {
        Err(format!("cannot watch {url}: this manada was built without its feature `watch`"))
    }

    pub(super) fn monitor(&self) -> Dial {
        Dial { name: String::new(), unit: Unit::Plain, whose: Whose::Target }
    }

    pub(super) fn ask(&self) {}

    pub(super) fn read(&self) -> Option<f64> {
        None
    }
}
