//! The first line of a record: its version, and the hash of the shapes of its entries.
//!
//! `writer` writes it, `reader` checks it.
//! Invariant: the version changes whenever the content of frames changes; the hash proves it.

use super::entry::RecordEntry;
use super::error::RecordError;
use crate::event::packed::Shape;
use crate::event::packed::frame::checksum;

/// The version that is written. It changes when the content of frames changes.
pub(crate) const VERSION: u32 = 10;

/// The oldest version that is read. Versions before 8 have no hash.
const OLDEST: u32 = 7;

/// Former versions that are read, and their hashes.
const FORMER: [(u32, &str); 2] = [(8, "23d0a004"), (9, "bf9379ef")];

/// The longest first line, bytes.
pub(super) const MAX_LINE: u64 = 64;

/// The hash of the shapes of all entries.
pub(super) fn shapes() -> String {
    let mut shape = Shape::default();
    RecordEntry::describe(&mut shape);
    format!("{:08x}", checksum(shape.as_str().as_bytes()))
}

/// The first line.
pub(super) fn line() -> String {
    format!("manada record {VERSION} shapes {}\n", shapes())
}

/// Reads the version from the first line of a record.
///
/// # Errors
/// If it is no record, or of a version or with shapes that are not read.
pub(super) fn version(line: &[u8]) -> Result<u32, RecordError> {
    let foreign = || RecordError::Foreign { expected: self::line().trim().to_owned() };
    let line = std::str::from_utf8(line).map_err(|_| foreign())?;
    let mut words = line.strip_prefix("manada record ").unwrap_or_default().split_whitespace();
    let version = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let (word, hash) = (words.next(), words.next());
    match version {
        _ if !line.ends_with('\n') => Err(foreign()),
        OLDEST if word.is_none() => Ok(version),
        _ if word == Some("shapes") && FORMER.contains(&(version, hash.unwrap_or_default())) => {
            Ok(version)
        }
        VERSION if word == Some("shapes") => match hash.unwrap_or_default() {
            hash if hash == shapes() => Ok(version),
            found => Err(RecordError::OtherShapes { found: found.to_owned(), expected: shapes() }),
        },
        _ => Err(foreign()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of [`VERSION`].
    const SHAPES: &str = "21cdc0dd";

    #[test]
    fn version_changes_with_the_shape_of_entries() {
        let hash = shapes();
        assert_eq!(
            SHAPES, hash,
            "the bytes of entries changed: raise VERSION, read the former version too or say that \
             it is not read any more, and set SHAPES to {hash}"
        );
    }

    #[test]
    fn records_of_known_versions_and_shapes_are_read() {
        assert!(matches!(version(line().as_bytes()), Ok(VERSION)));
        assert!(matches!(version(b"manada record 7\n"), Ok(7)));
        assert!(matches!(version(b"manada record 8 shapes 23d0a004\n"), Ok(8)));
        assert!(matches!(version(b"manada record 9 shapes bf9379ef\n"), Ok(9)));
        let other = version(b"manada record 10 shapes 12345678\n");
        assert!(
            matches!(&other, Err(RecordError::OtherShapes { found, .. }) if found == "12345678")
        );
        for line in [
            "",
            "manada record 8\n",
            "manada record 8 shapes 12345678\n",
            "manada record 9 shapes 12345678\n",
            "manada record 11 shapes 00000000\n",
            "manada record 7 shapes 00000000\n",
            "manada record 7",
            "something else\n",
        ] {
            let read = version(line.as_bytes());
            assert!(matches!(read, Err(RecordError::Foreign { .. })), "{line}");
        }
    }
}
