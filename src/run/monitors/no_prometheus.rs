//! In place of `prometheus` where it was left out of the build.
//!
//! Invariant: whoever asks for it is told so before the load begins.

use crate::stats::{Dial, Unit, Whose};

/// Never there.
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
