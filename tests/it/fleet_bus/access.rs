//! Users, passwords, rules of access, and encrypted connections.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use manada::exit::ExitStatus;
use manada::fleet::bus::{BusHints, agent_rule, coordinator_rule};
use manada::fleet::protocol::{BusReply, BusRequest, FinalState, FleetSnapshot, Ledger, Ordinal};
use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;
use crate::harness::LIMIT;
use crate::tls::{Authority, authority};

#[test]
fn wrong_passwords_are_told_without_showing_them() {
    let redis = Redis::with(&["--requirepass", "correct-horse"]);
    let none = BusOptions::default();
    for user in ["", ":wrong-battery@", "somebody:wrong-battery@"] {
        let error = refused(&format!("redis://{user}{}", redis.address), &none);
        assert!(matches!(error, BusError::WrongPassword { .. }), "{error}");
        assert_eq!(error.ending(), ExitStatus::Broken);
        let text = error.to_string();
        assert!(!text.contains("battery") && text.contains("MANADA_BUS_PASSWORD"), "{text}");
    }
    let right = address(&format!("redis://:correct-horse@{}", redis.address));
    assert!(Client::open(&right, RUN, PATIENT).is_ok());
}

/// Sets a user up with a rule and a password; returns a connection and a client of it.
fn user(redis: &Redis, rule: &str, name: &str) -> (redis::Connection, Client) {
    let mut operator = operator(redis);
    run::<()>(&mut operator, rule);
    run::<()>(&mut operator, &format!("ACL SETUSER {name} >secret-of-{name}"));
    let url = format!("redis://{name}:secret-of-{name}@{}", redis.address);
    let connection = redis::Client::open(url.as_str()).unwrap().get_connection().unwrap();
    (connection, Client::open(&address(&url), RUN, PATIENT).unwrap())
}

#[test]
fn rules_permit_what_the_protocol_needs_and_nothing_else() {
    let redis = Redis::start();
    let (_, mut leader) = user(&redis, &coordinator_rule(RUN, "boss").unwrap(), "boss");
    let (mut raw, mut agent) = user(&redis, &agent_rule(RUN, "agent").unwrap(), "agent");
    let polled = poll(&mut leader, &[]);
    assert!(leader.put_new("setup", b"variables").unwrap());
    leader.put("blob:12", b"a file").unwrap();
    let me = member(0, 3);
    let state = FinalState { intervals: 1, until: RunOffset::ZERO, sum: vec![1] };
    let requests = [
        BusRequest::Look { ordinal: Ordinal(0) },
        BusRequest::Join { after: None, heartbeat: heartbeat(me, 1) },
        BusRequest::Beat { heartbeat: heartbeat(me, 2) },
        BusRequest::Append { stream: stream(me), frame: frame(1, 1) },
        BusRequest::WriteFinal { member: me, state },
    ];
    for request in requests {
        let reply = agent.carry_out(&request);
        assert!(!matches!(reply, BusReply::Failed), "{request:?}: {:?}", agent.last_error());
    }
    assert_eq!(agent.get("setup").unwrap().as_deref(), Some(&b"variables"[..]));
    assert_eq!(agent.get("blob:12").unwrap().as_deref(), Some(&b"a file"[..]));
    // What the coordinator sets once for all agents.
    assert!(
        leader.put_new("once:seed", b"x").unwrap() && !leader.put_new("once:seed", b"y").unwrap()
    );
    assert!(agent.get("once:seed").unwrap().is_some());
    assert!(matches!(agent.put("once:other", b"x"), Err(BusError::NoPermission { .. })));
    // The coordinator: all of its requests.
    let limits = vec![manada::fleet::protocol::HorizonLimit { member: me, from: RunOffset::NEVER }];
    let snapshot = FleetSnapshot { token: 1, number: 1, ledger: Ledger::default() };
    let requests = [
        BusRequest::WriteControl {
            expected: None,
            instance: polled.instance,
            deadline: NEVER,
            limits,
            record: record(1, 1).into(),
        },
        BusRequest::WriteSnapshot { token: 1, snapshot: snapshot.into() },
        BusRequest::Trim { stream: stream(me), last: 0 },
        BusRequest::ReadSnapshot,
    ];
    for request in requests {
        let reply = leader.carry_out(&request);
        let is_done = matches!(reply, BusReply::Written | BusReply::Snapshot(Some(_)));
        assert!(is_done, "{request:?}: {reply:?}: {:?}", leader.last_error());
    }
    let polled = poll(&mut leader, &[(stream(me), 0)]);
    assert_eq!((polled.heartbeats.len(), polled.frames.len(), polled.finals.len()), (1, 1, 1));
    forbidden(&mut raw);
    // What is refused names itself.
    let error = agent.put("setup", b"mine").unwrap_err();
    assert!(matches!(error, BusError::NoPermission { .. }), "{error}");
    assert!(error.to_string().contains("--acl"), "{error}");
    assert_eq!(error.ending(), ExitStatus::Broken);
    let url = format!("redis://agent:secret-of-agent@{}", redis.address);
    let (hints, hears) = hints(&address(&url));
    hears.recv_timeout(LIMIT).expect("a subscription");
    let expected = Some(Revision { token: 1, number: 1 });
    let reply = write_control(&mut leader, expected, polled.instance, record(1, 2));
    assert!(matches!(reply, BusReply::Written), "{reply:?}");
    hears.recv_timeout(LIMIT).expect("a hint");
    drop(hints);
}

/// Starts hints, and returns where they come out.
fn hints(address: &BusAddress) -> (BusHints, Receiver<()>) {
    let (heard, hears) = sync_channel(64);
    let hints = BusHints::start(address, RUN, move || {
        let _ = heard.try_send(());
    });
    (hints.unwrap(), hears)
}

/// What an agent must not do.
fn forbidden(agent: &mut redis::Connection) {
    let (run_keys, other) = ("manada:{r1}", "manada:{r2}");
    for line in [
        format!("SET {run_keys}:control x"),
        format!("SET {run_keys}:snapshot x"),
        format!("SET {run_keys}:setup x"),
        format!("SET {run_keys}:blob:12 x"),
        format!("SET {run_keys}:beat:0 x"),
        format!("GET {run_keys}:snapshot"),
        format!("GET {run_keys}:final:0:3"),
        format!("XADD {run_keys}:control 1-0 f x"),
        format!("XADD {run_keys}:final:0:3 1-0 f x"),
        format!("XREVRANGE {run_keys}:delta:0:3:0 + -"),
        format!("XTRIM {run_keys}:delta:0:3:0 MINID 9"),
        format!("XDEL {run_keys}:delta:0:3:0 1-0"),
        format!("DEL {run_keys}:beat:0"),
        format!("EXPIRE {run_keys}:control 1"),
        format!("PUBLISH {run_keys}:wake x"),
        format!("SUBSCRIBE {other}:wake"),
        "EVAL return(1) 0".to_owned(),
        format!("GET {other}:control"),
        format!("GET {other}:setup"),
        format!("XADD {other}:beat:0 1-0 f x"),
        format!("SET {other}:final:0:3 x"),
        format!("WATCH {other}:beat:0"),
        "KEYS *".to_owned(),
        "SCAN 0".to_owned(),
        "FLUSHALL".to_owned(),
        "CONFIG GET dir".to_owned(),
        "ACL LIST".to_owned(),
        "CLIENT LIST".to_owned(),
        "SHUTDOWN NOW".to_owned(),
    ] {
        let error = try_run::<redis::Value>(agent, &line).expect_err(&line);
        assert_eq!(error.code(), Some("NOPERM"), "{line}: {error}");
    }
}

/// Writes a certificate for this machine and its key; returns their paths.
fn certificate(authority: &Authority, folder: &Path, name: &str) -> [String; 2] {
    certificate_with(authority, folder, name, |_| {})
}

/// Writes a certificate for this machine, with changes, and its key; returns their paths.
pub(crate) fn certificate_with(
    authority: &Authority,
    folder: &Path,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> [String; 2] {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let files = [("crt", certificate.pem()), ("key", key.serialize_pem())];
    files.map(|(end, text)| {
        let path = folder.join(format!("{name}.{end}"));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

/// A Redis that speaks TLS alone, with these files: certificate, key, authority of clients.
pub(crate) fn encrypted(files: &[&str; 3], is_mutual: bool) -> Redis {
    let [cert, key, ca] = files;
    Redis::with(&[
        "--port",
        "0",
        "--tls-port",
        "PORT",
        "--tls-cert-file",
        cert,
        "--tls-key-file",
        key,
        "--tls-ca-cert-file",
        ca,
        "--tls-auth-clients",
        if is_mutual { "yes" } else { "no" },
    ])
}

#[test]
fn encrypted_bus_is_used_with_its_authority_and_with_client_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let (own, strange) = (authority(), authority());
    let [cert, key] = certificate(&own, folder.path(), "server");
    let [client_cert, client_key] = certificate(&own, folder.path(), "client");
    let [strange_cert, strange_key] = certificate(&strange, folder.path(), "strange");
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, own.pem()).unwrap();
    let with = |cert: Option<(&String, &String)>| BusOptions {
        ca: Some(ca.clone()),
        cert: cert.map(|(cert, _)| cert.into()),
        key: cert.map(|(_, key)| key.into()),
        allow_plaintext: false,
    };
    for is_mutual in [false, true] {
        let redis = encrypted(&[&cert, &key, ca.to_str().unwrap()], is_mutual);
        let url = format!("rediss://{}", redis.address);
        let own = is_mutual.then_some((&client_cert, &client_key));
        let address = BusAddress::parse(&url, &with(own)).unwrap();
        assert!(address.is_encrypted());
        let mut bus = Client::open(&address, RUN, PATIENT).unwrap();
        beaten(&mut bus, heartbeat(member(0, 3), 1));
        let (hints, hears) = hints(&address);
        hears.recv_timeout(LIMIT).expect("a subscription over TLS");
        drop(hints);
        // An authority that is not known, and no encryption at all.
        let error = refused(&url, &BusOptions { ca: None, ..with(own) });
        assert!(matches!(error, BusError::Tls { .. }), "{error}");
        assert!(error.to_string().contains("--bus-ca"), "{error}");
        let error = refused(&format!("redis://{}", redis.address), &BusOptions::default());
        assert!(error.to_string().contains("rediss://"), "{error}");
        if is_mutual {
            let error = refused(&url, &with(None));
            assert!(error.to_string().contains("--bus-cert"), "{error}");
            let error = refused(&url, &with(Some((&strange_cert, &strange_key))));
            assert!(matches!(error, BusError::Tls { .. }), "{error}");
        }
    }
}
