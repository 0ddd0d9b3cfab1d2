//! What consumers of AMQP and Kafka have: how far messages come ahead, and how they are
//! acknowledged.
//!
//! `broker` compiles it here.
//! Invariant: no batch of acknowledgements is larger than what comes ahead.

use crate::plan::broker::{AcknowledgePlan, SubscribeOptions};
use crate::scenario::nouns::brokers::{ACKNOWLEDGE, AcknowledgeWord, BATCH};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::NodeKind;
use crate::scenario::syntax::{distribution, values};

/// Reads how a consumer receives and acknowledges; `every` and `prefetch` are its defaults.
pub(super) fn acknowledging(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    options: &mut SubscribeOptions,
    (every, prefetch_default): (u32, u16),
) -> AcknowledgePlan {
    let prefetch = fields.entry("prefetch");
    let most: Option<u64> = fields.value(diagnostics, "prefetch");
    options.prefetch =
        most.map_or(prefetch_default, |most| u16::try_from(most).unwrap_or(u16::MAX));
    let every = match fields.take("ack") {
        Some(node) if matches!(node.kind, NodeKind::Map(_)) => {
            Fields::read(diagnostics, node, &BATCH).map_or(1, |mut fields| {
                let every: Option<u64> = fields.value(diagnostics, "every");
                fields.finish(diagnostics);
                every.and_then(|every| u32::try_from(every).ok()).unwrap_or(1)
            })
        }
        Some(node) => match values::one_of(diagnostics, node, &ACKNOWLEDGE) {
            Some(AcknowledgeWord::Automatic) => {
                options.is_automatic = true;
                0
            }
            Some(AcknowledgeWord::Never) => 0,
            _ => 1,
        },
        None => {
            options.is_automatic = every == 0;
            every
        }
    };
    let work = fields.take("work");
    if let (Some((key, _)), true) = (prefetch, options.prefetch == 0 && work.is_some()) {
        diagnostics
            .mistake(key.span, "work without a limit of `prefetch` keeps all messages in memory")
            .expected("`prefetch` of 1 at least");
    }
    if u32::from(options.prefetch) < every && options.prefetch > 0 {
        let message = format!("{every} messages of an acknowledgement exceed `prefetch`");
        diagnostics.mistake(fields.span(), message).help("raise `prefetch`: no more would come");
    }
    let work = work.map(|node| distribution::distribution(diagnostics, node));
    AcknowledgePlan { every, work: work.flatten(), ..AcknowledgePlan::default() }
}
