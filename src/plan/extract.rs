//! What is looked for in an answer: captures and checks.
//!
//! `scenario` compiles them, `engine::checks` applies them to a kept answer.
//! Invariant: an answer is hostile input: nothing here trusts its size, encoding or shape.

use std::time::Duration;

use super::template::Value;
use crate::seed::Rng;

/// A complete answer, as far as it was kept.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status code.
    pub status: u16,
    /// The raw header block after the status line; empty when nobody asked for it.
    pub head: &'a [u8],
    /// The decoded body; empty when nobody asked for it.
    pub body: &'a [u8],
    /// From dispatch to the last byte.
    pub service: Duration,
}

/// A value kept from an answer.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The variable's slot.
    pub variable: usize,
    /// Its name; a capture that finds nothing is a failed check of this name.
    pub name: String,
    /// Where it is looked for.
    pub source: Source,
}

/// Where a capture looks.
#[derive(Clone, Debug)]
pub enum Source {
    /// A header by name.
    Header(String),
}

/// A condition on an answer.
#[derive(Clone, Debug)]
pub struct Check {
    /// How reports call it: `status is 200`.
    pub name: String,
    /// The condition.
    pub what: What,
}

/// The conditions.
#[derive(Clone, Debug)]
pub enum What {
    /// The status is one of these.
    Status(Vec<u16>),
}

impl Capture {
    /// What it finds; `None` is a failed check.
    pub fn find(&self, _answer: &Answer<'_>, _rng: &mut Rng) -> Option<Value> {
        None
    }
}

impl Check {
    /// Whether it holds.
    pub fn holds(&self, answer: &Answer<'_>) -> bool {
        match &self.what {
            What::Status(wanted) => wanted.contains(&answer.status),
        }
    }
}

impl Source {
    /// Whether it reads headers.
    pub fn needs_head(&self) -> bool {
        matches!(self, Self::Header(_))
    }

    /// Whether it reads the body.
    pub fn needs_body(&self) -> bool {
        false
    }
}

impl What {
    /// Whether it reads headers.
    pub fn needs_head(&self) -> bool {
        false
    }

    /// Whether it reads the body.
    pub fn needs_body(&self) -> bool {
        false
    }

    /// Whether it names this status as wanted.
    pub fn names_status(&self, status: u16) -> bool {
        match self {
            Self::Status(wanted) => wanted.contains(&status),
        }
    }
}
