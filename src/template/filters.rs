//! The filters, with their work counted.
//!
//! `environment` adds them. Each filter of minijinja and of `functions` is wrapped in
//! [`apply_counted`], which charges its input and output, and beforehand what it would produce.
//! Invariant: no filter produces more than it was charged for.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, Value};

use super::error::invalid;
use super::functions::BUILTIN;
use super::work::{ITEM, charge_product, charge_value};

/// All filters that an expression may use.
const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "base64",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "groupby",
    "hash",
    "hmac",
    "int",
    "items",
    "join",
    "json",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
    "zip",
];

/// Adds the filters to the environment of expressions.
pub(super) fn add_to(env: &mut Environment<'static>) {
    for name in FILTERS {
        env.add_filter(*name, move |args: Rest<Value>, named: Kwargs| {
            let mut args = args.0;
            if named.args().next().is_some() {
                args.push(named.into());
            }
            apply_counted(name, &args)
        });
    }
}

/// Applies a filter and charges its work; its value comes first in `args`.
fn apply_counted(name: &str, args: &[Value]) -> Result<Value, Error> {
    args.iter().try_for_each(charge_value)?;
    if name == "map"
        && let [list, inner, rest @ ..] = args
        && let Some(inner) = inner.as_str().filter(|inner| FILTERS.contains(inner))
    {
        // Each application of the inner filter is charged by itself.
        let apply = |item| apply_counted(inner, &[&[item], rest].concat());
        return list.try_iter()?.map(apply).collect::<Result<Vec<_>, _>>().map(Value::from);
    }
    charge_expansion(name, args)?;
    let value = BUILTIN.empty_state().apply_filter(name, args)?;
    charge_value(&value)?;
    Ok(value)
}

/// Charges the output of filters that can produce much from little.
fn charge_expansion(name: &str, args: &[Value]) -> Result<(), Error> {
    let text = |index: usize| args.get(index).and_then(|value| value.as_str()).unwrap_or_default();
    let count = || args.get(1).and_then(Value::as_usize).unwrap_or(0) as u64;
    match name {
        // A row is padded to its length; any number of lists may be requested, however few items
        // there are.
        "batch" | "slice" => charge_product(count(), ITEM),
        "replace" => {
            let (whole, from, to) = (text(0), text(1), text(2));
            let times = if from.is_empty() { whole.len() + 1 } else { whole.matches(from).count() };
            charge_product(times as u64, to.len() as u64)
        }
        "join" => {
            let items = args.first().and_then(Value::len).unwrap_or(0);
            charge_product(items as u64, text(1).len() as u64)
        }
        "sum" if args.first().is_some_and(|list| list.try_iter().is_ok_and(has_non_numbers)) => {
            Err(invalid("sum needs numbers"))
        }
        _ => Ok(()),
    }
}

/// Whether some item is not a number: texts and lists would grow with each addition.
fn has_non_numbers(mut items: impl Iterator<Item = Value>) -> bool {
    items.any(|item| !item.is_number())
}
