//! The work of expressions, counted.
//!
//! `expression` sets a budget for each evaluation; `operators`, `filters` and `functions` charge it
//! before they do work that grows with their operands.
//! Invariant: an evaluation does at most [`MAX_WORK`] units of work, an iteration
//! [`MAX_ITERATION_WORK`]; a stored value has at most [`MAX_VALUE`] and [`MAX_DEPTH`].

use std::cell::Cell;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// Maximum work of one evaluation. A unit is a byte read or written; each item counts `ITEM`.
pub const MAX_WORK: u32 = 64 << 20;

/// Maximum work of all expressions of one iteration, in the same units.
pub const MAX_ITERATION_WORK: u32 = 1 << 30;

/// The largest value of a variable: 1 MiB, in the same units.
pub const MAX_VALUE: u64 = 1 << 20;

/// The deepest nesting of a value; JSON from a response is not deeper.
pub const MAX_DEPTH: usize = 130;

/// Units of an item of a list or map, in addition to its bytes.
pub const ITEM: u64 = 16;

thread_local! {
    /// The remaining work of the running evaluation on this thread.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// A limit that a value or an evaluation exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkLimit {
    Work,
    Depth,
}

/// Runs an evaluation with at most [`MAX_WORK`] of its iteration's remaining work, and subtracts
/// what it used from `left`.
pub(super) fn within<T>(left: &mut u32, evaluation: impl FnOnce() -> T) -> T {
    let allowed = (*left).min(MAX_WORK);
    LEFT.set(u64::from(allowed));
    let result = evaluation();
    // What was used is no more than what was left, and fits.
    *left -= allowed - LEFT.get() as u32;
    result
}

/// Charges `units` to the evaluation, before the work is done.
///
/// # Errors
/// [`ErrorKind::OutOfFuel`] if less is left.
pub(super) fn charge(units: u64) -> Result<(), Error> {
    match LEFT.get().checked_sub(units) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => {
            LEFT.set(0);
            Err(WorkLimit::Work.into())
        }
    }
}

/// Charges `count` times `each`.
///
/// # Errors
/// As [`charge`].
pub(super) fn charge_product(count: u64, each: u64) -> Result<(), Error> {
    charge(count.saturating_mul(each))
}

/// Charges the weight of a value: the work of writing it once.
///
/// # Errors
/// As [`charge`], and if the value is nested too deep.
pub(super) fn charge_value(value: &Value) -> Result<(), Error> {
    let mut left = LEFT.get();
    let weighed = weigh(value, 2 * MAX_DEPTH, &mut left);
    LEFT.set(left);
    Ok(weighed?)
}

/// Subtracts the weight of `value` from `left`; stops as soon as it is exhausted.
pub(super) fn weigh(value: &Value, depth: usize, left: &mut u64) -> Result<(), WorkLimit> {
    let bytes = match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len) as u64,
        ValueKind::Bytes => value.len().unwrap_or(0) as u64,
        _ => 0,
    };
    match left.checked_sub(ITEM + bytes) {
        Some(rest) => *left = rest,
        None => {
            *left = 0;
            return Err(WorkLimit::Work);
        }
    }
    let kind = value.kind();
    if !matches!(kind, ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Ok(());
    }
    if depth == 0 {
        return Err(WorkLimit::Depth);
    }
    let Ok(items) = value.try_iter() else { return Ok(()) };
    for item in items {
        weigh(&item, depth - 1, left)?;
        if kind == ValueKind::Map
            && let Ok(item) = value.get_item(&item)
        {
            weigh(&item, depth - 1, left)?;
        }
    }
    Ok(())
}

impl std::fmt::Display for WorkLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Work => f.write_str("an expression exceeds its limit of work or size"),
            Self::Depth => f.write_str("a value that is nested too deeply"),
        }
    }
}

impl From<WorkLimit> for Error {
    fn from(limit: WorkLimit) -> Self {
        Self::new(ErrorKind::OutOfFuel, limit.to_string())
    }
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
