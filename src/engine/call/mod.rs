//! The parts of a call: its prepared request, what is looked for in the response, and its end.
//!
//! `attempt` puts them in order.
//! Invariant: no part knows the order of the others.

pub(crate) mod attempts;
mod balanced;
pub(crate) mod body;
pub(crate) mod call_record;
pub(crate) mod checks;
pub(crate) mod conclude;
pub(crate) mod context;
pub(crate) mod cookies;
mod copy;
mod curl;
mod declaration;
mod excerpt;
mod exemplar;
pub(crate) mod generator_error;
pub(crate) mod hedge;
pub(crate) mod operation;
pub(crate) mod prepared;
pub(crate) mod readdressed;
pub(crate) mod redacted;
pub(crate) mod redirect;
pub(crate) mod repeat;
mod repeat_broker;
mod repeat_grpc;
mod repeat_sql;
pub(crate) mod request;
mod request_head;
pub(crate) mod timing;
pub(crate) mod trace;
pub(crate) mod trace_context;
pub(crate) mod transaction;
