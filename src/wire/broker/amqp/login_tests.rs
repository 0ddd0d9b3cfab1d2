//! Logins, whole and at every split.

use super::tests::{close, frame, long, server_method, short};
use crate::plan::transport::Login;
use crate::wire::broker::amqp::frames::AmqpFrames;
use crate::wire::broker::amqp::limits::{AmqpLimits, MAX_FRAME};
use crate::wire::framed::amqp_login::{AmqpDialogue, AmqpLogin};
use crate::wire::framed::login_reply::LoginReply;

fn start(version: [u8; 2], mechanisms: &str) -> Vec<u8> {
    let properties = long(b"\x07productS\0\0\0\x08RabbitMQ");
    let parts: [&[u8]; 4] = [&version, &properties, &long(mechanisms.as_bytes()), &long(b"en_US")];
    server_method(0, (10, 10), &parts)
}

fn tune(channel_max: u16, frame_max: u32, heartbeat: u16) -> Vec<u8> {
    let parts: [&[u8]; 3] =
        [&channel_max.to_be_bytes(), &frame_max.to_be_bytes(), &heartbeat.to_be_bytes()];
    server_method(0, (10, 30), &parts)
}

/// How a login ends, with the words of a refusal; what was sent; what was agreed on.
fn log_in(login: &Login, bytes: &[u8], size: usize) -> (String, Vec<u8>, AmqpLimits) {
    let login = AmqpLogin::new(login);
    let mut dialogue = AmqpDialogue::new(&login);
    let (mut frames, mut words) = (AmqpFrames::new(MAX_FRAME), String::new());
    let mut reply = None;
    for piece in bytes.chunks(size) {
        reply = dialogue.feed(&mut frames, piece, &mut words);
        if reply.is_some() {
            break;
        }
    }
    let end = match reply {
        None => "waits".to_owned(),
        Some(LoginReply::Accepted { round_trips }) => format!("accepted after {round_trips}"),
        Some(LoginReply::Refused) => format!("refused: {words}"),
        Some(LoginReply::Broken(kind)) => format!("broken: {}", kind.name()),
    };
    (end, dialogue.out, dialogue.limits)
}

fn login(user: Option<&str>, password: Option<&str>, database: Option<&str>) -> Login {
    let [user, password, database] = [user, password, database].map(|part| part.map(str::to_owned));
    Login { user, password, database }
}

#[test]
fn a_login_agrees_on_limits_and_opens_host_and_channel() {
    let rest = [server_method(0, (10, 41), &[&[0]]), server_method(1, (20, 11), &[&[0; 4]])];
    let begin = start([0, 9], "PLAIN AMQPLAIN");
    let beat = frame(8, 0, &[]);
    for (given, tuned, response, host, agreed) in [
        (Login::default(), (2_047, 131_072, 60), "\0guest\0guest", "/", (2_047, 131_072, 60)),
        (login(Some("u"), Some("p"), Some("shop")), (0, 0, 0), "\0u\0p", "shop", (0, 131_072, 0)),
        (login(Some("u"), None, None), (1, 4_000_000, 5), "\0u\0", "/", (1, 131_072, 5)),
        (Login::default(), (1, 10, 5), "\0guest\0guest", "/", (1, 4_096, 5)),
        (Login::default(), (1, 8_192, 5), "\0guest\0guest", "/", (1, 8_192, 5)),
    ] {
        let (channel_max, frame_max, heartbeat) = tuned;
        let tune = tune(channel_max, frame_max, heartbeat);
        let bytes = [&begin, &tune, &rest[0], &beat, &rest[1]].map(|part| &part[..]).concat();
        for size in 1..=bytes.len() {
            let (end, sent, limits) = log_in(&given, &bytes, size);
            assert_eq!(end, "accepted after 4", "by {size}");
            let wanted =
                AmqpLimits { channel_max: agreed.0, frame_max: agreed.1, heartbeat: agreed.2 };
            assert_eq!(limits, wanted);
            let sent = sent.strip_prefix(b"AMQP\0\0\x09\x01").unwrap();
            let has = |part: &[u8]| sent.windows(part.len()).any(|found| found == part);
            assert!(has(&[&b"\x05PLAIN"[..], &long(response.as_bytes()), b"\x05en_US"].concat()));
            assert!(has(b"\x07productS\0\0\0\x06manada"));
            assert!(has(b"\x1cauthentication_failure_closet\x01"));
            assert!(has(&server_method(
                0,
                (10, 31),
                &[
                    &agreed.0.to_be_bytes(),
                    &u32::try_from(agreed.1).unwrap().to_be_bytes(),
                    &agreed.2.to_be_bytes(),
                ],
            )));
            assert!(has(&server_method(0, (10, 40), &[&short(host), &[0, 0]])));
            assert!(sent.ends_with(&server_method(1, (20, 10), &[&[0]])));
        }
    }
}

#[test]
fn refusals_have_the_words_of_the_broker() {
    let given = login(Some("u"), Some("hidden"), None);
    let begin = start([0, 9], "PLAIN");
    let tune = tune(1, 131_072, 60);
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN";
    let host = "NOT_ALLOWED - vhost nope not found";
    let long_host = login(None, None, Some(&"h".repeat(256)));
    for (given, bytes, wanted) in [
        (
            &given,
            [&begin[..], &close(0, 403, text, [0; 4])].concat(),
            format!("refused: 403 {text}"),
        ),
        (
            &given,
            [&begin[..], &tune, &close(0, 530, host, [0, 10, 0, 40])].concat(),
            format!("refused: 530 {host}"),
        ),
        (
            &given,
            start([0, 9], "EXTERNAL AMQPLAIN"),
            "refused: the broker offers `EXTERNAL AMQPLAIN`; PLAIN is supported".to_owned(),
        ),
        (
            &given,
            [&begin[..], &server_method(0, (10, 20), &[&long(b"x")])].concat(),
            "refused: the broker asks for more than user and password".to_owned(),
        ),
        (
            &long_host,
            [&begin[..], &tune].concat(),
            "refused: the name of the virtual host is longer than 255 bytes".to_owned(),
        ),
        (&given, b"AMQP\0\0\x09\x01".to_vec(), "broken: bad_reply".to_owned()),
        (&given, b"AMQP\x03\x01\0\0".to_vec(), "broken: bad_reply".to_owned()),
        (&given, b"HTTP/1.1 400 Bad Request\r\n".to_vec(), "broken: bad_reply".to_owned()),
        (&given, start([1, 0], "PLAIN"), "broken: bad_reply".to_owned()),
        (&given, tune.clone(), "broken: bad_reply".to_owned()),
        (&given, [&begin[..], &begin].concat(), "broken: bad_reply".to_owned()),
        (&given, server_method(0, (10, 10), &[&[0, 9, 0xff]]), "broken: bad_reply".to_owned()),
        (&given, frame(3, 0, b"x"), "broken: bad_reply".to_owned()),
        (&given, begin.clone(), "waits".to_owned()),
    ] {
        for size in 1..=bytes.len() {
            let (end, ..) = log_in(given, &bytes, size);
            assert_eq!(end, wanted, "by {size}");
            assert!(!end.contains("hidden"));
        }
    }
    let shown = format!("{:?}", AmqpLogin::new(&given));
    assert!(!shown.contains("hidden") && !shown.contains(&format!("{:?}", b"hidden")));
}
