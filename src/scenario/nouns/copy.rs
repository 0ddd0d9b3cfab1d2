//! Field table of the step that copies rows into a table of PostgreSQL.
//!
//! `flow::copy` reads it.
//! Invariant: as of `operations`, of which it has the common keys.

use crate::scenario::nouns::noun::ValueShape::{
    Count, Fixed, List, Null, OneOf, Table, Template, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, Noun, key, map_of, words};
use crate::scenario::nouns::operations::{CALL, CHECKED, EXPECTED, OUTCOME};
use crate::scenario::nouns::sql::{MAX_PARAMS, SQL_CAPTURE, SQL_CHECK};

/// The most rows of a call.
pub(crate) const MAX_COPIED: u64 = 100_000;

/// The formats of data, as SQL calls them.
pub(crate) const FORMATS: [(&str, &str); 3] =
    [("text", "text"), ("csv", "csv"), ("binary", "binary")];

pub(crate) static COPY: Noun = Noun {
    id: "copy",
    title: "this step",
    about: "Copies rows into a table of a PostgreSQL server.",
    form: "a step such as `{ copy: products (id, name), row: [ 7, cup ] }`",
    groups: &[
        &[
            key("copy", Fixed, "The table, with its columns: `products (id, name)`.")
                .needs("a table such as \"products (id, name)\""),
            key(
                "row",
                List(1, Some(MAX_PARAMS), &OneOf(&[Null, Template])),
                "The values of a row, as texts; null is null.",
            ),
            key("count", Count(1, MAX_COPIED), "How many such rows a call copies.").default("1"),
            key("body", Template, "The rows as data."),
            key("file", Fixed, "File with the rows as data."),
            key("format", Words(&words(&FORMATS)), "Format of the data.").otherwise("text"),
        ],
        CALL,
        &[
            key("capture", map_of(&Table(&SQL_CAPTURE)), "Variables set from the response."),
            key("check", Table(&SQL_CHECK), CHECKED),
            key("expect", Table(&SQL_CHECK), EXPECTED),
        ],
        OUTCOME,
    ],
    rules: &[KeyRule::ExactlyOne(&["row", "body", "file"])],
    ..EMPTY
};
