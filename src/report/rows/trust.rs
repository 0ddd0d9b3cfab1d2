//! Reasons for the trust level, as text.
//!
//! Invariant: observed value and limit of a reason have the same unit.

use crate::units::{show_count, show_us};
use crate::verdict::trust::TrustReason;

/// A value of a reason, observed or its limit, in the reason's unit.
pub(crate) fn reason_value(reason: &TrustReason, value: f64) -> String {
    match reason.unit {
        "us" => show_us(value as u64),
        "share" => format!("{:.2} %", value * 100.0),
        _ => show_count(value as u64),
    }
}
