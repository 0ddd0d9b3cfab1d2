//! Field tables of a file of prices.
//!
//! `scenario::prices` reads them.
//! Invariant: no price is negative.

use crate::scenario::nouns::noun::ValueShape::{
    self, Count, Fixed, Number, OneOf, PositiveDuration, Table,
};
use crate::scenario::nouns::noun::{EMPTY, Noun, key};

/// A price.
const PRICE: ValueShape = Number(0.0, 1e9);

pub(crate) static PRICES: Noun = Noun {
    id: "prices",
    title: "a file of prices",
    about: "Prices of what a load generator uses, for `manada plan --cost`. A GB has 10⁹ bytes.",
    form: "`{ prices: 1, currency: EUR, cpu_core_hour: 0.04 }`",
    groups: &[&[
        key("prices", Count(1, 1), "Version of the file.").needs("`prices: 1`, its version"),
        key("currency", Fixed, "Currency, as shown after an amount.").default("USD"),
        key("cpu_core_hour", PRICE, "Price of a core for an hour.").default("0"),
        key("memory_gb_hour", PRICE, "Price of a GB of memory for an hour.").default("0"),
        key(
            "network_gb",
            OneOf(&[PRICE, Table(&NETWORK_PRICES)]),
            "Price of a GB over the network, of each direction or of both.",
        )
        .default("0"),
        key("storage_gb_hour", PRICE, "Price of a GB of storage for an hour.").default("0"),
        key("keep", PositiveDuration, "How long the files of a run are kept.").default("30d"),
    ]],
    ..EMPTY
};

pub(crate) static NETWORK_PRICES: Noun = Noun {
    id: "network_prices",
    title: "`network_gb`",
    about: "Prices of a GB by direction.",
    groups: &[&[
        key("sent", PRICE, "Price of a GB that is sent.").default("0"),
        key("received", PRICE, "Price of a GB that is received.").default("0"),
    ]],
    ..EMPTY
};
