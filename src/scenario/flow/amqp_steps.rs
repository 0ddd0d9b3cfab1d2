//! What steps at a broker of AMQP have for it alone: how they publish, consume and reject.
//!
//! `broker` reads it.
//! Invariant: a consumer that acknowledges nothing rejects nothing.

use crate::plan::broker::{AcknowledgePlan, PublishOptions, SubscribeOptions};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::values;

/// Reads how a message is published.
pub(super) fn publish_options(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
) -> PublishOptions {
    let exchange = fields.take("exchange");
    let exchange =
        exchange.and_then(|node| values::plain_text(diagnostics, node, "the name of an exchange"));
    let priority: Option<u64> = fields.value(diagnostics, "message_priority");
    PublishOptions {
        exchange: exchange.unwrap_or_default().to_owned(),
        is_persistent: fields.value(diagnostics, "persistent").unwrap_or(false),
        is_mandatory: fields.value(diagnostics, "mandatory").unwrap_or(true),
        priority: priority.and_then(|priority| u8::try_from(priority).ok()),
        is_confirmed: fields.value(diagnostics, "confirm").unwrap_or(true),
        ..PublishOptions::default()
    }
}

/// Reads what a consumer of AMQP has beside its acknowledgements.
pub(super) fn consumer(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    (options, acknowledge): (&mut SubscribeOptions, &mut AcknowledgePlan),
) {
    options.is_exclusive = fields.value(diagnostics, "exclusive").unwrap_or(false);
    if acknowledge.every > 0 {
        acknowledge.reject = fields.value(diagnostics, "reject").unwrap_or(0.0);
        acknowledge.requeue = fields.value(diagnostics, "requeue").unwrap_or(false);
    }
}
