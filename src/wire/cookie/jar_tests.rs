//! Cookies stored and sent, as RFC 6265 requires.

use proptest::prelude::*;

use super::*;

const NOW: Time = Time(1_000_000_000_000);

fn origin<'a>(host: &'a str, target: &'a str) -> CookieOrigin<'a> {
    CookieOrigin { host, target, secure: false }
}

fn jar(from: CookieOrigin<'_>, values: &[&str]) -> CookieJar {
    let mut jar = CookieJar::default();
    for value in values {
        jar.take_set_cookies(format!("X: y\r\nSet-Cookie: {value}\r\n\r\n").as_bytes(), from, NOW);
    }
    jar
}

#[test]
fn cookies_are_sent_to_their_domain_and_path() {
    let shop = origin("shop.example", "/a/b?q=/c");
    for (set, host, target, expect) in [
        ("s=1", "shop.example", "/a/x", Some("s=1")),
        ("s=1", "shop.example", "/a", Some("s=1")),
        ("s=1", "shop.example", "/ab", None),
        ("s=1", "SHOP.example", "/a/", Some("s=1")),
        ("s=1", "www.shop.example", "/a/x", None),
        ("s=1; Path=/", "shop.example", "/", Some("s=1")),
        ("s=1; Path=x", "shop.example", "/a/", Some("s=1")),
        ("s=1; Path=/; Domain=shop.example", "www.shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Domain=.shop.example", "www.shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Domain=shop.example", "myshop.example", "/", None),
        ("s=1; Path=/; Domain=other.example", "shop.example", "/", None),
        ("s=1; Path=/; Domain=example", "shop.example", "/", None),
        ("s=1; Path=/; Domain=www.shop.example", "shop.example", "/", None),
        ("s=1; Path=/; Secure", "shop.example", "/", None),
        ("s=1; Path=/; HttpOnly; SameSite=Lax", "shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Max-Age=0", "shop.example", "/", None),
        ("s=1; Path=/; Max-Age=-5", "shop.example", "/", None),
        ("s=1; Path=/; Max-Age=60", "shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Max-Age=999999999999999999999999", "shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Max-Age=x", "shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Expires=Wed, 21 Oct 2015 07:28:00 GMT", "shop.example", "/", None),
        ("s=1; Path=/; Expires=Wed, 21-Oct-2015 07:28:00 GMT", "shop.example", "/", None),
        ("s=1; Path=/; Expires=Fri, 21 Oct 2089 07:28:00 GMT", "shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Expires=soon", "shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Expires=21 oct 15 7:28:0", "shop.example", "/", None),
        ("s=1; Path=/; Expires=Thu, 1 Jan 1601 00:00:00", "shop.example", "/", None),
        ("s=1; Path=/; Expires=1/Jan/69;12:00:00", "shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Expires=Oct 21 2015 07:28:00; Max-Age=60", "shop.example", "/", Some("s=1")),
        ("s=1; Path=/; Domain=.example.", "shop.example", "/", None),
        ("s=a=b=\"c d\"; Path=/", "shop.example", "/", Some("s=a=b=\"c d\"")),
        ("s=; Path=/", "shop.example", "/", Some("s=")),
        ("nonsense", "shop.example", "/", None),
        ("=v; Path=/", "shop.example", "/", None),
        ("__Host-s=1; Path=/", "shop.example", "/", None),
        ("s=\u{1}; Path=/", "shop.example", "/", None),
        ("", "shop.example", "/", None),
    ] {
        let got = jar(shop, &[set]).header(origin(host, target), NOW);
        assert_eq!(got.as_deref(), expect.map(str::as_bytes), "{set:?} to {host}{target}");
    }
}

#[test]
fn addresses_and_single_labels_have_host_only_cookies() {
    for host in ["127.0.0.1", "localhost"] {
        let set = format!("s=1; Domain={host}");
        let jar = jar(origin(host, "/"), &[&set]);
        assert!(jar.header(origin(host, "/"), NOW).is_some(), "{host}");
        assert!(jar.header(origin(&format!("x.{host}"), "/"), NOW).is_none(), "{host}");
    }
    assert!(jar(origin("127.0.0.1", "/"), &["s=1; Domain=0.0.1"]).is_empty());
}

#[test]
fn single_label_is_no_domain_even_with_trailing_dot() {
    for (host, set) in [
        ("www.me.", "s=1; Domain=.me."),
        ("www.me.", "s=1; Domain=me."),
        ("www.me", "s=1; Domain=me"),
        ("www.me", "s=1; Domain=.me."),
    ] {
        assert!(jar(origin(host, "/"), &[set]).is_empty(), "{set} of {host}");
    }
    let capture = jar(origin("a.b.me.", "/"), &["s=1; Domain=b.me."]);
    assert!(capture.header(origin("c.b.me.", "/"), NOW).is_some());
}

#[test]
fn length_limits_apply_to_pair_and_to_each_attribute() {
    let here = origin("a.b", "/");
    for (name, value, is_stored) in [(1, 4_095, true), (1, 4_096, false), (4_096, 0, true)] {
        let set = format!("{}={}; Path=/", "n".repeat(name), "v".repeat(value));
        let padded = format!("  {} =  {}  ; Path=/", "n".repeat(name), "v".repeat(value));
        for set in [&set, &padded] {
            assert_eq!(jar(here, &[set]).len(), usize::from(is_stored), "{name} and {value}");
        }
    }
    // The value of an attribute has a limit of its own; a longer one is ignored.
    let path = |length: usize| format!("s=1; Path=/{}", "p".repeat(length - 1));
    assert!(jar(here, &[&path(1_024)]).header(here, NOW).is_none());
    assert!(jar(here, &[&path(1_025)]).header(here, NOW).is_some());
    let whole = format!("s={}; Path=/; Domain=a.b; X={}", "v".repeat(4_095), "x".repeat(900));
    assert_eq!(jar(here, &[&whole]).len(), 1);
}

#[test]
fn octets_outside_utf_8_are_preserved() {
    let mut jar = CookieJar::default();
    let here = origin("a.b", "/");
    jar.take_set_cookies(b"Set-Cookie: caf\xe9=\xff\x80; Path=/\r\n\r\n", here, NOW);
    assert_eq!(jar.header(here, NOW).as_deref(), Some(&b"caf\xe9=\xff\x80"[..]));
    assert_eq!(jar.pairs(here, NOW), [("caf\u{e9}".to_owned(), "\u{ff}\u{80}".to_owned())]);
    jar.take_set_cookies(b"Set-Cookie: s=1; Domain=\xff.a.b\r\n\r\n", here, NOW);
    assert_eq!(jar.len(), 1);
}

#[test]
fn secure_cookies_are_stored_and_sent_over_tls() {
    let secure = CookieOrigin { secure: true, ..origin("a.b", "/") };
    let jar = jar(secure, &["s=1; Secure", "__Host-t=2; Secure; Path=/", "__Secure-u=3"]);
    assert_eq!(jar.header(secure, NOW).as_deref(), Some(&b"s=1; __Host-t=2"[..]));
    assert_eq!(jar.header(origin("a.b", "/"), NOW), None);
}

#[test]
fn header_orders_longer_paths_first_without_duplicates() {
    let here = origin("a.b", "/x/y");
    let jar = jar(here, &["a=1; Path=/", "b=2; Path=/x", "c=3; Path=/", "a=4; Path=/"]);
    assert_eq!(jar.header(here, NOW).as_deref(), Some(&b"b=2; a=4; c=3"[..]));
    assert_eq!(jar.header(here, NOW.after(1)).as_deref(), Some(&b"b=2; a=4; c=3"[..]));
}

#[test]
fn jar_is_bounded() {
    let mut jar = CookieJar::default();
    for host in 0..20 {
        for number in 0..100 {
            let head = format!("Set-Cookie: c{number}=1\r\n");
            jar.take_set_cookies(head.as_bytes(), origin(&format!("h{host}.b"), "/"), NOW);
        }
    }
    assert_eq!(jar.len(), MAX_COOKIES);
    let last = String::from_utf8(jar.header(origin("h19.b", "/"), NOW).unwrap()).unwrap();
    assert_eq!(last.split("; ").count(), MAX_OF_DOMAIN);
    assert!(last.starts_with("c50=1; "), "the oldest made room: {last}");
    let long = format!("Set-Cookie: long={}\r\n", "x".repeat(64 << 10));
    jar.take_set_cookies(long.as_bytes(), origin("new.b", "/"), NOW);
    assert_eq!(jar.header(origin("new.b", "/"), NOW), None);
}

proptest! {
    #[test]
    fn jar_accepts_any_input(
        head in proptest::collection::vec(any::<u8>(), 0..200),
        tail in ".{0,60}",
    ) {
        let mut jar = CookieJar::default();
        let here = origin("a.b.c", "/x/");
        jar.take_set_cookies(&head, here, NOW);
        let head = format!("Set-Cookie: {tail}\r\nset-cookie: a={tail}");
        jar.take_set_cookies(head.as_bytes(), here, NOW);
        if let Some(header) = jar.header(here, NOW) {
            prop_assert!(!header.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0')));
        }
    }
}
