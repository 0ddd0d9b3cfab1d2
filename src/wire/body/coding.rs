//! Content codings: decodes gzip, deflate, br and zstd bodies.
//!
//! `engine::call` calls it for a captured body with a Content-Encoding.
//! Invariant: no more than `max` bytes come out of each coding, whatever goes in; windows are
//! bounded as RFC 7932 and RFC 9659 say.

use std::io::{self, Read};

use crate::stats::{AttemptPhase, FailureKind};
use crate::wire::body::bodies::CapturedBody;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::http1::framing_error::FramingError;

/// Maximum codings of one body.
const MAX_CODINGS: usize = 4;

/// The largest zstd window (RFC 9659), bytes.
const MAX_WINDOW: u64 = 8 << 20;

/// Decoded at a time, bytes.
const PIECE: usize = 8 << 10;

const UNDECODABLE: FramingError =
    FramingError::Response(AttemptPhase::Body, FailureKind::Undecodable);
const TOO_MANY: FramingError =
    FramingError::Response(AttemptPhase::Body, FailureKind::TooManyCodings);

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Decodes the codings that the captured head names. An unknown coding leaves the body as received.
///
/// # Errors
/// `BodyTooLarge` if more than `max` bytes come out, `Undecodable` if the body does not have the
/// named coding, `TooManyCodings` if it names too many; `KeptBodies` if there is no memory for the
/// result.
pub fn decode(capture: &mut ResponseCapture, max: u64) -> Result<(), FramingError> {
    let Some(codings) = codings(&capture.head)? else { return Ok(()) };
    for coding in codings.into_iter().rev() {
        // A response without a body may still name the coding that it would have had.
        if !capture.body.is_empty() {
            capture.body = undo(coding, &capture.body, max)?;
        }
    }
    Ok(())
}

/// Returns the codings in the order they were applied; `None` if one is unknown.
fn codings(head: &[u8]) -> Result<Option<Vec<Coding>>, FramingError> {
    let mut found = Vec::new();
    for line in head.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        if !line[..colon].eq_ignore_ascii_case(b"content-encoding") {
            continue;
        }
        for word in line[colon + 1..].split(|&byte| byte == b',') {
            let word = word.trim_ascii().to_ascii_lowercase();
            found.push(match word.as_slice() {
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"deflate" => Coding::Deflate,
                b"br" => Coding::Brotli,
                b"zstd" => Coding::Zstd,
                b"" | b"identity" => continue,
                _ => return Ok(None),
            });
            if found.len() > MAX_CODINGS {
                return Err(TOO_MANY);
            }
        }
    }
    Ok(Some(found))
}

fn undo(coding: Coding, body: &[u8], max: u64) -> Result<CapturedBody, FramingError> {
    let mut out = CapturedBody::default();
    match coding {
        Coding::Gzip => drain(flate2::read::MultiGzDecoder::new(body), max, &mut out)?,
        // `deflate` means zlib (RFC 9110 §8.4.1.2); some servers send the raw deflate data, and
        // browsers accept that, too.
        Coding::Deflate if is_zlib(body) => {
            drain(flate2::read::ZlibDecoder::new(body), max, &mut out)?;
        }
        Coding::Deflate => drain(flate2::read::DeflateDecoder::new(body), max, &mut out)?,
        Coding::Brotli => {
            drain(brotli_decompressor::Decompressor::new(body, 4 << 10), max, &mut out)?;
        }
        Coding::Zstd => unzstd(body, max, &mut out)?,
    }
    Ok(out)
}

fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 15 == 8
        && (u32::from(*method) << 8 | u32::from(*flags)) % 31 == 0)
}

/// Decodes frame after frame (RFC 8878 §3.1).
fn unzstd(mut body: &[u8], max: u64, out: &mut CapturedBody) -> Result<(), FramingError> {
    while !body.is_empty() {
        let frame =
            ruzstd::decoding::StreamingDecoder::new_with_max_window_size(&mut body, MAX_WINDOW);
        drain(frame.map_err(|_| UNDECODABLE)?, max, out)?;
    }
    Ok(())
}

/// Appends everything that `from` yields; at most `max` bytes in all.
fn drain(mut from: impl Read, max: u64, out: &mut CapturedBody) -> Result<(), FramingError> {
    let mut piece = [0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) if out.len() as u64 + count as u64 > max => {
                return Err(FramingError::Response(AttemptPhase::Body, FailureKind::BodyTooLarge));
            }
            Ok(count) => out.push(&piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(UNDECODABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"{\"a\": 1}";
    /// TEXT by `brotli` and by `zstd`.
    const BROTLI: &[u8] = b"\x8b\x03\x80{\"a\": 1}\x03";
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x20\x08\x41\0\0{\"a\": 1}";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(codings: &str, body: Vec<u8>, max: u64) -> Result<Vec<u8>, FailureKind> {
        let head = format!("A: b\r\nContent-Encoding: {codings}\r\n\r\n").into_bytes();
        let mut capture = ResponseCapture { head, body: body.into(), ..ResponseCapture::default() };
        match decode(&mut capture, max) {
            Ok(()) => Ok(capture.body.to_vec()),
            Err(FramingError::Response(AttemptPhase::Body, kind)) => Err(kind),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_coding_and_sequences_are_decoded() {
        for (codings, body) in [
            ("gzip", gzip(TEXT)),
            ("X-GZIP", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("deflate", raw(TEXT)),
            ("br", BROTLI.to_vec()),
            ("zstd", ZSTD.to_vec()),
            ("identity", TEXT.to_vec()),
            ("", TEXT.to_vec()),
            ("deflate, gzip", gzip(&zlib(TEXT))),
            ("gzip, identity, br, gzip", gzip(BROTLI)),
            ("rot13", TEXT.to_vec()),
        ] {
            // If the first coding of the row was not applied, decoding must fail.
            let got = decoded(codings, body, 100);
            if codings.starts_with("gzip, identity") {
                assert_eq!(got, Err(FailureKind::Undecodable));
            } else {
                assert_eq!(got.as_deref(), Ok(TEXT), "{codings}");
            }
        }
        assert_eq!(decoded("gzip", Vec::new(), 100), Ok(Vec::new()));
        let twice = [gzip(TEXT), gzip(TEXT)].concat();
        assert_eq!(decoded("gzip", twice, 100), Ok(TEXT.repeat(2)));
        assert_eq!(decoded("zstd", ZSTD.repeat(2), 100), Ok(TEXT.repeat(2)));
    }

    #[test]
    fn bombs_and_broken_bodies_are_rejected() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(decoded("gzip", bomb.clone(), 1 << 20), Err(FailureKind::BodyTooLarge));
        assert_eq!(decoded("gzip, gzip", gzip(&bomb), 1 << 20), Err(FailureKind::BodyTooLarge));
        assert_eq!(decoded("zstd", ZSTD.repeat(2), 15), Err(FailureKind::BodyTooLarge));
        assert_eq!(
            decoded("gzip, gzip, gzip, gzip, gzip", bomb, 1),
            Err(FailureKind::TooManyCodings)
        );
        for coding in ["gzip", "deflate", "br", "zstd"] {
            assert_eq!(
                decoded(coding, vec![255; 20], 100),
                Err(FailureKind::Undecodable),
                "{coding}"
            );
        }
        for (coding, whole) in [
            ("gzip", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("br", BROTLI.to_vec()),
            ("zstd", ZSTD.to_vec()),
        ] {
            let cut = whole[..whole.len() - 2].to_vec();
            assert_eq!(decoded(coding, cut, 100), Err(FailureKind::Undecodable), "{coding}");
        }
    }

    proptest! {
        #[test]
        fn output_of_any_input_is_within_the_limit(
            coding in proptest::sample::select(vec!["gzip", "deflate", "br", "zstd", "gzip, br"]),
            start in proptest::sample::select(vec![gzip(TEXT), zlib(TEXT), ZSTD.to_vec(), vec![]]),
            noise in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0usize..40,
        ) {
            let body = [&start[..cut.min(start.len())], &noise].concat();
            if let Ok(out) = decoded(coding, body, 1_000) {
                prop_assert!(out.len() <= 1_000);
            }
        }
    }
}
