//! Field tables of the step that calls a PostgreSQL server.
//!
//! `flow::sql` reads them.
//! Invariant: as of `operations`, of which they have the common keys.

use crate::plan::operation::SqlMode;
use crate::scenario::nouns::noun::ValueShape::{
    Count, Fixed, List, Null, OneOf, Table, Template, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, Noun, key, map_of, words};
use crate::scenario::nouns::operations::{
    CALL, CAPTURED, CHECKED, CONDITIONED, CONDITIONS, EXPECTED, OUTCOME, SOURCES,
};

/// Maximum parameters of a statement, and rows that a check expects exactly.
pub(crate) const MAX_PARAMS: usize = 1_024;
pub(crate) const MAX_ROWS: u64 = 1 << 40;

pub(crate) static SQL: Noun = Noun {
    id: "sql",
    title: "this step",
    about: "A statement to a PostgreSQL server.",
    form: "a step such as `{ sql: \"select price from products where id = $1\", params: [ 7 ] }`",
    groups: &[
        &[
            key(
                "sql",
                Template,
                "The statement: a fixed text, whose values are `params`. With `mode: simple` it \
                 may have templates, and several statements.",
            )
            .needs("a statement such as \"select 1\""),
            key(
                "params",
                List(1, Some(MAX_PARAMS), &OneOf(&[Null, Template])),
                "Values of `$1`, `$2` and so on, as texts; null is null.",
            ),
            key(
                "mode",
                Words(&words(&SqlMode::NAMES)),
                "`prepared`: parsed once per connection; `extended`: parsed in each call; \
                 `simple`: a text without parameters.",
            )
            .default("prepared"),
        ],
        CALL,
        &[
            key("capture", map_of(&Table(&SQL_CAPTURE)), "Variables set from the response."),
            key("check", Table(&SQL_CHECK), CHECKED),
            key("expect", Table(&SQL_CHECK), EXPECTED),
        ],
        OUTCOME,
    ],
    ..EMPTY
};

pub(crate) static SQL_CAPTURE: Noun = Noun {
    id: "sql_capture",
    title: "a capture",
    about: CAPTURED,
    form: "`{ column: price }`, `{ value: true }` or `{ json: \"$[0].price\" }`",
    groups: &[
        &[key(
            "column",
            Fixed,
            "The value of this column: in the first row, or in those that `pick` names.",
        )],
        SOURCES,
    ],
    rules: &[KeyRule::ExactlyOne(&["column", "value", "json", "regex"])],
    ..EMPTY
};

pub(crate) static SQL_CHECK: Noun = Noun {
    id: "sql_check",
    title: "a check",
    about: CONDITIONED,
    groups: &[
        &[key(
            "rows",
            OneOf(&[Count(0, MAX_ROWS), Fixed]),
            "Rows that the statement returned or changed: a number, or a bound such as `\"> 0\"`.",
        )],
        CONDITIONS,
    ],
    ..EMPTY
};
