//! What the telemetry of a run is of, as attributes by the semantic conventions.
//!
//! The exporter sends it with each request.
//! Invariant: what the user sets in the standard variables replaces our own values.

use super::messages::{AttributeMessage, AttributeText, AttributeValue, ResourceMessage};
use crate::host;
use crate::plan::RunManifest;
use crate::redact::redact_secrets;

/// The variable with headers of the requests: `name=value,name=value`.
pub const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// The variable with attributes: `name=value,name=value`.
pub const ATTRIBUTES_VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The variable with the value of `service.name`.
pub const SERVICE_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// The resource of a run. `attributes` and `service`: the values of [`ATTRIBUTES_VARIABLE`] and
/// [`SERVICE_VARIABLE`].
///
/// # Errors
/// If the attributes are no pairs.
pub(super) fn resource(
    plan: &RunManifest,
    attributes: &str,
    service: &str,
) -> Result<ResourceMessage, String> {
    let texts = [
        ("service.name", "manada"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", &plan.run_id),
        ("host.name", &host::host_name()),
        ("manada.run.id", &plan.run_id),
        ("manada.scenario", &plan.scenario),
        ("manada.client", &plan.client.kind),
    ];
    let mut all: Vec<_> =
        texts.into_iter().map(|(name, value)| AttributeMessage::new(name, value)).collect();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    all.push(AttributeMessage::new("process.pid", number(std::process::id().into())));
    all.push(AttributeMessage::new("manada.seed", number(plan.seed.value())));
    for (name, value) in pairs(attributes)? {
        set(&mut all, &name, &value);
    }
    if !service.is_empty() {
        set(&mut all, "service.name", service);
    }
    Ok(ResourceMessage { attributes: all })
}

fn set(all: &mut Vec<AttributeMessage>, name: &str, text: &str) {
    let text = redact_secrets(text).into_owned();
    let value: AttributeValue = AttributeText::Text(text).into();
    match all.iter_mut().find(|one| one.name == name) {
        Some(known) => known.value = Some(value),
        None => all.push(AttributeMessage::new(name, value)),
    }
}

/// Parses `name=value,name=value`; both may be percent-encoded.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text.trim()).decode_utf8().ok().map(String::from)
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((decoded(name).filter(|name| !name.is_empty())?, decoded(value)?))
    };
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty()).map(pair);
    pairs
        .collect::<Option<_>>()
        .ok_or_else(|| format!("{ATTRIBUTES_VARIABLE}: expected `name=value`, separated by commas"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_the_variable_replace_and_add() {
        let mut all = vec![AttributeMessage::new("a", "1"), AttributeMessage::new("b", "2")];
        for (name, value) in pairs("b=x%2Cy, c.d = z ,, e=").unwrap() {
            set(&mut all, &name, &value);
        }
        let expected = [("a", "1"), ("b", "x,y"), ("c.d", "z"), ("e", "")];
        assert_eq!(all, expected.map(|(name, value)| AttributeMessage::new(name, value)));
        for bad in ["a", "=1", "a=1,b", "a=%ff"] {
            assert!(pairs(bad).unwrap_err().contains("expected `name=value`"), "{bad}");
        }
    }
}
