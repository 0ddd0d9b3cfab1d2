//! The field table of `grpc` of a service.
//!
//! `service::grpc` reads it.
//! Invariant: a service has one source of descriptors.

use crate::scenario::nouns::noun::ValueShape::{Fixed, List, OneOf, Size, Truth};
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
        key("max_message", Size, "Largest message of a stream that is accepted, unpacked.")
            .default("4MiB"),
        key("compress", Truth, "Compresses requests with gzip, and accepts such responses.")
            .default("false"),
    ]],
    rules: &[
        KeyRule::ExactlyOne(&["proto", "descriptors"]),
        KeyRule::Excludes("descriptors", &["include"]),
    ],
    ..EMPTY
};
