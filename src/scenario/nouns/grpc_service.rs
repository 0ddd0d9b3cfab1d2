//! The field table of `grpc` of a service.
//!
//! `service::grpc` reads it.
//! Invariant: a service has one source of descriptors.

use crate::scenario::nouns::noun::ValueShape::{
    Constant, Fixed, List, OneOf, PositiveDuration, Size, Truth,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, Noun, key};

/// Maximum files and folders.
const MAX_FILES: usize = 256;

pub(crate) static GRPC_SERVICE: Noun = Noun {
    id: "grpc_service",
    title: "`grpc`",
    about: "The methods of a service that speaks gRPC, and how it is called.",
    form: "`{ proto: [shop.proto] }`",
    groups: &[&[
        key(
            "proto",
            OneOf(&[Fixed, List(1, Some(MAX_FILES), &Fixed)]),
            "`.proto` files, compiled when the scenario is loaded.",
        ),
        key(
            "include",
            OneOf(&[Fixed, List(1, Some(MAX_FILES), &Fixed)]),
            "Folders in which imports of `proto` are looked for.",
        )
        .otherwise("the folders of the files"),
        key(
            "descriptors",
            Fixed,
            "A set of descriptors instead, as `protoc --include_imports -o shop.pb` writes it.",
        ),
        key("reflection", Constant(true), "The server is asked for its methods before the run."),
        key("max_message", Size, "Largest message of a stream that is accepted, unpacked.")
            .default("4MiB"),
        key(
            "ping",
            PositiveDuration,
            "Silence of the target, while a call is open, after which a ping of HTTP/2 is sent.",
        )
        .otherwise("no pings"),
        key("pong", PositiveDuration, "Longest wait for the answer to a ping.").default("10s"),
        key("compress", Truth, "Compresses requests with gzip, and accepts such responses.")
            .default("false"),
    ]],
    rules: &[
        KeyRule::ExactlyOne(&["proto", "descriptors", "reflection"]),
        KeyRule::Excludes("descriptors", &["include"]),
        KeyRule::Excludes("reflection", &["include"]),
    ],
    ..EMPTY
};
