//! How a broker breaks the protocol, and the reply code that its connection is closed with.
//!
//! `frames`, `table`, `methods`, `content` and `channel` find it; `session` closes for it.
//! Invariant: each fault has a reply code of AMQP and a kind of failure.

use crate::stats::FailureKind;

/// What is wrong with what a broker sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum AmqpFault {
    /// A frame of an unknown type, without its end, or longer than agreed.
    Frame,
    /// Fields that end too early, or of an unknown type.
    Syntax,
    /// A frame or a method that does not belong here.
    Unexpected,
    /// A frame of a channel that is not open.
    Channel,
    /// A message that is longer than accepted.
    TooLarge,
    /// The broker demands answers and does not read them.
    NoRoom,
}

impl AmqpFault {
    /// The reply code that a connection is closed with.
    pub(super) const fn reply_code(self) -> u16 {
        match self {
            Self::Frame => 501,
            Self::Syntax => 502,
            Self::Unexpected => 505,
            Self::Channel => 504,
            Self::TooLarge => 311,
            Self::NoRoom => 506,
        }
    }

    /// The kind in reports.
    pub(super) const fn kind(self) -> FailureKind {
        match self {
            Self::TooLarge => FailureKind::MessageTooLarge,
            Self::NoRoom => FailureKind::NoRoomForMessage,
            _ => FailureKind::BadReply,
        }
    }
}
