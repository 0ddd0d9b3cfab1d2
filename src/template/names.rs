//! The names of functions, and the names that variables must not have.
//!
//! `scenario` checks names with it, `calls` and `functions` mark calls with [`PREFIX`].
//! Invariant: a marked call is never the name of a variable.

/// Prefix of renamed function calls.
pub(super) const PREFIX: &str = "fn__";

/// The functions that an expression may call.
pub const FUNCTIONS: &[&str] = &[
    "alnum",
    "base64",
    "choice",
    "date",
    "dict",
    "digits",
    "email",
    "env",
    "float",
    "hash",
    "hex",
    "hmac",
    "int",
    "json",
    "jwt",
    "name",
    "now",
    "range",
    "secret",
    "urlencode",
    "uuid",
    "word",
];

/// Names that a variable must not have. Those of the other functions are allowed: a call is
/// distinguished from a variable by its parentheses.
pub const RESERVED: &[&str] = &[
    "user", "choice", "dict", "float", "int", "range", "uuid", "word", "true", "false", "none",
    "True", "False", "None", "not", "and", "or", "in", "is", "if", "else",
];
