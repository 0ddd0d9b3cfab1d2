//! Bodies of responses: decoded, converted to text, and kept for checks and captures.
//!
//! `http1` and `http2` feed it, `extract` reads what is kept.
//! Invariant: kept bodies stay within one memory budget of the process.

pub mod bodies;
pub(crate) mod capture_request;
pub mod charset;
pub mod coding;
pub(crate) mod response_capture;
