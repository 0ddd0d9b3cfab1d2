//! Shapes of values that several nouns share.
//!
//! Invariant: a shape that only one noun has stands beside it.

use crate::plan::policy::Priority;
use crate::scenario::nouns::noun::ValueShape::{self, Fixed, Words};
use crate::scenario::nouns::noun::{MapKeys, MapShape, words};

/// The values of a `priority`.
pub(crate) const PRIORITY: ValueShape = Words(&words(&Priority::NAMES));

/// Tags: at most 32.
pub(crate) const TAGS: ValueShape =
    ValueShape::Map(MapShape { keys: MapKeys::Any, values: &Fixed, min: 0, max: Some(32) });
