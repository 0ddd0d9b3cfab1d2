//! Limits of heads, of both HTTP versions.
//!
//! The readers of responses and of a proxy's replies keep them.
//! Invariant: a head over a limit has a failure kind of its own.

/// The longest head accepted, bytes.
pub(in crate::wire) const MAX_HEAD: usize = 64 << 10;
/// Maximum headers accepted.
pub(in crate::wire) const MAX_HEADERS: usize = 256;
/// Maximum interim (1xx) responses before the final one.
pub(in crate::wire) const MAX_INTERIM: u32 = 16;
