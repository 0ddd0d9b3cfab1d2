//! Values that the listeners of a user captured, until its next step takes them over.
//!
//! `live_stream` sets them, `iteration` takes them; all streams of a user share them.
//! Invariant: one value per variable is kept, the latest, so that they are bounded.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::template::Value;

/// The values by variable; `None`: the last capture found nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct CapturedValues(Rc<RefCell<BTreeMap<usize, Option<Value>>>>);

impl CapturedValues {
    /// Sets the value of a variable.
    pub(crate) fn set(&self, variable: usize, value: Option<Value>) {
        self.0.borrow_mut().insert(variable, value);
    }

    /// Moves the values to the variables of their user.
    pub(crate) fn take_over(&self, variables: &mut [Option<Value>]) {
        for (variable, value) in self.0.take() {
            variables[variable] = value;
        }
    }
}
