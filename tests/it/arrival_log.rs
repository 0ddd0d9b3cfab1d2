//! The log that the built-in target writes of what arrives (`manada target --log FILE`).
//!
//! Invariant: columns are found by their names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Returns these columns of all rows.
pub(crate) fn rows<const N: usize>(log: &Path, columns: [&str; N]) -> Vec<[String; N]> {
    let log = fs::read_to_string(log).unwrap();
    let mut lines = log.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let places = columns.map(|column| names.iter().position(|name| *name == column).unwrap());
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        places.map(|place| fields[place].to_owned())
    };
    lines.map(row).collect()
}

/// Returns how often each numbered arrival came, and the number of all requests.
pub(crate) fn arrivals(log: &Path) -> (BTreeMap<u64, u64>, u64) {
    let (rows, mut arrivals) = (rows(log, ["index"]), BTreeMap::new());
    let numbers = rows.iter().filter_map(|[index]| index.parse().ok());
    numbers.for_each(|number| *arrivals.entry(number).or_default() += 1);
    (arrivals, rows.len() as u64)
}
