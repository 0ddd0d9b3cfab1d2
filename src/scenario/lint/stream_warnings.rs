//! Warnings about streams: stamps that no step writes or reads, and waits that get no message.
//!
//! `plan_warnings` calls it.
//! Invariant: a channel whose name is a template may be any channel.

use std::collections::BTreeSet;

use crate::plan::listener::ChannelPlan;
use crate::plan::stream::{StreamAct, StreamForm};
use crate::plan::{Archetype, Call, Load, Plan};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::spans::{ArchetypeSpans, SourceSpans};

/// A step with its place.
type PlacedCall<'p> = (&'p Call, SourceSpan);

/// Warns about streams that cannot work as they are.
pub(crate) fn streams(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    let archetypes = || plan.archetypes.iter().zip(&spans.archetypes);
    let calls: Vec<PlacedCall<'_>> =
        archetypes().flat_map(|(archetype, spans)| placed(archetype, spans)).collect();
    unwritten_stamps(diagnostics, &calls);
    unread_stamps(diagnostics, &calls);
    for (archetype, spans) in archetypes() {
        starved_waits(diagnostics, archetype, spans);
    }
    sessions_of_arrivals(diagnostics, plan, spans);
}

/// Warns about arrivals that log in at a broker: each of them is a user of its own.
fn sessions_of_arrivals(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    let arrivals = plan.workloads.iter().filter(|one| matches!(one.load, Load::Open(_)));
    let archetypes: BTreeSet<_> =
        arrivals.flat_map(|one| &one.shares).map(|share| share.archetype).collect();
    for id in archetypes {
        for (call, span) in placed(&plan.archetypes[id], &spans.archetypes[id.index()]) {
            let act = call.stream.as_ref().map(|stream| &stream.act);
            if let Some(StreamAct::Open(open)) = act
                && matches!(open.form, StreamForm::Mqtt(_) | StreamForm::Amqp)
            {
                let message = "each arrival opens a session at the broker, and logs in".to_owned();
                let help = "to publish at a rate over few sessions, use `users` with a `pace`: \
                            100 users with `pace: 100ms` send 1,000 messages per second";
                diagnostics.warn(span, message, help);
            }
        }
    }
}

fn placed<'p>(
    archetype: &'p Archetype,
    spans: &'p ArchetypeSpans,
) -> impl Iterator<Item = PlacedCall<'p>> {
    spans.streams.iter().map(|(index, span)| (&archetype.calls[*index], *span))
}

/// The name of a channel, if it is fixed.
fn fixed(channel: &ChannelPlan) -> Option<&[u8]> {
    match channel {
        ChannelPlan::Path => None,
        ChannelPlan::Named(name) => name.as_static(),
    }
}

fn listens(call: &Call) -> Option<&ChannelPlan> {
    call.stream.as_ref()?.act.listener()?.channel.as_ref()
}

/// Whether a message of one channel may be due on the other.
fn may_meet(one: &ChannelPlan, other: &ChannelPlan) -> bool {
    match (one, other) {
        // A path never equals the name of a channel by chance.
        (ChannelPlan::Path, ChannelPlan::Named(name))
        | (ChannelPlan::Named(name), ChannelPlan::Path) => name.as_static().is_none(),
        _ => fixed(one).zip(fixed(other)).is_none_or(|(one, other)| one == other),
    }
}

fn unwritten_stamps(diagnostics: &mut Diagnostics, calls: &[PlacedCall<'_>]) {
    let mut written = calls.iter().filter_map(|(call, _)| call.stamp.as_ref()).peekable();
    let has_any = written.peek().is_some();
    let written: Vec<&ChannelPlan> = written.collect();
    for (call, span) in calls {
        let Some(channel) = listens(call) else { continue };
        if written.iter().any(|other| may_meet(channel, other)) {
            continue;
        }
        let (message, help) = if has_any {
            ("no step sends stamped messages on this channel", "write the same `channel` in both")
        } else {
            (
                "no step writes stamps, so nothing is due here",
                "add `stamp: true` to a `send` or `post`",
            )
        };
        diagnostics.warn(*span, message.to_owned(), help);
    }
}

fn unread_stamps(diagnostics: &mut Diagnostics, calls: &[PlacedCall<'_>]) {
    let read: Vec<&ChannelPlan> = calls.iter().filter_map(|(call, _)| listens(call)).collect();
    for (call, span) in calls {
        let Some(channel) = &call.stamp else { continue };
        if !read.iter().any(|other| may_meet(channel, other)) {
            let message = "no listener reads the stamps of this channel".to_owned();
            diagnostics.warn(*span, message, "add a `listen` with `stamp: true`");
        }
    }
}

/// Warns about an `await` on a stream whose listener takes every message.
fn starved_waits(diagnostics: &mut Diagnostics, archetype: &Archetype, spans: &ArchetypeSpans) {
    let takes_all = |stream: usize| {
        archetype.calls.iter().filter_map(|call| call.stream.as_ref()).any(|step| {
            // A subscription takes its own messages alone.
            let is_stream = !matches!(step.act, StreamAct::Subscribe(_));
            let listener = step.act.listener().filter(|_| is_stream);
            step.stream == stream && listener.is_some_and(|listener| listener.conditions.is_empty())
        })
    };
    for (call, span) in placed(archetype, spans) {
        if let Some(step) = &call.stream
            && matches!(step.act, StreamAct::Await(_))
            && takes_all(step.stream)
        {
            let message = "this step gets no message: a listener of the stream takes all of them";
            diagnostics.warn(span, message.to_owned(), "give the listener a `match`");
        }
    }
}
