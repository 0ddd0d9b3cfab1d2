//! UTF-8 that comes in pieces, checked as early as possible.
//!
//! `decoder` feeds it the payload of text messages.
//! Invariant: a sequence that no continuation can make valid is reported with the piece it is in.

use crate::stats::FailureKind;

/// A check of text that comes in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8Check {
    /// The beginning of a character whose end has not arrived.
    carry: [u8; 4],
    carried: u8,
}

impl Utf8Check {
    /// Checks the next piece.
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> Result<(), FailureKind> {
        while self.carried > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.carry[usize::from(self.carried)] = byte;
            self.carried += 1;
            match std::str::from_utf8(&self.carry[..usize::from(self.carried)]) {
                Ok(_) => self.carried = 0,
                Err(error) if error.error_len().is_some() => return Err(FailureKind::InvalidUtf8),
                // At most three bytes: four are a character or an error.
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(FailureKind::InvalidUtf8),
            Err(error) => {
                let cut = &piece[error.valid_up_to()..];
                self.carry[..cut.len()].copy_from_slice(cut);
                self.carried = cut.len() as u8;
                Ok(())
            }
        }
    }

    /// Checks that no character is cut off at the end of the text.
    pub(super) fn end(self) -> Result<(), FailureKind> {
        if self.carried == 0 { Ok(()) } else { Err(FailureKind::InvalidUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks pieces of at most `size` bytes; returns the bytes taken before an error.
    fn check(bytes: &[u8], size: usize) -> Result<(), usize> {
        let mut check = Utf8Check::default();
        for (number, piece) in bytes.chunks(size).enumerate() {
            check.feed(piece).map_err(|_| number * size)?;
        }
        check.end().map_err(|_| bytes.len())
    }

    #[test]
    fn errors_are_found_in_the_piece_that_makes_them() {
        let text = "κόσμε \u{10ffff}".as_bytes();
        let too_high = b"\xf4\x90\x80\x80";
        let surrogate = b"ab\xed\xa0\x80";
        for size in 1..8 {
            assert_eq!(check(text, size), Ok(()));
            assert_eq!(check(&text[..text.len() - 1], size), Err(text.len() - 1));
        }
        assert_eq!(check(too_high, 1), Err(1));
        assert_eq!(check(surrogate, 1), Err(3));
        assert_eq!(check(b"\xff", 1), Err(0));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_verdict_of_the_whole(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(0xe2), Just(0x82), Just(0xac), Just(b'a')], 0..20),
            size in 1usize..6,
        ) {
            let whole = std::str::from_utf8(&bytes).is_ok();
            prop_assert_eq!(check(&bytes, size).is_ok(), whole);
        }
    }
}
