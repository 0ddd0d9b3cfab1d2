//! Reads the value of a field by the shape that its field table says.
//!
//! `fields` calls it for the type that a reader asks for.
//! Invariant: the range of a value stands in the field table alone.

use std::time::Duration;

use crate::scenario::nouns::noun::ValueShape;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::units::Rate;

/// A type that fields can be read as.
pub(crate) trait FieldValue: Sized {
    /// Reads a value of this shape; `None` after a mistake.
    ///
    /// # Panics
    /// If a value of this shape is never of this type: reader and field table do not match.
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self>;
}

impl FieldValue for bool {
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self> {
        match shape {
            ValueShape::Truth => values::boolean(diagnostics, node),
            _ => mismatch(shape),
        }
    }
}

/// A count, or bytes, or bytes per second.
impl FieldValue for u64 {
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self> {
        match shape {
            ValueShape::Count(low, high) => values::count(diagnostics, node, *low, *high),
            ValueShape::Size => values::size(diagnostics, node),
            ValueShape::Bandwidth => values::bandwidth(diagnostics, node),
            _ => mismatch(shape),
        }
    }
}

impl FieldValue for u32 {
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self> {
        u64::read(diagnostics, node, shape).and_then(|count| Self::try_from(count).ok())
    }
}

impl FieldValue for usize {
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self> {
        u64::read(diagnostics, node, shape).and_then(|count| Self::try_from(count).ok())
    }
}

/// A number, a weight, a share (0 to 1) or a percentile (50 to 100).
impl FieldValue for f64 {
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self> {
        match shape {
            ValueShape::Number(low, high) => match node.kind {
                NodeKind::Number(_, number) if (*low..=*high).contains(&number) => Some(number),
                _ => report_wrong(diagnostics, node, format!("a number from {low} to {high}")),
            },
            ValueShape::Weight => values::weight(diagnostics, node),
            ValueShape::Share(such_as) => values::share(diagnostics, node, such_as),
            ValueShape::Percentile => values::percentile(diagnostics, node),
            _ => mismatch(shape),
        }
    }
}

impl FieldValue for Duration {
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self> {
        match shape {
            ValueShape::Duration => values::duration(diagnostics, node),
            ValueShape::PositiveDuration => values::positive_duration(diagnostics, node),
            _ => mismatch(shape),
        }
    }
}

impl FieldValue for Rate {
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self> {
        match shape {
            ValueShape::Rate => values::rate(diagnostics, node),
            _ => mismatch(shape),
        }
    }
}

/// A value that a reader keeps as `Some`.
impl<T: FieldValue> FieldValue for Option<T> {
    fn read(diagnostics: &mut Diagnostics, node: &Node, shape: &ValueShape) -> Option<Self> {
        T::read(diagnostics, node, shape).map(Some)
    }
}

fn mismatch(shape: &ValueShape) -> ! {
    panic!("the reader of a field expects another shape than {shape:?}")
}
