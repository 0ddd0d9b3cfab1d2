//! Simple values as bytes: numbers in variable length, everything else as the sequence of its
//! parts.
//!
//! `shapes` and `forms` build on it; `frame` frames the values.
//! Invariant: other bytes than packed ones unpack to `None`, and never take more memory than there
//! are bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Packed, PackedBytes, Shape};
use crate::redact;

/// Seven bits per byte, lowest first; the eighth bit says that more follow (LEB128).
impl Packed for u128 {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            out.push(left as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let mut value = 0u128;
        for shift in (0..126).step_by(7) {
            let byte = u8::unpack_raw(from)?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn describe(shape: &mut Shape) {
        shape.text("number");
    }
}

trait RawBytes: Sized {
    fn unpack_raw(from: &mut PackedBytes<'_>) -> Option<Self>;
}

impl RawBytes for u8 {
    fn unpack_raw(from: &mut PackedBytes<'_>) -> Option<Self> {
        let (first, rest) = from.left.split_first()?;
        from.left = rest;
        Some(*first)
    }
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                u128::from(*self).pack(out);
            }

            fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
                u128::unpack(from)?.try_into().ok()
            }

            fn describe(shape: &mut Shape) {
                shape.text(stringify!($type));
            }
        }
    )+};
}

numbers!(u8, u16, u32, u64);

impl Packed for usize {
    fn pack(&self, out: &mut Vec<u8>) {
        (*self as u64).pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        u64::unpack(from)?.try_into().ok()
    }

    fn describe(shape: &mut Shape) {
        shape.text("usize");
    }
}

impl Packed for bool {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        match u8::unpack_raw(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn describe(shape: &mut Shape) {
        shape.text("bool");
    }
}

impl Packed for f64 {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let (bytes, rest) = from.left.split_first_chunk()?;
        from.left = rest;
        Some(Self::from_le_bytes(*bytes))
    }

    fn describe(shape: &mut Shape) {
        shape.text("f64");
    }
}

/// With secrets redacted: other people may read a record.
impl Packed for String {
    fn pack(&self, out: &mut Vec<u8>) {
        let shown = redact::redact_secrets(self);
        shown.len().pack(out);
        out.extend_from_slice(shown.as_bytes());
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let length = usize::unpack(from)?;
        let (bytes, rest) = from.left.split_at_checked(length)?;
        from.left = rest;
        Self::from_utf8(bytes.to_vec()).ok()
    }

    fn describe(shape: &mut Shape) {
        shape.text("text");
    }
}

impl Packed for Duration {
    fn pack(&self, out: &mut Vec<u8>) {
        self.as_nanos().pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Some(Self::from_nanos(u64::unpack(from)?))
    }

    fn describe(shape: &mut Shape) {
        shape.text("duration");
    }
}

impl<T: Packed> Packed for Option<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.is_some().pack(out);
        if let Some(value) = self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        if bool::unpack(from)? { T::unpack(from).map(Some) } else { Some(None) }
    }

    fn describe(shape: &mut Shape) {
        shape.text("optional ");
        T::describe(shape);
    }
}

impl<T: Packed> Packed for Vec<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.len().pack(out);
        self.iter().for_each(|one| one.pack(out));
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let length = usize::unpack(from)?;
        // Each item takes at least one byte, so a longer list is corrupt.
        if length > from.left.len() {
            return None;
        }
        (0..length).map(|_| T::unpack(from)).collect()
    }

    fn describe(shape: &mut Shape) {
        shape.text("list of ");
        T::describe(shape);
    }
}

impl<K: Packed + Ord, V: Packed> Packed for BTreeMap<K, V> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.len().pack(out);
        self.iter().for_each(|(key, value)| {
            key.pack(out);
            value.pack(out);
        });
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Some(Vec::<(K, V)>::unpack(from)?.into_iter().collect())
    }

    fn describe(shape: &mut Shape) {
        shape.text("map of ");
        <(K, V)>::describe(shape);
    }
}

impl<A: Packed, B: Packed> Packed for (A, B) {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
        self.1.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Some((A::unpack(from)?, B::unpack(from)?))
    }

    fn describe(shape: &mut Shape) {
        shape.text("(");
        A::describe(shape);
        shape.text(", ");
        B::describe(shape);
        shape.text(")");
    }
}

impl<T: Packed, const N: usize> Packed for [T; N] {
    fn pack(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|one| one.pack(out));
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let all: Option<Vec<T>> = (0..N).map(|_| T::unpack(from)).collect();
        all?.try_into().ok()
    }

    fn describe(shape: &mut Shape) {
        shape.text(&format!("{N} of "));
        T::describe(shape);
    }
}

impl<T: Packed> Packed for Box<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        (**self).pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        T::unpack(from).map(Self::new)
    }

    fn describe(shape: &mut Shape) {
        T::describe(shape);
    }
}

impl<T: Packed> Packed for Arc<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        (**self).pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        T::unpack(from).map(Self::new)
    }

    fn describe(shape: &mut Shape) {
        T::describe(shape);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::record::header::VERSION;

    type All = (Vec<(u64, Option<String>)>, (BTreeMap<u16, f64>, [bool; 3]));

    proptest! {
        #[test]
        fn packed_values_unpack_to_the_same(
            list in proptest::collection::vec((any::<u64>(), any::<Option<String>>()), 0..9),
            map in proptest::collection::btree_map(any::<u16>(), -1e9..1e9, 0..9),
            flags in any::<[bool; 3]>(),
        ) {
            let all: All = (list, (map, flags));
            let mut bytes = Vec::new();
            all.pack(&mut bytes);
            let mut from = PackedBytes { left: &bytes, version: VERSION };
            prop_assert_eq!(All::unpack(&mut from), Some(all));
            prop_assert!(from.left.is_empty());
        }

        #[test]
        fn any_bytes_unpack_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = All::unpack(&mut PackedBytes { left: &bytes, version: VERSION });
        }
    }

    #[test]
    fn list_longer_than_its_bytes_is_refused() {
        let mut bytes = Vec::new();
        u64::MAX.pack(&mut bytes);
        let from = |left| PackedBytes { left, version: VERSION };
        assert_eq!(Vec::<u8>::unpack(&mut from(&bytes)), None);
        assert_eq!(u8::unpack(&mut from(&[0x80, 0x7f])), None, "too much for a byte");
    }
}
