//! Any bytes as a body of any charset: the output is UTF-8, at most three times as long, or the
//! bytes as received.
//!
//! Input: a byte with the length of Content-Type, Content-Type, the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::wire::{ResponseCapture, body::charset};

fuzz_target!(|data: &[u8]| {
    let [length, rest @ ..] = data else { return };
    let Some((content_type, body)) = rest.split_at_checked(usize::from(*length)) else { return };
    let head = [b"Content-Type: ", content_type, b"\r\n\r\n"].concat();
    let mut capture = ResponseCapture::default();
    (capture.head, capture.body) = (head, body.to_vec().into());
    charset::decode(&mut capture).expect("room for a small body");
    assert_eq!(&*capture.body, body, "the body itself changed");
    let text = capture.text();
    if text != body {
        assert!(text.len() <= 3 * body.len(), "{} from {}", text.len(), body.len());
        assert!(std::str::from_utf8(text).is_ok(), "no UTF-8");
    }
});
