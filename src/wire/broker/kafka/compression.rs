//! Compression of batches of records.
//!
//! `record_batch` compresses, `record_reader` decompresses.
//! Invariant: what a batch decompresses to has a bound.

use std::io::{Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{FrameDecoder, FrameEncoder};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::plan::kafka::KafkaCompression;
use crate::stats::FailureKind;

/// The beginning of what Java's clients write for Snappy: blocks with their lengths.
const SNAPPY_BLOCKS: &[u8] = b"\x82SNAPPY\0";

/// The header of these blocks: the beginning, and two versions.
const SNAPPY_HEADER: usize = 16;

/// The codec of a batch, as the lowest three bits of its attributes.
pub(super) const fn attribute(compression: KafkaCompression) -> i16 {
    match compression {
        KafkaCompression::None => 0,
        KafkaCompression::Gzip => 1,
        KafkaCompression::Snappy => 2,
        KafkaCompression::Lz4 => 3,
        KafkaCompression::Zstd => 4,
    }
}

/// Compresses records.
pub(super) fn compress(compression: KafkaCompression, records: Vec<u8>) -> Vec<u8> {
    let done = match compression {
        KafkaCompression::None => return records,
        KafkaCompression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&records).and_then(|()| encoder.finish()).ok()
        }
        KafkaCompression::Snappy => snap::raw::Encoder::new().compress_vec(&records).ok(),
        KafkaCompression::Lz4 => {
            let mut encoder = FrameEncoder::new(Vec::new());
            encoder.write_all(&records).ok().and_then(|()| encoder.finish().ok())
        }
        KafkaCompression::Zstd => Some(compress_to_vec(&*records, CompressionLevel::Fastest)),
    };
    // Writing to memory does not fail.
    done.unwrap_or_default()
}

/// Decompresses records by the codec of a batch, up to `most` bytes.
pub(super) fn decompress(codec: i16, bytes: &[u8], most: usize) -> Result<Vec<u8>, FailureKind> {
    match codec {
        1 => read_up_to(MultiGzDecoder::new(bytes), most),
        2 if bytes.starts_with(SNAPPY_BLOCKS) => snappy_blocks(bytes, most),
        2 => {
            let length = snap::raw::decompress_len(bytes).map_err(|_| FailureKind::BadReply)?;
            if length > most {
                return Err(FailureKind::MessageTooLarge);
            }
            snap::raw::Decoder::new().decompress_vec(bytes).map_err(|_| FailureKind::BadReply)
        }
        3 => read_up_to(FrameDecoder::new(bytes), most),
        4 => read_up_to(StreamingDecoder::new(bytes).map_err(|_| FailureKind::BadReply)?, most),
        _ => Err(FailureKind::BadReply),
    }
}

fn snappy_blocks(bytes: &[u8], most: usize) -> Result<Vec<u8>, FailureKind> {
    let mut rest = bytes.get(SNAPPY_HEADER..).ok_or(FailureKind::BadReply)?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or(FailureKind::BadReply)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or(FailureKind::BadReply)?;
        let size = snap::raw::decompress_len(block).map_err(|_| FailureKind::BadReply)?;
        if out.len() + size > most {
            return Err(FailureKind::MessageTooLarge);
        }
        let done = snap::raw::Decoder::new().decompress_vec(block);
        out.extend_from_slice(&done.map_err(|_| FailureKind::BadReply)?);
        rest = after;
    }
    Ok(out)
}

fn read_up_to(reader: impl Read, most: usize) -> Result<Vec<u8>, FailureKind> {
    let mut out = Vec::new();
    let read = reader.take(most as u64 + 1).read_to_end(&mut out);
    read.map_err(|_| FailureKind::BadReply)?;
    if out.len() > most { Err(FailureKind::MessageTooLarge) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_codec_returns_what_was_compressed_and_has_a_bound() {
        let records = b"a record that repeats itself. ".repeat(200);
        for compression in [
            KafkaCompression::Gzip,
            KafkaCompression::Snappy,
            KafkaCompression::Lz4,
            KafkaCompression::Zstd,
        ] {
            let packed = compress(compression, records.clone());
            assert!(packed.len() < records.len() / 2, "{compression:?}: {}", packed.len());
            let codec = attribute(compression);
            assert_eq!(decompress(codec, &packed, 6_000).as_ref(), Ok(&records), "{compression:?}");
            let short = decompress(codec, &packed, 5_999);
            assert_eq!(short, Err(FailureKind::MessageTooLarge), "{compression:?}");
            let cut = decompress(codec, &packed[..packed.len() / 2], 6_000);
            assert_eq!(cut, Err(FailureKind::BadReply), "{compression:?}");
        }
        assert_eq!(decompress(5, b"", 10), Err(FailureKind::BadReply));
    }

    #[test]
    fn blocks_of_snappy_are_joined() {
        let block = |text: &[u8]| {
            let packed = snap::raw::Encoder::new().compress_vec(text).unwrap();
            [&(packed.len() as u32).to_be_bytes()[..], &packed].concat()
        };
        let header = [SNAPPY_BLOCKS, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        let bytes = [header.clone(), block(b"first "), block(b"second")].concat();
        assert_eq!(decompress(2, &bytes, 100).unwrap(), b"first second");
        assert_eq!(decompress(2, &bytes, 8), Err(FailureKind::MessageTooLarge));
        assert_eq!(decompress(2, &bytes[..20], 100), Err(FailureKind::BadReply));
        assert_eq!(decompress(2, &header, 100).unwrap(), b"");
    }
}
