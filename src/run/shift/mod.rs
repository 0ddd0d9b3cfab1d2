//! A shift of load from one target to another: `law` decides, `controller` carries it out,
//! `command` runs the shell commands around its steps.
//!
//! `dispatch` calls the controller once a second.
//! Invariant: the law knows no clock and starts no process.

mod command;
mod controller;
mod law;

pub(super) use controller::{ShiftController, ShiftOrder};
