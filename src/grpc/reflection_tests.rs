//! Tests of reflection without sockets: servers that are right, and servers that are not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::reflection::{ReflectedFiles, ReflectionError, ReflectionVersion, method};
use super::schema::Schema;

/// A file descriptor: its name, its imports, and further bytes.
fn file(name: &str, imports: &[&str], more: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut field = |number: u8, text: &str| {
        bytes.extend([number << 3 | 2, u8::try_from(text.len()).unwrap()]);
        bytes.extend(text.as_bytes());
    };
    field(1, name);
    imports.iter().for_each(|import| field(3, import));
    bytes.extend(more);
    bytes
}

fn files(all: &[Vec<u8>]) -> Value {
    let texts: Vec<String> = all.iter().map(|file| STANDARD.encode(file)).collect();
    json!({ "fileDescriptorResponse": { "fileDescriptorProto": texts } })
}

fn services(names: &[&str]) -> Value {
    let all: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    json!({ "listServicesResponse": { "service": all } })
}

/// Asks a server that answers a request as `answer` says; returns the set and the requests.
fn ask(answer: impl Fn(&Value) -> Value) -> (Result<Vec<u8>, ReflectionError>, Vec<Value>) {
    let (mut found, mut requests) = (ReflectedFiles::default(), Vec::new());
    while let Some(request) = found.next_request() {
        let request: Value = serde_json::from_slice(&request).unwrap();
        requests.push(request.clone());
        if let Err(error) = found.take(answer(&request).to_string().as_bytes()) {
            return (Err(error), requests);
        }
    }
    (found.into_set(), requests)
}

#[test]
fn imports_are_asked_for_once_and_stand_first() {
    let (set, requests) = ask(|request| match request {
        request if request["listServices"].is_string() => {
            services(&["grpc.reflection.v1alpha.ServerReflection", "a.A", "b.B"])
        }
        request if request["fileContainingSymbol"] == "a.A" => {
            files(&[file("a.proto", &["c.proto", "google/protobuf/empty.proto"], b"")])
        }
        request if request["fileContainingSymbol"] == "b.B" => {
            files(&[file("b.proto", &["c.proto", "a.proto"], b"")])
        }
        request if request["fileByFilename"] == "c.proto" => files(&[file("c.proto", &[], b"")]),
        _ => json!({ "errorResponse": { "errorCode": 5, "errorMessage": "not found" } }),
    });
    let set = set.unwrap();
    let at = |name: &[u8]| memchr::memmem::find(&set, name).unwrap();
    assert!(at(b"\x0a\x07c.proto") < at(b"\x0a\x07a.proto"), "{set:?}");
    assert!(at(b"\x0a\x07a.proto") < at(b"\x0a\x07b.proto"), "{set:?}");
    let wanted = [
        json!({ "listServices": "*" }),
        json!({ "fileContainingSymbol": "a.A" }),
        json!({ "fileContainingSymbol": "b.B" }),
        json!({ "fileByFilename": "c.proto" }),
        json!({ "fileByFilename": "google/protobuf/empty.proto" }),
    ];
    assert_eq!(requests, wanted);
    Schema::decode(&set).unwrap();
}

#[test]
fn servers_that_are_wrong_are_named() {
    let with = |reply: Value| {
        let answer = move |request: &Value| {
            if request["listServices"].is_string() { services(&["a.A"]) } else { reply.clone() }
        };
        ask(answer).0.unwrap_err()
    };
    let text = |reply: Value| with(reply).to_string();
    let looped = files(&[file("a", &["b"], b""), file("b", &["c"], b""), file("c", &["a"], b"")]);
    assert_eq!(text(looped), "files of descriptors import each other in a loop: a → b → c → a");
    let own = files(&[file("a", &["a"], b"")]);
    assert_eq!(text(own), "files of descriptors import each other in a loop: a → a");
    let error = json!({ "errorResponse": { "errorCode": 5, "errorMessage": "x".repeat(999) } });
    assert_eq!(with(error), ReflectionError::Missing("a.A".to_owned(), "x".repeat(300)));
    let silent = json!({ "errorResponse": { "errorCode": 13 } });
    assert_eq!(text(silent), "the server has no descriptors of `a.A`: status 13");
    assert!(matches!(with(files(&[b"\x0a\x09a".to_vec()])), ReflectionError::Malformed(_)));
    assert!(matches!(with(files(&[Vec::new()])), ReflectionError::Malformed(_)));
    assert_eq!(with(services(&["a.A"])), ReflectionError::Foreign);
    assert_eq!(with(json!({})), ReflectionError::Foreign);
    assert_eq!(with(json!([1])), ReflectionError::Foreign);
    let large = file("a", &[], &[vec![0x7a, 0x80, 0x80, 0x80, 8], vec![0; 16 << 20]].concat());
    assert_eq!(with(files(&[large])), ReflectionError::Bytes);
    assert_eq!(ask(|_| services(&[])).0, Err(ReflectionError::Empty));
}

#[test]
fn a_server_without_an_end_is_left() {
    let count = std::cell::Cell::new(0);
    let (set, requests) = ask(|request| {
        count.set(count.get() + 1);
        if request["listServices"].is_string() {
            return services(&["a.A"]);
        }
        let next = format!("{}", count.get());
        files(&[file(&format!("{}", count.get() - 1), &[&next], b"")])
    });
    assert_eq!(set, Err(ReflectionError::Files));
    assert!(requests.len() <= 2_001, "{}", requests.len());
}

#[test]
fn both_versions_have_their_method() {
    for (version, name) in [
        (ReflectionVersion::V1, "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
        (
            ReflectionVersion::V1Alpha,
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ),
    ] {
        let method = method(version).unwrap();
        assert_eq!(method.name, name);
        assert_eq!(method.input.encode(b"{\"listServices\":\"*\"}").unwrap(), b"\x3a\x01*");
    }
}
