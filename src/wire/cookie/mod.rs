//! Cookies of a user (RFC 6265).
//!
//! `engine` keeps a jar for each user.
//! Invariant: number and size of cookies are bounded, whatever a target sends.

pub mod date;
pub mod jar;
