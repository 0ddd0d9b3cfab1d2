//! Forecast of streams: how many are held at once, and how many messages per second.
//!
//! `Forecast::new` computes it, `report` shows it.
//! Invariant: a rate is that of the full load, without the messages of `on_start` and those that
//! the target sends by itself; what cannot be derived from the plan is `None`, not zero.

use std::collections::BTreeMap;

use super::load::{ArchetypeVolume, WorkloadVolume};
use super::workload::WorkloadForecast;
use crate::plan::flow::Archetype;
use crate::plan::listener::{ChannelPlan, ListenerPlan};
use crate::plan::load::LoadBound;
use crate::plan::stream::StreamAct;
use crate::plan::{Call, Load, Plan, Share, Workload};

/// The streams that a step opens.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamForecast {
    /// Name of the step.
    pub step: String,
    /// Name of the archetype.
    pub archetype: String,
    /// Name of the workload.
    pub workload: String,
    /// Streams that the expected number of users holds at once.
    pub expected: f64,
    /// Streams that the maximum number of users holds at once.
    pub most: u64,
}

/// Messages per second under full load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MessageForecast {
    /// Sent by `send`, and by requests with a stamp.
    pub sent_per_s: f64,
    /// Awaited by `await`.
    pub awaited_per_s: f64,
    /// Stamped messages times the listeners that are due them; `None` if no listener reads stamps,
    /// or if the name of a channel is computed.
    pub delivered_per_s: Option<f64>,
    /// Whether listeners read stamps of channels whose names are computed.
    pub has_computed_channels: bool,
}

/// One share of a workload under full load.
struct LoadedShare<'a> {
    share: &'a Share,
    archetype: &'a Archetype,
    volume: Option<&'a ArchetypeVolume>,
    workload: &'a WorkloadForecast,
    /// Its users that are expected at once, and at most.
    users: [f64; 2],
    /// Its iterations per second.
    iterations_per_s: f64,
}

impl LoadedShare<'_> {
    /// How often a user comes by a call: in `on_start`, or in an iteration.
    fn visits(&self, call: &Call, of_user: bool) -> f64 {
        let Some(volume) = self.volume else { return 1.0 };
        let pass = if of_user { &volume.on_start } else { &volume.flow };
        pass.calls.get(usize::from(call.series)).copied().unwrap_or(0.0)
    }

    /// Calls per second of a step of the flow.
    fn calls_per_s(&self, call: &Call) -> f64 {
        self.iterations_per_s * self.volume.map_or(0.0, |_| self.visits(call, false))
    }
}

/// Forecasts the streams of all steps that open one, in the order of the plan, and the messages.
pub(super) fn streams(
    plan: &Plan,
    workloads: &[WorkloadForecast],
    volumes: &[WorkloadVolume],
) -> (Vec<StreamForecast>, Option<MessageForecast>) {
    if !plan.has_streams() {
        return (Vec::new(), None);
    }
    let loads = workloads.iter().zip(&plan.workloads).zip(volumes);
    let shares: Vec<LoadedShare<'_>> = loads
        .flat_map(|((forecast, workload), volume)| loaded_shares(plan, forecast, workload, volume))
        .collect();
    let held = shares.iter().flat_map(|share| held(plan, share)).collect();
    (held, Some(messages(plan, &shares)))
}

fn loaded_shares<'a>(
    plan: &'a Plan,
    forecast: &'a WorkloadForecast,
    workload: &'a Workload,
    volume: &'a WorkloadVolume,
) -> impl Iterator<Item = LoadedShare<'a>> {
    let weights: f64 = workload.shares.iter().map(|share| share.weight).sum();
    workload.shares.iter().zip(&volume.parts).map(move |(share, part)| {
        let volume = part.as_ref();
        let of_all = volume.map_or(share.weight / weights, |part| part.share);
        let most = forecast.max_users as f64;
        let users = [forecast.users.min(most), most].map(|users| users * of_all);
        let iterations_per_s = match &workload.load {
            // Each user has one iteration, so there is no rate.
            Load::Closed(users) if users.bound == LoadBound::Once => 0.0,
            Load::Closed(_) => volume.map_or(0.0, |part| users[1] / part.cycle_s),
            Load::Open(_) => forecast.peak * of_all,
        };
        let archetype = &plan.archetypes[share.archetype];
        LoadedShare { share, archetype, volume, workload: forecast, users, iterations_per_s }
    })
}

/// The streams that the users of a share hold.
fn held(plan: &Plan, share: &LoadedShare<'_>) -> Vec<StreamForecast> {
    let opens = |call: &&Call| matches!(act(call), Some((_, StreamAct::Open(_))));
    let forecast = |call: &Call| {
        let (stream, _) = act(call)?;
        let of_user = share.archetype.streams[stream].of_user;
        let visits = share.visits(call, of_user).min(1.0);
        Some(StreamForecast {
            step: plan.steps[share.share.step(call.series).index()].name.clone(),
            archetype: share.archetype.name.clone(),
            workload: share.workload.name.clone(),
            expected: share.users[0] * visits,
            most: share.users[1].ceil() as u64,
        })
    };
    share.archetype.calls.iter().filter(opens).filter_map(forecast).collect()
}

/// What a call does with a stream, and with which.
fn act(call: &Call) -> Option<(usize, &StreamAct)> {
    call.stream.as_ref().map(|step| (step.stream, &step.act))
}

fn messages(plan: &Plan, shares: &[LoadedShare<'_>]) -> MessageForecast {
    let mut all = MessageForecast::default();
    // Listeners by channel; `None` if a name is computed.
    let mut listeners: Option<BTreeMap<String, f64>> = Some(BTreeMap::new());
    let mut has_listeners = false;
    for share in shares {
        for call in &share.archetype.calls {
            let per_s = share.calls_per_s(call);
            match act(call) {
                Some((_, StreamAct::Await(message))) => {
                    all.awaited_per_s += per_s * f64::from(message.count);
                }
                Some((_, StreamAct::Send(_))) => all.sent_per_s += per_s,
                _ if call.stamp.is_some() => all.sent_per_s += per_s,
                _ => {}
            }
            let Some((stream, listener)) = listener(call) else { continue };
            has_listeners = true;
            let Some(channel) = &listener.channel else { continue };
            match (channel_name(plan, share.archetype, (call, stream), channel), &mut listeners) {
                (Some(name), Some(known)) => *known.entry(name).or_default() += share.users[1],
                _ => listeners = None,
            }
        }
    }
    all.delivered_per_s =
        listeners.filter(|_| has_listeners).and_then(|known| delivered(plan, shares, &known));
    all.has_computed_channels = has_listeners && all.delivered_per_s.is_none();
    all
}

/// The listener that begins with a call, with its stream, if it reads stamps.
fn listener(call: &Call) -> Option<(usize, &ListenerPlan)> {
    let (stream, act) = act(call)?;
    let listener = act.listener()?;
    listener.channel.as_ref().map(|_| (stream, listener))
}

/// Deliveries per second; `None` if the name of a channel is computed.
fn delivered(
    plan: &Plan,
    shares: &[LoadedShare<'_>],
    listeners: &BTreeMap<String, f64>,
) -> Option<f64> {
    let mut all = 0.0;
    for share in shares {
        for call in &share.archetype.calls {
            let Some(channel) = &call.stamp else { continue };
            let stream = act(call).map_or(usize::MAX, |(stream, _)| stream);
            let name = channel_name(plan, share.archetype, (call, stream), channel)?;
            let due = listeners.get(&name).copied().unwrap_or(0.0);
            // A listener of the sender itself that is not due its messages.
            let own = share.archetype.calls.iter().filter_map(listener);
            let own = own.filter(|(_, listener)| !listener.own).count() as f64;
            all += share.calls_per_s(call) * (due - own).max(0.0);
        }
    }
    Some(all)
}

/// The name of a channel; `None` if it is computed.
fn channel_name(
    plan: &Plan,
    archetype: &Archetype,
    (call, stream): (&Call, usize),
    channel: &ChannelPlan,
) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match channel {
        ChannelPlan::Named(name) => name.as_static().map(text),
        ChannelPlan::Path => {
            let opens = |call: &&Call| match act(call) {
                Some((number, StreamAct::Open(_))) => number == stream,
                _ => false,
            };
            let opened = archetype.calls.iter().find(opens).unwrap_or(call);
            let path = opened.request.path.as_static().map(text)?;
            Some(format!("{} {path}", plan.services[opened.service].name))
        }
    }
}
