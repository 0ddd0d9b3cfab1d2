//! Why a record cannot be read.
//!
//! Invariant: each error says what to do about it, as far as something can be done.

use std::io;

use crate::event::packed::frame::FrameError;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The file is not a record, or of another version.
    #[error("not a record that this version of manada can read (expected `{expected}`)")]
    Foreign {
        /// The first line of a record of this version.
        expected: String,
    },
    /// The record is of this version, but another build of it wrote entries of other shapes.
    #[error(
        "another build of this version of manada wrote it: the shapes of its entries are \
         `{found}`, expected `{expected}`; read it with the build that wrote it"
    )]
    OtherShapes {
        /// The hash in the record.
        found: String,
        /// The hash of this build.
        expected: String,
    },
    /// The content is corrupt.
    #[error("damaged {0}")]
    Damaged(&'static str),
}

impl From<FrameError> for RecordError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Unreadable(error) => Self::File(error),
            FrameError::Damaged(place) => Self::Damaged(place),
        }
    }
}
