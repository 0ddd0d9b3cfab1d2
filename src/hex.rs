//! Bytes as lower-case hexadecimal digits.
//!
//! Trace ids in requests, and hashes of templates and files, are written by it.
//! Invariant: two digits for each byte, whatever its value.

/// The digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Writes `bytes` into `out`, which has two places for each.
#[inline]
pub fn write_hex<const N: usize>(out: &mut [u8], bytes: [u8; N]) {
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = PAIRS[usize::from(byte)];
    }
}

/// `bytes` as a text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| PAIRS[usize::from(*byte)]).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_two_digits() {
        let bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
        let expected = bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(hex(&bytes), expected);
        let mut out = [b'-'; 512];
        write_hex(&mut out, bytes);
        assert_eq!(out, *expected.as_bytes());
    }
}
