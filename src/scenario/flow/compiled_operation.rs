//! What a step of a protocol other than HTTP compiles to.
//!
//! `operation` and `sql` make it.
//! Invariant: it has what differs between protocols alone.

use crate::plan::RequestBody;
use crate::plan::operation::Operation;

/// What a step compiles to beside the keys that all have.
pub(super) struct CompiledOperation {
    pub(super) operation: Operation,
    /// The name of its series, if the step has none.
    pub(super) name: String,
    /// What policies and limits take for its method: the command of Redis, else the protocol.
    pub(super) method: String,
    pub(super) body: RequestBody,
}
