//! Values of variables as JSON, for workers: those that the scenario's `setup` set.
//!
//! Invariant: what arrives renders as what was sent. Integers of more than 64 bits keep their
//! digits.

use std::sync::Arc;

use crate::engine::Variables;
#[cfg(feature = "redis")]
use crate::event::packed::{Packed, PackedBytes};
#[cfg(feature = "redis")]
use crate::event::record::header::VERSION;
use crate::template::exact_json;

/// Writes the values of variables; `None` if one is unset.
pub(super) fn write(variables: &Variables) -> Vec<Option<Vec<u8>>> {
    let json = |value| serde_json::to_vec(value).unwrap_or_default();
    variables.iter().map(|value| value.as_ref().map(json)).collect()
}

/// The same as one value of a bus.
#[cfg(feature = "redis")]
pub(super) fn to_bytes(variables: &Variables) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(variables).pack(&mut bytes);
    bytes
}

/// Reads what [`to_bytes`] wrote; `None` if it is damaged.
#[cfg(feature = "redis")]
pub(super) fn from_bytes(bytes: &[u8]) -> Option<Variables> {
    let mut from = PackedBytes { left: bytes, version: VERSION };
    let values = Vec::<Option<Vec<u8>>>::unpack(&mut from)?;
    read(&values)
}

/// Reads what [`write`] wrote; `None` if it is not JSON.
pub(super) fn read(variables: &[Option<Vec<u8>>]) -> Option<Variables> {
    let value = |json: &Option<Vec<u8>>| match json {
        None => Some(None),
        Some(json) => exact_json::parse(json).ok().map(|json| Some(exact_json::to_value(&json))),
    };
    variables.iter().map(value).collect::<Option<Vec<_>>>().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Value;

    #[test]
    fn values_arrive_as_they_were() {
        let values = vec![
            None,
            Some(Value::from("a \"token\"\n\u{e9}")),
            Some(Value::from(-7)),
            Some(Value::from(u64::MAX)),
            Some(Value::from(i128::MAX)),
            Some(Value::from(0.1)),
            Some(Value::from(())),
            Some(Value::from(vec![Value::from(true), Value::from_pairs([("a", 1)])])),
        ];
        let read = read(&write(&Arc::new(values.clone()))).unwrap();
        let shown = |values: &[Option<Value>]| -> Vec<Option<String>> {
            values.iter().map(|value| value.as_ref().map(|value| format!("{value:?}"))).collect()
        };
        assert_eq!(shown(&read), shown(&values));
        assert!(super::read(&[Some(b"{".to_vec())]).is_none());
    }
}
