//! A request that is no HTTP as a command that repeats it: of redis-cli, psql, nc, dig, grpcurl,
//! mosquitto_sub or rabbitmqadmin.
//!
//! `exemplar` makes it for calls that failed, `trace` for a dry run.
//! Invariant: as of `curl`: one line without control characters, and without credentials.

use std::fmt::Write;

use super::curl::{octal, quoted};
use super::{repeat_broker, repeat_grpc, repeat_sql};
use crate::plan::operation::{BatchForm, Operation, ResponseEnd};
use crate::plan::{Address, Service};
use crate::protocol::Protocol;
use crate::redact::{MASK, Redactor};

/// The longest line.
const MAX: usize = 4 << 10;

/// Commands whose arguments are credentials.
const SENSITIVE: [&[u8]; 3] = [b"AUTH", b"HELLO", b"ACL"];

/// Returns the command that repeats a request, and whether it was shortened.
pub(crate) fn line(
    (service, address): (&Service, &Address),
    operation: &Operation,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> (String, bool) {
    let (host, port) = match &service.transport.connect_to {
        Some((host, port)) => (host, *port),
        None => (&address.host, address.port),
    };
    let host = quoted(host.as_bytes());
    let mut line = match operation {
        Operation::Redis(batch) => {
            let mut client = match &service.transport.unix {
                Some(path) => {
                    format!("redis-cli -s {}", quoted(path.as_os_str().as_encoded_bytes()))
                }
                None => format!("redis-cli -h {host} -p {port}"),
            };
            if address.tls {
                client.push_str(" --tls");
            }
            let database =
                service.transport.login.as_ref().and_then(|login| login.database.as_ref());
            if let Some(database) = database {
                let _ = write!(client, " -n {database}");
            }
            let commands = commands(bytes, redactor);
            if batch.form == BatchForm::Single {
                let words = commands.into_iter().next().unwrap_or_default();
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                format!("{client} {}", words.join(" "))
            } else {
                let mut typed = Vec::new();
                for words in commands {
                    let words: Vec<String> = words.iter().map(|word| of_redis_cli(word)).collect();
                    typed.extend_from_slice(words.join(" ").as_bytes());
                    typed.push(b'\n');
                }
                format!("printf '{}' | {client}", octal(&typed))
            }
        }
        Operation::Sql(statement) => {
            repeat_sql::line((service, address), statement, bytes, redactor)
        }
        Operation::Bytes(end) => {
            let shown = redactor.body(&bytes[..bytes.len().min(MAX)], "");
            let options = if *end == ResponseEnd::Datagram { "-u -w1" } else { "-w5" };
            format!("printf '{}' | nc {options} {host} {port}", octal(&shown))
        }
        Operation::Dns(question) => {
            let name = name_of(bytes, operation).unwrap_or_default();
            let (name, kind) = (quoted(&name), question.record.name());
            let recursion = if question.recursion { "" } else { " +norecurse" };
            let tcp = if address.protocol == Protocol::DnsTcp { " +tcp" } else { "" };
            format!("dig @{host} -p {port} {name} {kind}{tcp}{recursion}")
        }
        Operation::Grpc(call) => repeat_grpc::line((service, address), call, bytes, redactor),
        Operation::Session(session) => repeat_broker::session_line((service, address), session),
        Operation::Declare(plan) => {
            repeat_broker::declare_line((service, address), plan, bytes, redactor)
        }
        Operation::Topic(topic) => {
            repeat_broker::topic_line((service, address), topic, bytes, redactor)
        }
    };
    let is_cut = line.len() > MAX;
    if is_cut {
        let at = line.floor_char_boundary(MAX);
        line.truncate(at);
    }
    (line, is_cut)
}

/// What a step does, for a dry run: its first line.
pub(crate) fn describe(
    operation: &Operation,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> Vec<String> {
    let text = |words: &[Vec<u8>]| {
        let words: Vec<String> = words.iter().map(|word| of_redis_cli(word)).collect();
        words.join(" ")
    };
    match operation {
        Operation::Redis(_) => commands(bytes, redactor).iter().map(|words| text(words)).collect(),
        Operation::Sql(statement) => repeat_sql::describe(statement, bytes, redactor),
        Operation::Bytes(_) => vec![format!("{} bytes", bytes.len())],
        Operation::Dns(question) => {
            let name = name_of(bytes, operation).unwrap_or_default();
            vec![format!("{} {}", String::from_utf8_lossy(&name), question.record.name())]
        }
        Operation::Grpc(call) => repeat_grpc::describe(call, bytes, redactor),
        Operation::Session(_) => vec!["connect".to_owned()],
        Operation::Declare(plan) => vec![repeat_broker::describe(plan, bytes, redactor)],
        Operation::Topic(topic) => vec![repeat_broker::describe_topic(topic, bytes, redactor)],
    }
}

/// The words of each command in encoded commands, without secrets.
fn commands(bytes: &[u8], redactor: &Redactor<'_>) -> Vec<Vec<Vec<u8>>> {
    let (mut commands, mut rest) = (Vec::new(), bytes);
    while let Some((count, after)) = number_line(rest, b'*') {
        rest = after;
        let mut words: Vec<Vec<u8>> = Vec::new();
        for _ in 0..count {
            let Some((length, after)) = number_line(rest, b'$') else { break };
            let Some((word, after)) = after.split_at_checked(length) else { break };
            let is_hidden = words.first().is_some_and(|name: &Vec<u8>| {
                SENSITIVE.iter().any(|known| name.eq_ignore_ascii_case(known))
            });
            let shown = if is_hidden { MASK.as_bytes().to_vec() } else { redactor.body(word, "") };
            words.push(shown);
            rest = after.get(2..).unwrap_or_default();
        }
        commands.push(words);
    }
    commands
}

/// Reads a line of a type and a number.
fn number_line(bytes: &[u8], kind: u8) -> Option<(usize, &[u8])> {
    let rest = bytes.strip_prefix(&[kind])?;
    let end = memchr::memchr(b'\r', rest)?;
    let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((number, rest.get(end + 2..)?))
}

/// A word as redis-cli reads it from its standard input.
fn of_redis_cli(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !word.is_empty() && word.iter().all(is_plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let mut text = "\"".to_owned();
    for byte in word {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

/// The name of a question that was sent.
fn name_of(bytes: &[u8], operation: &Operation) -> Option<Vec<u8>> {
    if let Operation::Dns(question) = operation
        && let Some(name) = question.name.as_static()
    {
        return Some(name.to_vec());
    }
    // After the header of 12 bytes, or after the length of TCP and that.
    [12, 14].into_iter().find_map(|start| labels(bytes, start))
}

fn labels(bytes: &[u8], mut at: usize) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    loop {
        match usize::from(*bytes.get(at)?) {
            0 if name.is_empty() => return None,
            0 => return Some(name),
            length => {
                if !name.is_empty() {
                    name.push(b'.');
                }
                name.extend_from_slice(bytes.get(at + 1..at + 1 + length)?);
                at += 1 + length;
            }
        }
    }
}
