//! The binary form of values: a trait, the description of a form, and macros that make both of the
//! lists of fields.
//!
//! `shapes` lists the fields of each type, `values` has the simple ones; `header` makes a hash of
//! the descriptions. `record` and `link` use it, and `fleet::bus`.
//! Invariant: packed values unpack to the same; what changes the bytes of a value changes its
//! description.

mod forms;
pub(crate) mod frame;
mod outcomes;
mod shapes;
mod values;

/// Packed values that were not read yet.
pub struct PackedBytes<'a> {
    /// The bytes.
    pub(crate) left: &'a [u8],
    /// The version of the record that they are from.
    pub(crate) version: u32,
}

/// A type with a binary form.
pub trait Packed: Sized {
    /// Appends the value.
    fn pack(&self, out: &mut Vec<u8>);

    /// Reads a value off the front; `None` if the bytes are not valid.
    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self>;

    /// Describes the form: the names of types and fields, in the order in which they are packed.
    fn describe(shape: &mut Shape);
}

/// A description under way.
#[derive(Default)]
pub struct Shape(String);

impl Shape {
    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Adds a field and its type, which `read` returns of a value.
    pub fn field<S, T: Packed>(&mut self, name: &str, _read: fn(&S) -> Option<&T>) {
        self.text(name);
        self.text(": ");
        T::describe(self);
        self.text(", ");
    }

    /// The text so far.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Packs a struct as its fields, in this order. `since 9`: records before version 9 do not have the
/// field; it has its default there. A generic type begins with its parameters:
/// `@[T: Packed] Type<T>`.
macro_rules! packed {
    (@unpack $from:ident) => { $crate::event::packed::Packed::unpack($from)? };
    (@unpack $from:ident $version:literal) => {
        if $from.version < $version {
            Default::default()
        } else {
            $crate::event::packed::Packed::unpack($from)?
        }
    };
    ($($(@[$($generics:tt)+])? $type:ty {
        $($field:ident $(since $version:literal)?),+ $(,)?
    })+) => {$(
        impl $(<$($generics)+>)? $crate::event::packed::Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                $($crate::event::packed::Packed::pack(&self.$field, out);)+
            }

            fn unpack(
                from: &mut $crate::event::packed::PackedBytes<'_>,
            ) -> Option<Self> {
                // Rust evaluates the fields in source order.
                Some(Self { $($field: packed!(@unpack from $($version)?)),+ })
            }

            fn describe(shape: &mut $crate::event::packed::Shape) {
                shape.text(concat!(stringify!($type), " { "));
                $(shape.field(stringify!($field), |value: &Self| Some(&value.$field));)+
                shape.text("}");
            }
        }
    )+};
}

/// Packs an enum without data as its index in this list.
macro_rules! listed {
    ($($type:ty: $($variant:ident),+;)+) => {$(
        impl $crate::event::packed::Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                const ALL: &[$type] = &[$(<$type>::$variant),+];
                let place = ALL.iter().position(|one| one == self).unwrap_or(ALL.len());
                $crate::event::packed::Packed::pack(&place, out);
            }

            fn unpack(
                from: &mut $crate::event::packed::PackedBytes<'_>,
            ) -> Option<Self> {
                const ALL: &[$type] = &[$(<$type>::$variant),+];
                let place: usize = $crate::event::packed::Packed::unpack(from)?;
                ALL.get(place).copied()
            }

            fn describe(shape: &mut $crate::event::packed::Shape) {
                shape.text(concat!("one of ", $(stringify!($variant), " "),+));
            }
        }
    )+};
}

/// Packs an enum as the number of its variant, which is written here, and the variant's fields.
macro_rules! variants {
    ($($type:ty { $($number:literal $variant:ident { $($field:ident),* })+ })+) => {$(
        impl $crate::event::packed::Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        <u8 as $crate::event::packed::Packed>::pack(&$number, out);
                        $($crate::event::packed::Packed::pack($field, out);)*
                    })+
                }
            }

            fn unpack(
                from: &mut $crate::event::packed::PackedBytes<'_>,
            ) -> Option<Self> {
                match <u8 as $crate::event::packed::Packed>::unpack(from)? {
                    $($number => Some(Self::$variant {
                        $($field: $crate::event::packed::Packed::unpack(from)?),*
                    }),)+
                    _ => None,
                }
            }

            fn describe(shape: &mut $crate::event::packed::Shape) {
                shape.text(concat!("one of ", stringify!($type), " "));
                $(
                    shape.text(concat!($number, " ", stringify!($variant), " { "));
                    $(shape.field(stringify!($field), |value: &Self| match value {
                        Self::$variant { $field, .. } => Some($field),
                        _ => None,
                    });)*
                    shape.text("} ");
                )+
            }
        }
    )+};
}

pub(crate) use {listed, packed, variants};
