//! The nouns of the language: one field table for each.
//!
//! A table feeds the reader (`syntax::fields`), the JSON Schema (`schema`) and the reference page
//! of the documentation (`reference`). To add a key, add its line here and read it where its noun
//! is compiled.
//! Invariant: readers know no other keys than those of the tables; `syntax::fields` panics in
//! tests when one does.

pub(crate) mod attempts;
pub(crate) mod brokers;
pub(crate) mod cache;
pub(crate) mod client;
pub(crate) mod copy;
pub(crate) mod good;
pub(crate) mod grpc;
pub(crate) mod grpc_service;
pub(crate) mod k6;
pub(crate) mod kafka;
pub(crate) mod laws;
pub(crate) mod load;
pub(crate) mod noun;
pub(crate) mod operations;
pub(crate) mod plain_steps;
pub(crate) mod pools;
pub(crate) mod prices;
pub(crate) mod reactions;
pub(crate) mod responses;
pub(crate) mod safety;
pub(crate) mod scenario;
pub(crate) mod schedule;
pub(crate) mod services;
pub(crate) mod shift;
pub(crate) mod sql;
pub(crate) mod stages;
pub(crate) mod steps;
pub(crate) mod streams;
pub(crate) mod users;
pub(crate) mod values;
