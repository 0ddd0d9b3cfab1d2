//! Fields of methods and tables.
//!
//! `methods` and `content_header` read them, `encode`, `publish` and `declare` write them.
//! Invariant: a table or a list inside another is skipped by its length, so that no depth costs
//! anything; a text that is too long for its length field encodes nothing.

use super::fault::AmqpFault;

/// Reads fields from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct AmqpFields<'a>(pub(super) &'a [u8]);

/// A value of a table, as far as it is used here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AmqpValue<'a> {
    Truth(bool),
    Whole(i128),
    Float(f64),
    Text(&'a [u8]),
    /// Its values, encoded.
    List(&'a [u8]),
    /// Void, decimals and tables.
    Other,
    /// Its entries, encoded.
    Table(&'a [u8]),
}

impl<'a> AmqpFields<'a> {
    /// Takes this many bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], AmqpFault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(AmqpFault::Syntax)?;
        self.0 = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], AmqpFault> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(AmqpFault::Syntax)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, AmqpFault> {
        self.chunk().map(u8::from_be_bytes)
    }

    pub(super) fn short(&mut self) -> Result<u16, AmqpFault> {
        self.chunk().map(u16::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<u32, AmqpFault> {
        self.chunk().map(u32::from_be_bytes)
    }

    pub(super) fn long_long(&mut self) -> Result<u64, AmqpFault> {
        self.chunk().map(u64::from_be_bytes)
    }

    /// Bytes with a length of one byte before them.
    pub(super) fn short_text(&mut self) -> Result<&'a [u8], AmqpFault> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }

    /// Bytes with a length of four bytes before them: a text, a table or a list.
    pub(super) fn long_text(&mut self) -> Result<&'a [u8], AmqpFault> {
        let length = self.long()?;
        self.take(length as usize)
    }

    /// A value, with its type before it: those of RabbitMQ, which differ from the specification.
    pub(super) fn value(&mut self) -> Result<AmqpValue<'a>, AmqpFault> {
        Ok(match self.byte()? {
            b't' => AmqpValue::Truth(self.byte()? != 0),
            b'b' => AmqpValue::Whole(i8::from_be_bytes(self.chunk()?).into()),
            b'B' => AmqpValue::Whole(self.byte()?.into()),
            b's' => AmqpValue::Whole(i16::from_be_bytes(self.chunk()?).into()),
            b'u' => AmqpValue::Whole(self.short()?.into()),
            b'I' => AmqpValue::Whole(i32::from_be_bytes(self.chunk()?).into()),
            b'i' => AmqpValue::Whole(self.long()?.into()),
            b'l' => AmqpValue::Whole(i64::from_be_bytes(self.chunk()?).into()),
            // 64 bits without a sign, and a point in time, s.
            b'L' | b'T' => AmqpValue::Whole(self.long_long()?.into()),
            b'f' => AmqpValue::Float(f32::from_be_bytes(self.chunk()?).into()),
            b'd' => AmqpValue::Float(f64::from_be_bytes(self.chunk()?)),
            b'D' => {
                self.take(5)?;
                AmqpValue::Other
            }
            b'S' | b'x' => AmqpValue::Text(self.long_text()?),
            b'A' => AmqpValue::List(self.long_text()?),
            b'F' => AmqpValue::Table(self.long_text()?),
            b'V' => AmqpValue::Other,
            _ => return Err(AmqpFault::Syntax),
        })
    }
}

/// Calls `each` with name and value of each entry of a table.
pub(super) fn entries<'a>(
    table: &'a [u8],
    mut each: impl FnMut(&'a [u8], AmqpValue<'a>),
) -> Result<(), AmqpFault> {
    let mut fields = AmqpFields(table);
    while !fields.0.is_empty() {
        let name = fields.short_text()?;
        each(name, fields.value()?);
    }
    Ok(())
}

/// Appends bytes with a length of one byte before them.
///
/// # Errors
/// `()` if they are longer than 255 bytes.
pub(super) fn put_short(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ()> {
    out.push(u8::try_from(bytes.len()).map_err(|_| ())?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends bytes with a length of four bytes before them.
///
/// # Errors
/// `()` if they are longer than 4 GiB.
pub(super) fn put_long(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ()> {
    out.extend_from_slice(&u32::try_from(bytes.len()).map_err(|_| ())?.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends what `fill` writes, with its length in four bytes before it: a table.
///
/// # Errors
/// `()` if `fill` fails, or writes more than 4 GiB.
pub(super) fn put_table(
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), ()>,
) -> Result<(), ()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out)?;
    let length = u32::try_from(out.len() - start - 4).map_err(|_| ())?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Appends an entry of a table whose value is a text.
///
/// # Errors
/// `()` if name or value are too long.
pub(super) fn put_text_entry(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), ()> {
    put_short(out, name)?;
    out.push(b'S');
    put_long(out, value)
}

/// Appends an entry of a table whose value is a truth value.
///
/// # Errors
/// `()` if the name is too long.
pub(super) fn put_truth_entry(out: &mut Vec<u8>, name: &[u8], value: bool) -> Result<(), ()> {
    put_short(out, name)?;
    out.extend_from_slice(&[b't', u8::from(value)]);
    Ok(())
}

/// Appends an entry of a table whose value is a number.
///
/// # Errors
/// `()` if the name is too long.
pub(super) fn put_number_entry(out: &mut Vec<u8>, name: &[u8], value: i64) -> Result<(), ()> {
    put_short(out, name)?;
    out.push(b'l');
    out.extend_from_slice(&value.to_be_bytes());
    Ok(())
}
