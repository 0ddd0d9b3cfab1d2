//! Token streams: what servers of language models answer, in the words of their APIs.
//!
//! `connection` opens them for `/v1/chat/completions`, `/v1/completions`, `/v1/responses` and
//! `/v1/messages`.
//! Invariant: tokens, texts and times of stream n are a function of (seed, n, request), and headers
//! of the response tell them.

mod dialect;
mod event_writer;
mod parts;
mod request;
mod responses;
mod session;
mod settings;

pub(super) use request::TokenRequest;
pub(super) use session::serve;
pub use settings::{TokenCounts, TokenLaws};
