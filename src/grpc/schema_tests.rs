//! Tests of schemas: compiled from sources, read from sets, messages as JSON and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{GrpcMethod, Schema};

const SHOP: &str = r#"
syntax = "proto3";
package shop.v1;
import "google/protobuf/timestamp.proto";
import "common/money.proto";
message Item {
  string sku = 1;
  int32 count = 2;
  int64 stock_id = 3;
  google.protobuf.Timestamp at = 4;
  common.Money price = 5;
  repeated Item parts = 6;
  map<string, int32> sizes = 7;
}
message Added { uint32 total = 1; bool first = 2; }
service Cart {
  rpc Add(Item) returns (Added);
  rpc Get(Item) returns (Added) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Watch(Item) returns (stream Added);
}
"#;
const MONEY: &str = "syntax = \"proto3\";\npackage common;\nmessage Money { int64 cents = 1; }\n";

/// Compiles files in a folder `in`.
fn compile(files: &[(&str, &str)], names: &[&str]) -> Result<Schema, String> {
    let files: BTreeMap<PathBuf, Vec<u8>> = files
        .iter()
        .map(|(name, text)| (Path::new("in").join(name), text.as_bytes().to_vec()))
        .collect();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let read = move |path: &Path| Ok(files.get(path).cloned());
    Schema::compile(&names, &["none".into(), "in".into()], Box::new(read))
}

fn shop() -> Schema {
    compile(&[("shop.proto", SHOP), ("common/money.proto", MONEY)], &["shop.proto"]).unwrap()
}

fn method(name: &str) -> GrpcMethod {
    GrpcMethod::find(&shop(), name).unwrap()
}

#[test]
fn methods_are_found_by_their_whole_name() {
    let names = shop().method_names();
    assert_eq!(names, ["shop.v1.Cart/Add", "shop.v1.Cart/Get", "shop.v1.Cart/Watch"]);
    assert!(
        !method("shop.v1.Cart/Add").is_idempotent
            && !method("shop.v1.Cart/Add").is_server_streaming
    );
    assert!(method("shop.v1.Cart/Get").is_idempotent);
    let watch = method("shop.v1.Cart/Watch");
    assert_eq!((watch.is_client_streaming, watch.is_server_streaming), (false, true));
    for unknown in ["shop.v1.Cart/add", "Cart/Add", "shop.v1.Cart", "/", ""] {
        assert!(GrpcMethod::find(&shop(), unknown).is_none(), "{unknown}");
    }
}

#[test]
fn messages_are_transcoded_both_ways() {
    let add = method("shop.v1.Cart/Add");
    let json = br#"{"sku":"a1","count":3,"stock_id":"9007199254740993","price":{"cents":5},
        "at":"2026-01-02T03:04:05Z","parts":[{"sku":"b"}],"sizes":{"m":1}}"#;
    let bytes = add.input.encode(json).unwrap();
    // Field 1, length 2; field 2, varint 3.
    assert_eq!(&bytes[..6], b"\x0a\x02a1\x10\x03");
    let back: serde_json::Value =
        serde_json::from_slice(&add.input.to_json(&bytes).unwrap()).unwrap();
    assert_eq!(back["stockId"], "9007199254740993");
    assert_eq!(back["at"], "2026-01-02T03:04:05Z");
    assert_eq!(back["parts"][0]["count"], 0, "fields with default values are there");
    assert_eq!(add.output.to_json(b"").unwrap(), br#"{"total":0,"first":false}"#);

    for (json, why) in [
        (r#"{"skuu":"a"}"#, "skuu"),
        (r#"{"count":"three"}"#, "invalid digit"),
        (r#"{"count":3000000000}"#, "out of range"),
        (r#"{"count":3"#, "EOF"),
        (r"{} x", "trailing"),
    ] {
        let error = add.input.encode(json.as_bytes()).unwrap_err();
        assert!(error.contains(why) && !error.contains(" at line "), "{json}: {error}");
    }
    assert!(add.output.to_json(b"\x08").is_err(), "a cut varint");
    assert!(add.input.to_json(b"\x0a\xff\xff\xff\xff\x0f").is_err(), "a length beyond the end");
}

#[test]
fn requests_are_frames_and_can_be_shown() {
    let add = method("shop.v1.Cart/Add");
    for is_compressed in [false, true] {
        let mut frame = Vec::new();
        add.write_request(br#"{"sku":"a1"}"#, is_compressed, &mut frame).unwrap();
        assert_eq!(frame[0], u8::from(is_compressed));
        let shown = String::from_utf8(add.request_as_json(&frame).unwrap()).unwrap();
        assert!(shown.starts_with(r#"{"sku":"a1","count":0"#), "{shown}");
    }
    assert!(add.request_as_json(b"\0\0").is_none());
}

#[test]
fn fields_are_known_by_both_names_and_types_with_json_of_their_own_have_none() {
    let item = method("shop.v1.Cart/Add").input;
    assert_eq!(item.name(), "shop.v1.Item");
    assert!(matches!(item.field("stock_id"), Some(None)));
    assert!(matches!(item.field("stockId"), Some(None)));
    assert_eq!(item.field("price").flatten().unwrap().name(), "common.Money");
    assert_eq!(item.field("parts").flatten().unwrap().name(), "shop.v1.Item");
    assert!(matches!(item.field("at"), Some(None)));
    assert!(matches!(item.field("sizes"), Some(None)));
    assert!(item.field("size").is_none());
    assert_eq!(item.field_names().len(), 7);
}

#[test]
fn a_malformed_file_is_named_with_its_place() {
    let error = compile(&[("a.proto", "syntax = \"proto3\";\nmessage {}")], &["a.proto"]);
    let error = error.unwrap_err();
    assert!(error.starts_with("a.proto:2:9: "), "{error}");
    let error = compile(&[("shop.proto", SHOP)], &["shop.proto"]).unwrap_err();
    assert!(error.contains("shop.proto:5:") && error.contains("common/money.proto"), "{error}");
    let unknown = "syntax = \"proto3\";\nmessage A { B b = 1; }";
    let error = compile(&[("a.proto", unknown)], &["a.proto"]).unwrap_err();
    assert!(error.contains("a.proto:2:"), "{error}");
    let looped = [
        ("a.proto", "syntax = \"proto3\"; import \"b.proto\";"),
        ("b.proto", "syntax = \"proto3\"; import \"a.proto\";"),
    ];
    assert!(compile(&looped, &["a.proto"]).unwrap_err().contains("cycle"));
    assert!(compile(&[], &["a.proto"]).is_err());
}

#[test]
fn a_set_of_descriptors_is_a_schema() {
    // Of a file `p.proto` with package p, a message M and a service S with a method F(M) → M.
    let set = b"\x0a\x27\x0a\x07p.proto\x12\x01p\x22\x03\x0a\x01M\x32\x14\x0a\x01S\x12\x0f\
        \x0a\x01F\x12\x04.p.M\x1a\x04.p.M";
    let schema = Schema::decode(set);
    let error = Schema::decode(b"no set of descriptors").unwrap_err();
    assert!(!error.is_empty());
    assert_eq!(schema.unwrap().method_names(), ["p.S/F"]);
}
