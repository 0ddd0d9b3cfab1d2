//! The policies of the simulated client: `client:` and its blocks.
//!
//! `compile` calls it with the fields of a scenario.
//! Invariant: a block merges key by key over its defaults.

pub(crate) mod attempts;
mod block;
pub(crate) mod breakers;
pub(crate) mod degradation;
pub(crate) mod policies;
pub(crate) mod pools;
#[cfg(test)]
mod tests;
