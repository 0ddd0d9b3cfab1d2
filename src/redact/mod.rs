//! Redacts credentials and secrets: the only module that does.
//!
//! Two rules. Values read by `secret("NAME")` are redacted wherever they appear ([`secrets`]):
//! every output calls it. Values of keys with sensitive names are redacted in texts made of
//! requests, responses or files ([`Redactor`]): `engine` creates one for exemplars, `plan` for the
//! parts of a scenario that reports show. docs/secrets.md lists the names.
//! Invariant: no successful request runs this code.

mod names;
mod redactor;
mod scan;
mod secret;
#[cfg(test)]
mod tests;
mod value;

pub use names::SensitiveNames;
pub use redactor::Redactor;
pub use secret::{MASK, MAX, SHORTEST, SecretRefused, register_secret, secrets};
