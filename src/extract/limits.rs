//! The limits of captures and checks, and the error of exceeding one.
//!
//! The files of this module enforce them.
//! Invariant: a body within these limits takes bounded memory and time.

/// Maximum bytes of a captured value; a larger one counts as not found.
pub const MAX_CAPTURE: usize = 64 << 10;

/// The longest body that a regular expression searches: 8 MiB.
pub(super) const MAX_SEARCHED: usize = 8 << 20;

/// Maximum bytes that one capture searches with a regular expression, over all its matches: each
/// may search to the end of the body.
pub(super) const MAX_SEARCHES: usize = 1 << 30;

/// Maximum values of a JSON body: each takes 72 bytes of memory, and may take only one byte of the
/// body.
pub(super) const MAX_JSON: usize = 2_000_000;

/// A limit on the work, or on the response, was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooComplex;
