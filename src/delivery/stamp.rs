//! The stamp of a message: who sent it, when it was intended and sent, and its place in a channel.
//!
//! A `send` writes it over a placeholder of the same length in the rendered message, a listener
//! finds it in a message of any form.
//! Invariant: every stamp has [`LENGTH`] characters that need no escaping in JSON, XML, URLs and
//! headers, so the size of a message does not depend on its values. Text that only looks like a
//! stamp, such as a random one, hides no stamp of the run.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The characters that a stamp begins with.
const MAGIC: &[u8; 4] = b"mnd1";

/// The bytes of the fields.
const FIELDS: usize = 33;

/// Of these, the bytes before the checksum.
const CHECKED: usize = FIELDS - 2;

/// The length of a stamp, characters.
pub const LENGTH: usize = MAGIC.len() + FIELDS / 3 * 4;

/// The text that a prepared message has in place of its stamp: no stamp reads so, since no run has
/// the number zero.
pub const PLACEHOLDER: &str = "mnd1AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a message says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The run; never zero.
    pub run: u32,
    /// The sender.
    pub publisher: u32,
    /// The channel.
    pub channel: u32,
    /// The number of the message among those of its sender on the channel.
    pub sequence: u32,
    /// The number of the message on the channel; 40 bits.
    pub index: u64,
    /// Intended send, µs of the monotonic clock that all processes of a machine share; 48 bits,
    /// which are 8.9 years.
    pub intended_us: u64,
    /// Actual send − intended send, µs; at most about an hour.
    pub late_us: u32,
}

/// What a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundStamp {
    /// A stamp of this run.
    Own(Stamp),
    /// A stamp of another run.
    Foreign,
    /// None.
    Absent,
}

impl Stamp {
    /// The stamp as text.
    pub fn text(&self) -> [u8; LENGTH] {
        let mut fields = [0; FIELDS];
        fields[..4].copy_from_slice(&self.run.to_be_bytes());
        fields[4..8].copy_from_slice(&self.publisher.to_be_bytes());
        fields[8..12].copy_from_slice(&self.channel.to_be_bytes());
        fields[12..16].copy_from_slice(&self.sequence.to_be_bytes());
        fields[16..21].copy_from_slice(&self.index.to_be_bytes()[3..]);
        fields[21..27].copy_from_slice(&self.intended_us.to_be_bytes()[2..]);
        fields[27..CHECKED].copy_from_slice(&self.late_us.to_be_bytes());
        let checksum = checksum(&fields);
        fields[CHECKED..].copy_from_slice(&checksum);
        let mut text = [0; LENGTH];
        text[..MAGIC.len()].copy_from_slice(MAGIC);
        // The length is exact by definition.
        let _ = URL_SAFE_NO_PAD.encode_slice(fields, &mut text[MAGIC.len()..]);
        text
    }

    /// Writes the stamp over the placeholder in a message; returns false if there is none.
    pub fn write(&self, message: &mut [u8]) -> bool {
        let Some(at) = memchr::memmem::find(message, PLACEHOLDER.as_bytes()) else { return false };
        message[at..at + LENGTH].copy_from_slice(&self.text());
        true
    }

    /// The first stamp of a run in a message of any form.
    #[inline]
    pub fn find(message: &[u8], run: u32) -> FoundStamp {
        let (mut rest, mut found) = (message, FoundStamp::Absent);
        while let Some(at) = memchr::memmem::find(rest, MAGIC) {
            rest = &rest[at + MAGIC.len()..];
            match rest.get(..LENGTH - MAGIC.len()).and_then(Self::decode) {
                Some(stamp) if stamp.run == run => return FoundStamp::Own(stamp),
                Some(_) => found = FoundStamp::Foreign,
                None => {}
            }
        }
        found
    }

    fn decode(text: &[u8]) -> Option<Self> {
        let mut fields = [0; FIELDS];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut fields).ok()?;
        if length != FIELDS || fields[CHECKED..] != checksum(&fields) {
            return None;
        }
        let word = |at: usize| {
            u32::from_be_bytes([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]])
        };
        let half = |at: usize| u64::from(u16::from_be_bytes([fields[at], fields[at + 1]]));
        let stamp = Self {
            run: word(0),
            publisher: word(4),
            channel: word(8),
            sequence: word(12),
            index: u64::from(fields[16]) << 32 | u64::from(word(17)),
            intended_us: half(21) << 32 | u64::from(word(23)),
            late_us: word(27),
        };
        (stamp.run != 0).then_some(stamp)
    }

    /// Actual send, µs of the same clock.
    pub const fn sent_us(&self) -> u64 {
        self.intended_us.saturating_add(self.late_us as u64)
    }
}

/// The checksum of fields: the upper half of their CRC-32C.
fn checksum(fields: &[u8; FIELDS]) -> [u8; 2] {
    let [high, low, ..] = crc32c::crc32c(&fields[..CHECKED]).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp(number: u64) -> Stamp {
        Stamp {
            run: 7,
            publisher: number as u32,
            channel: 3,
            sequence: u32::MAX,
            index: number & 0xff_ffff_ffff,
            intended_us: !number & 0xffff_ffff_ffff,
            late_us: 12,
        }
    }

    #[test]
    fn placeholder_has_the_length_of_a_stamp_and_is_none() {
        assert_eq!(PLACEHOLDER.len(), LENGTH);
        assert_eq!(Stamp::find(PLACEHOLDER.as_bytes(), 0), FoundStamp::Absent);
    }

    #[test]
    fn text_that_looks_like_a_stamp_hides_none() {
        // What a random text of 3,000 letters and digits holds in one of 5,000 messages.
        let random = "x9mnd1Zk3vQ8bT1rLw5yN7uC2eH6gJ0pS4aD8fM1iO3xV9qRtB2z";
        assert_eq!(Stamp::find(random.as_bytes(), 7), FoundStamp::Absent);
        let text = |run| String::from_utf8(Stamp { run, ..stamp(1) }.text().to_vec()).unwrap();
        for before in [random.to_owned(), text(8), "mnd1".to_owned(), text(8)[..20].to_owned()] {
            let message = format!("{before}{}", text(7));
            assert_eq!(Stamp::find(message.as_bytes(), 7), FoundStamp::Own(stamp(1)), "{before}");
        }
        assert_eq!(Stamp::find(format!("{random}{}", text(8)).as_bytes(), 7), FoundStamp::Foreign);
        // A damaged one is none.
        let damaged = text(7).replace(&text(7)[30..31], "_");
        assert_eq!(Stamp::find(damaged.as_bytes(), 7), FoundStamp::Absent);
    }

    proptest! {
        #[test]
        fn stamp_is_found_in_any_message(
            number in any::<u64>(), before in ".{0,40}", after in ".{0,40}"
        ) {
            let mut message = format!("{before}{PLACEHOLDER}{after}").into_bytes();
            let length = message.len();
            prop_assert!(stamp(number).write(&mut message));
            prop_assert_eq!(message.len(), length);
            prop_assert_eq!(Stamp::find(&message, 7), FoundStamp::Own(stamp(number)));
        }

        #[test]
        fn any_bytes_are_searched_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()
        ) {
            let mut message = if magic { b"mnd1mnd1".to_vec() } else { Vec::new() };
            message.extend(bytes);
            let _ = Stamp::find(&message, 7);
        }
    }
}
