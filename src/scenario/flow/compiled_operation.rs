//! What a step of a protocol other than HTTP compiles to.
//!
//! `operation` and `sql` make it.
//! Invariant: it has what differs between protocols alone.

use crate::plan::RequestBody;
use crate::plan::operation::Operation;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;

/// What a step compiles to beside the keys that all have.
pub(super) struct CompiledOperation {
    pub(super) operation: Operation,
    /// The name of its series, if the step has none.
    pub(super) name: String,
    /// What policies and limits take for its method: the command of Redis, else the protocol.
    pub(super) method: String,
    pub(super) body: RequestBody,
}

/// Takes the one key of an operation that its fields have; the operation is one of a broker of this
/// name. None or several are a mistake. Returns also the fields that are left.
pub(super) fn only_key<'n>(
    diagnostics: &mut Diagnostics,
    (value, broker): (&Node, &str),
    mut fields: Fields<'n>,
    keys: &[&'static str],
) -> Option<(Fields<'n>, &'static str, &'n Node)> {
    let given = keys.iter().filter_map(|key| fields.take(key).map(|node| (*key, node)));
    let mut given: Vec<_> = given.collect();
    if let (Some((key, node)), true) = (given.pop(), given.is_empty()) {
        return Some((fields, key, node));
    }
    fields.finish(diagnostics);
    diagnostics
        .mistake(value.span, format!("an operation of {broker} is one of its keys"))
        .expected(format!("one of {}", values::list_names(keys)));
    None
}
