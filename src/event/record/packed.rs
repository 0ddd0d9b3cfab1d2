//! Values as bytes: numbers in variable length, everything else as the sequence of its fields.
//!
//! `shapes` lists the fields of each type; `record` frames the values.
//! Invariant: packed values unpack to the same; other bytes unpack to `None`, and never take more
//! memory than there are bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::redact;

/// A type with a binary form.
pub(super) trait Packed: Sized {
    /// Appends the value.
    fn pack(&self, out: &mut Vec<u8>);
    /// Reads a value off the front; `None` if the bytes are not valid.
    fn unpack(from: &mut &[u8]) -> Option<Self>;
}

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

    fn unpack(from: &mut &[u8]) -> Option<Self> {
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
}

trait RawBytes: Sized {
    fn unpack_raw(from: &mut &[u8]) -> Option<Self>;
}

impl RawBytes for u8 {
    fn unpack_raw(from: &mut &[u8]) -> Option<Self> {
        let (first, rest) = from.split_first()?;
        *from = rest;
        Some(*first)
    }
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                u128::from(*self).pack(out);
            }

            fn unpack(from: &mut &[u8]) -> Option<Self> {
                u128::unpack(from)?.try_into().ok()
            }
        }
    )+};
}

numbers!(u8, u16, u32, u64);

impl Packed for usize {
    fn pack(&self, out: &mut Vec<u8>) {
        (*self as u64).pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        u64::unpack(from)?.try_into().ok()
    }
}

impl Packed for bool {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        match u8::unpack_raw(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Packed for f64 {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(Self::from_le_bytes(*bytes))
    }
}

/// With secrets redacted: other people may read a record.
impl Packed for String {
    fn pack(&self, out: &mut Vec<u8>) {
        let shown = redact::redact_secrets(self);
        shown.len().pack(out);
        out.extend_from_slice(shown.as_bytes());
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let length = usize::unpack(from)?;
        let (bytes, rest) = from.split_at_checked(length)?;
        *from = rest;
        Self::from_utf8(bytes.to_vec()).ok()
    }
}

impl Packed for Duration {
    fn pack(&self, out: &mut Vec<u8>) {
        self.as_nanos().pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        Some(Self::from_nanos(u64::unpack(from)?))
    }
}

impl<T: Packed> Packed for Option<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.is_some().pack(out);
        if let Some(value) = self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        if bool::unpack(from)? { T::unpack(from).map(Some) } else { Some(None) }
    }
}

impl<T: Packed> Packed for Vec<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.len().pack(out);
        self.iter().for_each(|one| one.pack(out));
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let length = usize::unpack(from)?;
        // Each item takes at least one byte, so a longer list is corrupt.
        if length > from.len() {
            return None;
        }
        (0..length).map(|_| T::unpack(from)).collect()
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

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        Some(Vec::<(K, V)>::unpack(from)?.into_iter().collect())
    }
}

impl<A: Packed, B: Packed> Packed for (A, B) {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
        self.1.pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        Some((A::unpack(from)?, B::unpack(from)?))
    }
}

impl<T: Packed, const N: usize> Packed for [T; N] {
    fn pack(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|one| one.pack(out));
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let all: Option<Vec<T>> = (0..N).map(|_| T::unpack(from)).collect();
        all?.try_into().ok()
    }
}

impl<T: Packed> Packed for Box<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        (**self).pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        T::unpack(from).map(Self::new)
    }
}

impl<T: Packed> Packed for Arc<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        (**self).pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        T::unpack(from).map(Self::new)
    }
}

/// Packs a struct as its fields, in this order.
macro_rules! packed {
    ($($type:ty { $($field:ident),+ $(,)? })+) => {$(
        impl $crate::event::record::packed::Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                $($crate::event::record::packed::Packed::pack(&self.$field, out);)+
            }

            fn unpack(from: &mut &[u8]) -> Option<Self> {
                // Rust evaluates the fields in source order.
                Some(Self { $($field: $crate::event::record::packed::Packed::unpack(from)?),+ })
            }
        }
    )+};
}

/// Packs an enum without data as its index in this list.
macro_rules! listed {
    ($($type:ty: $($variant:ident),+;)+) => {$(
        impl $crate::event::record::packed::Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                const ALL: &[$type] = &[$(<$type>::$variant),+];
                let place = ALL.iter().position(|one| one == self).unwrap_or(ALL.len());
                $crate::event::record::packed::Packed::pack(&place, out);
            }

            fn unpack(from: &mut &[u8]) -> Option<Self> {
                const ALL: &[$type] = &[$(<$type>::$variant),+];
                let place: usize = $crate::event::record::packed::Packed::unpack(from)?;
                ALL.get(place).copied()
            }
        }
    )+};
}

pub(super) use {listed, packed};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let mut left = bytes.as_slice();
            prop_assert_eq!(All::unpack(&mut left), Some(all));
            prop_assert!(left.is_empty());
        }

        #[test]
        fn any_bytes_unpack_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = All::unpack(&mut bytes.as_slice());
        }
    }

    #[test]
    fn list_longer_than_its_bytes_is_refused() {
        let mut bytes = Vec::new();
        u64::MAX.pack(&mut bytes);
        assert_eq!(Vec::<u8>::unpack(&mut bytes.as_slice()), None);
        assert_eq!(u8::unpack(&mut [0x80, 0x7f].as_slice()), None, "too much for a byte");
    }
}
