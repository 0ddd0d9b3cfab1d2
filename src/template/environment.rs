//! The environment that expressions are compiled in.
//!
//! `expression` compiles in it.
//! Invariant: filters and growing operators are counted in it; `functions` holds the plain ones.

use std::sync::LazyLock;

use minijinja::Environment;

use super::functions::BUILTIN;
use super::{filters, operators};

/// The environment that expressions are compiled in.
pub(super) static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = BUILTIN.clone();
    filters::add_to(&mut env);
    operators::add_to(&mut env);
    env
});
