//! Field tables of steps that hold no other steps, and of their parts.
//!
//! `steps` lists them, `flow::control` and `flow::body` read them.
//! Invariant: as of `steps`.

use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    Any, Count, Fixed, PositiveDuration, Shared, Table, Template,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, Noun, key, map_of};

pub(crate) static PART: Noun = Noun {
    id: "part",
    title: "a part",
    about: "A part of a multipart body.",
    groups: &[&[
        key("file", Fixed, "File with its content."),
        key("value", Template, "Text of the part."),
        key("filename", Fixed, "File name that is sent.").otherwise("the file's"),
        key("type", Fixed, "Content type, such as image/png.")
            .otherwise("application/octet-stream for a file"),
    ]],
    rules: &[KeyRule::ExactlyOne(&["file", "value"])],
    ..EMPTY
};

/// Includes are expanded before steps are read.
pub(crate) static INCLUDE: Noun = Noun {
    id: "include",
    title: "this step",
    about: "Steps of another file.",
    groups: &[&[key("include", Fixed, "File with a list of steps.").needs("the name of a file")]],
    ..EMPTY
};

pub(crate) static RENDEZVOUS: Noun = Noun {
    id: "rendezvous",
    title: "this step",
    about: "A point where users wait for each other.",
    groups: &[&[key("rendezvous", Table(&GATHERING), "Number of users and longest wait.")
        .needs("a number of users and a wait")]],
    ..EMPTY
};

pub(crate) static GATHERING: Noun = Noun {
    id: "gathering",
    title: "a rendezvous",
    about: "The size of a rendezvous and its longest wait.",
    form: "`{ users: 5, wait: 2s }`",
    groups: &[&[
        key("users", Count(2, 10_000_000), "Users of the archetype that go on together.")
            .needs("a number of users, such as 5"),
        key("wait", PositiveDuration, "Longest wait, after which a user goes on alone.")
            .needs("the longest wait, such as 2s"),
    ]],
    ..EMPTY
};

pub(crate) static SET: Noun = Noun {
    id: "set",
    title: "this step",
    about: "An assignment of variables, one after the other.",
    groups: &[&[key("set", map_of(&Any), "Variables and their values.").needs("variables")]],
    ..EMPTY
};

pub(crate) static LOG: Noun = Noun {
    id: "log",
    title: "this step",
    about: "A line of the log; at most 32 per second and shard are shown, the others are counted.",
    groups: &[&[key("log", Template, "Text.").needs("a text")]],
    ..EMPTY
};

pub(crate) static PAUSE: Noun = Noun {
    id: "pause",
    title: "this step",
    about: "A wait, in addition to think time.",
    groups: &[&[key("pause", Shared(&DISTRIBUTION), "Duration.").needs("a duration such as 2s")]],
    ..EMPTY
};

pub(crate) static FORGET: Noun = Noun {
    id: "forget",
    title: "this step",
    about: "Removes values from all layers of a cache, unless others have replaced this user's.",
    groups: &[&[
        key("forget", Fixed, "Name of the cache.").needs("the name of a cache"),
        key("key", Template, "What the values belong to.").needs("a text such as '{{ row.user }}'"),
    ]],
    ..EMPTY
};
