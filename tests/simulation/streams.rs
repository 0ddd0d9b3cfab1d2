//! The streams of a world's target: channels with a delay, faults by count, and outages.
//!
//! `script` reads it from the world's file, `run` gives it to the fake target.
//! Invariant: which message meets which fault follows from its number alone.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use manada::clock::Time;
use manada::delivery::{FoundStamp, Stamp};
use manada::ids::StepId;
use manada::plan::Plan;
use manada::stats::Snapshot;
use manada::wire::broker::command::PublishCommand;
use manada::wire::fake_stream::{FakeDelivery, FakeEvent, StreamModel};
use manada::wire::message_stream::{Message, MessageKind, StreamEnd};
use serde::Deserialize;

use super::script::{Window, ns};

/// What the target does on its streams. A message is brought to all streams of the same path.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamScript {
    /// How long a message is under way.
    #[serde(default)]
    pub delay: Option<String>,
    /// Brings a message back to its own stream alone, instead of to all of its path.
    #[serde(default)]
    pub echo: bool,
    /// Whether the sender's own stream gets a copy, too.
    #[serde(default = "yes")]
    pub own: bool,
    /// A text that every stream gets as it opens.
    #[serde(default)]
    pub welcome: Option<String>,
    /// Every n-th delivery is left out, comes twice, or comes after the next one.
    #[serde(default)]
    pub drop_every: Option<u64>,
    #[serde(default)]
    pub duplicate_every: Option<u64>,
    #[serde(default)]
    pub delay_every: Option<(u64, String)>,
    /// The stamp of every n-th delivery has an intended time in years, and a number that was never
    /// sent.
    #[serde(default)]
    pub forge_every: Option<u64>,
    /// Streams end during this time, and none opens.
    #[serde(default)]
    pub down: Option<Window>,
    /// The target keeps messages and brings those that a stream missed, by `Last-Event-ID`.
    #[serde(default)]
    pub replays: bool,
    /// How long the target asks clients to wait before they connect again.
    #[serde(default)]
    pub retry: Option<String>,
    /// A message of this text on all streams, again and again after this time.
    #[serde(default)]
    pub tick: Option<(String, String)>,
    /// Streams end after this number of messages of theirs, with this code.
    #[serde(default)]
    pub close_after: Option<(u64, u16)>,
    /// How long the target takes to answer a close.
    #[serde(default)]
    pub close: Option<String>,
    /// How long a broker takes for each confirmation, one message after the other.
    #[serde(default)]
    pub confirm: Option<String>,
    /// It accepts no messages during this time.
    #[serde(default)]
    pub hold: Option<Window>,
    /// It refuses every n-th message.
    #[serde(default)]
    pub refuse_every: Option<u64>,
    /// A message goes to one of its subscribers, in turn, instead of to all.
    #[serde(default)]
    pub queue: bool,
}

fn yes() -> bool {
    true
}

/// Returns deviations of messages and streams, as text. `expected`: the streams that a named step
/// wanted and held, added up over the ends of seconds.
pub fn deviations(
    expected: &BTreeMap<String, [u64; 2]>,
    plan: &Plan,
    snapshot: &Snapshot,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut all = snapshot.measured.messages(|_| true);
    all.merge(&snapshot.warmup.messages(|_| true));
    if !all.counts.holds() {
        wrong.push(format!("the ledger of messages does not balance: {:?}", all.counts));
    }
    // Those of the steps are those of the run.
    if all.streams.share() != snapshot.streams.held {
        wrong.push(format!("{:?} by step, {:?} in all", all.streams, snapshot.streams));
    }
    for (name, expected) in expected {
        let mut steps = StepId::number(&plan.steps);
        let (id, _) = steps.find(|(_, series)| series.name == *name).unwrap();
        let found = snapshot.measured.messages(|step| step == id).streams;
        if [found.wanted, found.held] != *expected {
            wrong.push(format!("streams of {name}: {found:?}"));
        }
    }
    wrong
}

/// The streams at work.
pub struct ScriptedStreams {
    pub start: Time,
    pub script: StreamScript,
    /// Path and messages so far of each open stream.
    open: BTreeMap<u64, (String, u64)>,
    /// Kept messages by path.
    kept: BTreeMap<String, Vec<Rc<[u8]>>>,
    deliveries: u64,
    /// Subscriptions at a broker: stream, source and number.
    subscriptions: Vec<(u64, String, u32)>,
    /// Messages that a broker took or refused, and when it has confirmed the last of them.
    published: u64,
    confirmed: Time,
}

impl ScriptedStreams {
    pub fn new(start: Time, script: StreamScript) -> Self {
        let (open, kept) = (BTreeMap::new(), BTreeMap::new());
        let subscriptions = Vec::new();
        let (published, confirmed) = (0, Time(0));
        Self { start, script, open, kept, deliveries: 0, subscriptions, published, confirmed }
    }

    fn delay(&self) -> u64 {
        self.script.delay.as_deref().map_or(0, ns)
    }

    /// Brings a payload to a stream, with the faults that its number meets.
    fn deliver(
        &mut self,
        now: Time,
        stream: u64,
        payload: &Rc<[u8]>,
        id: Option<&str>,
    ) -> Vec<FakeDelivery> {
        self.deliveries += 1;
        let number = self.deliveries;
        let every = |n: Option<u64>| n.is_some_and(|n| number.is_multiple_of(n));
        if every(self.script.drop_every) {
            return Vec::new();
        }
        let late = self.script.delay_every.as_ref().filter(|(n, _)| number.is_multiple_of(*n));
        let late_ns = late.map_or(0, |(_, by)| ns(by));
        let forged = every(self.script.forge_every).then(|| forged(payload));
        let event = FakeEvent::Message {
            kind: MessageKind::Text,
            payload: forged.unwrap_or_else(|| Rc::clone(payload)),
            event: None,
            id: id.map(Rc::from),
        };
        let delivery = FakeDelivery { stream, at: now.after(self.delay() + late_ns), event };
        let copies = 1 + usize::from(every(self.script.duplicate_every));
        vec![delivery; copies]
    }
}

/// A message with another stamp of the same run.
fn forged(payload: &[u8]) -> Rc<[u8]> {
    let at = payload.windows(4).position(|text| text == b"mnd1").unwrap();
    // The run is the first field.
    let run = URL_SAFE_NO_PAD.decode(&payload[at + 4..at + 12]).unwrap();
    let run = u32::from_be_bytes(run[..4].try_into().unwrap());
    let FoundStamp::Own(stamp) = Stamp::find(payload, run) else { panic!("no stamp") };
    let (index, intended_us) = (stamp.index + (1 << 38), stamp.intended_us + (1 << 47));
    let text = Stamp { index, intended_us, ..stamp }.text();
    let mut forged = payload.to_vec();
    forged[at..at + text.len()].copy_from_slice(&text);
    forged.into()
}

impl StreamModel for ScriptedStreams {
    fn open(&mut self, now: Time, stream: u64, _user: u64, request: &[u8]) -> Vec<FakeDelivery> {
        let request = String::from_utf8_lossy(request).into_owned();
        // A session at a broker has no path.
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        self.open.insert(stream, (path.clone(), 0));
        let mut all = Vec::new();
        if let Some(welcome) = self.script.welcome.clone() {
            let event = FakeEvent::text(welcome.into_bytes());
            all.push(FakeDelivery { stream, at: now.after(self.delay()), event });
        }
        if let Some(retry) = &self.script.retry {
            let event = FakeEvent::ReconnectDelay(Duration::from_nanos(ns(retry)));
            all.push(FakeDelivery { stream, at: now, event });
        }
        if let Some((every, text)) = &self.script.tick {
            let payload: Rc<[u8]> = text.clone().into_bytes().into();
            for n in 1..=1_000 {
                let event = FakeEvent::text(Rc::clone(&payload));
                all.push(FakeDelivery { stream, at: now.after(ns(every) * n), event });
            }
        }
        if let Some(hold) = &self.script.hold {
            let (from, length) = hold.ns();
            for (at, is_held) in [(from, true), (from + length, false)] {
                let event = FakeEvent::HoldBack(is_held);
                all.push(FakeDelivery { stream, at: self.start.after(at), event });
            }
        }
        if let Some(down) = &self.script.down {
            let (from, _) = down.ns();
            let at = self.start.after(from);
            if now < at {
                let end = StreamEnd { is_ours: false, code: Some(1006), failure: None };
                all.push(FakeDelivery { stream, at, event: FakeEvent::End(end) });
            }
        }
        let last = request.lines().find_map(|line| line.strip_prefix("Last-Event-ID: "));
        if let (true, Some(last)) = (self.script.replays, last) {
            let from: usize = last.trim().parse().unwrap();
            let missed = self.kept.get(&path).map(|kept| kept[from..].to_vec()).unwrap_or_default();
            for (number, payload) in (from + 1..).zip(missed) {
                all.extend(self.deliver(now, stream, &payload, Some(&number.to_string())));
            }
        }
        all
    }

    fn message(&mut self, now: Time, stream: u64, message: Message<'_>) -> Vec<FakeDelivery> {
        let payload: Rc<[u8]> = message.payload.into();
        let Some((path, count)) = self.open.get_mut(&stream) else { return Vec::new() };
        *count += 1;
        let (path, count) = (path.clone(), *count);
        if let Some((after, code)) = self.script.close_after
            && count >= after
        {
            let end = StreamEnd { is_ours: false, code: Some(code), failure: None };
            return vec![FakeDelivery { stream, at: now, event: FakeEvent::End(end) }];
        }
        let kept = self.kept.entry(path.clone()).or_default();
        kept.push(Rc::clone(&payload));
        let id = self.script.replays.then(|| kept.len().to_string());
        let targets: Vec<u64> = if self.script.echo {
            vec![stream]
        } else {
            let same = |(other, (known, _)): &(&u64, &(String, u64))| {
                *known == path && (self.script.own || **other != stream)
            };
            self.open.iter().filter(same).map(|(other, _)| *other).collect()
        };
        targets
            .into_iter()
            .flat_map(|target| self.deliver(now, target, &payload, id.as_deref()))
            .collect()
    }

    fn publish(
        &mut self,
        now: Time,
        stream: u64,
        number: u64,
        message: &PublishCommand<'_>,
    ) -> Vec<FakeDelivery> {
        self.published += 1;
        let each = self.script.confirm.as_deref().map_or(0, ns);
        self.confirmed = self.confirmed.max(now).after(each);
        let is_refused = self.script.refuse_every.is_some_and(|n| self.published.is_multiple_of(n));
        let status = if is_refused { 503 } else { 200 };
        let event = FakeEvent::Answer { number, status };
        let mut all = vec![FakeDelivery { stream, at: self.confirmed, event }];
        if is_refused {
            return all;
        }
        let same = |(_, source, _): &&(u64, String, u32)| source == message.destination;
        let mut targets: Vec<_> = self.subscriptions.iter().filter(same).cloned().collect();
        if self.script.queue && !targets.is_empty() {
            let turn = self.published as usize % targets.len();
            targets = vec![targets.swap_remove(turn)];
        }
        for (stream, source, subscription) in targets {
            self.deliveries += 1;
            let event = FakeEvent::Delivery {
                topic: source.into(),
                payload: message.payload.into(),
                subscription,
                delivery: self.deliveries,
                is_redelivered: false,
            };
            all.push(FakeDelivery { stream, at: now.after(self.delay()), event });
        }
        all
    }

    fn subscribe(
        &mut self,
        now: Time,
        stream: u64,
        number: u64,
        (source, subscription): (&str, u32),
    ) -> Vec<FakeDelivery> {
        self.subscriptions.push((stream, source.to_owned(), subscription));
        vec![FakeDelivery { stream, at: now, event: FakeEvent::Answer { number, status: 200 } }]
    }

    fn close(&mut self, now: Time, stream: u64, code: u16) -> Vec<FakeDelivery> {
        let end = StreamEnd { is_ours: true, code: Some(code), failure: None };
        let at = now.after(self.script.close.as_deref().map_or(0, ns));
        vec![FakeDelivery { stream, at, event: FakeEvent::End(end) }]
    }

    fn gone(&mut self, _now: Time, stream: u64) {
        self.open.remove(&stream);
        self.subscriptions.retain(|(known, ..)| *known != stream);
    }
}
