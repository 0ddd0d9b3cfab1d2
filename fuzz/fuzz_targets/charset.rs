//! Any bytes as a body of any charset: UTF-8 comes out, at most three times as much, or the bytes
//! as they came.
//!
//! Input: a byte with the length of Content-Type, Content-Type, the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::wire::{Kept, charset};

fuzz_target!(|data: &[u8]| {
    let [length, rest @ ..] = data else { return };
    let Some((content_type, body)) = rest.split_at_checked(usize::from(*length)) else { return };
    let head = [b"Content-Type: ", content_type, b"\r\n\r\n"].concat();
    let mut kept = Kept { head, body: body.to_vec().into(), ..Kept::default() };
    charset::decode(&mut kept).expect("room for a small body");
    assert_eq!(&*kept.body, body, "the body itself changed");
    match &kept.text {
        Some(text) => {
            assert!(text.len() <= 3 * body.len(), "{} from {}", text.len(), body.len());
            assert!(std::str::from_utf8(text).is_ok(), "no UTF-8");
        }
        None => assert_eq!(kept.text(), body),
    }
});
