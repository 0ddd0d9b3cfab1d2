//! Responses that come in pieces to ordinary calls: when each piece came, and tokens of language
//! models.
//!
//! The readers of both HTTP versions feed a `TokenObserver` where a `CaptureRequest` asks for one.
//! Invariant: calls that ask for none pay nothing; an event, the gaps and all texts are bounded.

pub mod observer;
#[cfg(test)]
mod observer_tests;
pub mod pieces;
pub mod streamed;
