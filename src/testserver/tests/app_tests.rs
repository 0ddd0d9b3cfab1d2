//! Channels over one socket, from outside.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::websocket_tests::{SocketClient, check, open, read_all, read_text, wait_for};
use super::*;

fn tell(client: &mut SocketClient, message: &Value) {
    client.send(Message::text(message.to_string())).unwrap();
}

fn hear(client: &mut SocketClient) -> Value {
    serde_json::from_str(&read_text(client)).unwrap()
}

fn ask(client: &mut SocketClient, message: &Value) -> Value {
    tell(client, message);
    hear(client)
}

/// The token of a user for a channel, by the default secret.
fn token(user: &str, channel: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"manada");
    let tag = ring::hmac::sign(&key, format!("{user}:{channel}").as_bytes());
    tag.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn subscribe(user: &str, channel: &str) -> Value {
    json!({ "type": "subscribe", "channel": channel, "token": token(user, channel) })
}

#[test]
fn what_is_said_reaches_subscribers_alone() {
    let target = Running::start(config());
    let [mut ana, mut ben, mut eve] =
        ["ana", "ben", "eve"].map(|user| open(&target, &format!("/ws/app?user={user}")));
    let news = json!({ "type": "subscribe", "channel": "public.news", "ref": 7 });
    let subscribed = json!({ "type": "subscribed", "channel": "public.news", "ref": 7 });
    for client in [&mut ana, &mut ben, &mut eve] {
        assert_eq!(ask(client, &news), subscribed);
    }
    let unsubscribe = json!({ "type": "unsubscribe", "channel": "public.news" });
    assert_eq!(ask(&mut eve, &unsubscribe)["type"], "unsubscribed");
    let say = json!({ "type": "say", "channel": "public.news", "data": { "n": [1, "é"] } });
    let said = json!({
        "type": "said", "channel": "public.news", "user": "ana", "data": { "n": [1, "é"] },
    });
    assert_eq!(ask(&mut ana, &say), said);
    assert_eq!(hear(&mut ben), said);
    assert_eq!(ask(&mut eve, &say)["error"], "not_subscribed");
    let stats = wait_for(&target, "/streams/sent", 3 + 1 + 2 + 1);
    check(&stats, &[("received", 6), ("open", 3)]);
    target.stop();
}

#[test]
fn private_channels_need_the_token_of_their_user() {
    let target = Running::start(config());
    let mut ana = open(&target, "/ws/app?user=ana");
    for (message, error) in [
        (subscribe("ben", "private.a"), "unauthorized"),
        (json!({ "type": "subscribe", "channel": "private.a" }), "unauthorized"),
        (json!({ "type": "subscribe", "channel": "presence.a", "token": "00" }), "unauthorized"),
        (json!({ "type": "subscribe", "channel": "other.a" }), "unknown_channel"),
        (json!({ "type": "say", "channel": "private.a", "data": 1 }), "not_subscribed"),
        (json!({ "type": "here", "channel": "presence.a" }), "not_subscribed"),
        (json!({ "type": "unsubscribe", "channel": "private.a" }), "not_subscribed"),
        (json!({ "type": "explode" }), "unknown_type"),
        (json!([1]), "invalid_message"),
    ] {
        let answer = ask(&mut ana, &message);
        assert_eq!((&answer["type"], &answer["error"]), (&json!("error"), &json!(error)));
    }
    assert_eq!(ask(&mut ana, &subscribe("ana", "private.a"))["type"], "subscribed");
    let say = json!({ "type": "say", "channel": "private.a", "data": 1, "ref": "x" });
    assert_eq!(ask(&mut ana, &say)["ref"], "x");
    assert_eq!(ask(&mut ana, &json!({ "type": "ping", "ref": 1 }))["type"], "pong");
    target.stop();
}

#[test]
fn presence_lists_and_announces_users_exactly() {
    let target = Running::start(TestServerConfig { threads: 2, ..config() });
    let channel = "presence.room";
    let join = |user: &str| {
        let mut client = open(&target, &format!("/ws/app?user={user}"));
        assert_eq!(ask(&mut client, &subscribe(user, channel))["type"], "subscribed");
        let here = hear(&mut client);
        (client, here["members"].clone())
    };
    let (mut ana, here) = join("ana");
    assert_eq!(here, json!(["ana"]));
    let (mut ben, here) = join("ben");
    assert_eq!(here, json!(["ana", "ben"]));
    let change = |kind: &str, user: &str| json!({ "type": kind, "channel": channel, "user": user });
    assert_eq!(hear(&mut ana), change("join", "ben"));
    // A second connection of a user is not announced, nor its end.
    let (mut again, here) = join("ben");
    assert_eq!(here, json!(["ana", "ben"]));
    again.close(None).unwrap();
    read_all(&mut again);
    wait_for(&target, "/streams/open", 2);
    let ask_here = json!({ "type": "here", "channel": channel });
    assert_eq!(ask(&mut ana, &ask_here)["members"], json!(["ana", "ben"]));
    // One leaves by a message, one by closing without a word.
    let unsubscribe = json!({ "type": "unsubscribe", "channel": channel });
    assert_eq!(ask(&mut ben, &unsubscribe)["type"], "unsubscribed");
    assert_eq!(hear(&mut ana), change("leave", "ben"));
    assert_eq!(ask(&mut ben, &subscribe("ben", channel))["type"], "subscribed");
    assert_eq!(hear(&mut ben)["members"], json!(["ana", "ben"]));
    assert_eq!(hear(&mut ana), change("join", "ben"));
    drop(ana);
    assert_eq!(hear(&mut ben), change("leave", "ana"));
    target.stop();
}

#[test]
fn messages_beyond_the_rate_are_refused() {
    let target = Running::start(config());
    let mut client = open(&target, "/ws/app?rate=3/s");
    let answers: Vec<Value> =
        (0..6).map(|_| ask(&mut client, &json!({ "type": "ping" }))["type"].clone()).collect();
    let refused = answers.iter().filter(|answer| **answer == "error").count();
    assert!((2..=3).contains(&refused), "{answers:?}");
    wait_for(&target, "/streams/rate_limited", refused as u64);
    target.stop();
}
