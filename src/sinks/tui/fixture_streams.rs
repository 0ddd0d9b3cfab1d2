//! A run with streams that never was: a chat of which the target loses messages, and a model's
//! answers.
//!
//! Invariant: it is the same on every machine.

use std::sync::Arc;

use super::fixture::{self, HOSTILE};
use crate::clock::{RunOffset, Time};
use crate::event::{Report, RunInfo};
use crate::ids::StepId;
use crate::plan::RunManifest;
use crate::scenario::{self, ScenarioOverrides};
use crate::stats::{
    GaugeSample, Gauges, HeldStreams, MessageTime, Point, Recorder, Seconds, Tally, Timeline,
};
use crate::verdict::Trust;

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const SECONDS: u64 = 40;

const SCENARIO: &str = r"
scenario: chat
seed: 42
services: { chat: builtin, model: builtin }
archetypes:
  member:
    pace: 1s
    on_start:
      - { open: /ws/channel/lobby, name: connect, reconnect: true }
      - { listen: chat, stamp: true, channel: lobby, name: heard }
    flow:
      - { send: chat, body: hello, stamp: true, channel: lobby, name: say }
  asker:
    flow:
      - post: /v1/chat/completions
        service: model
        json: { model: m, stream: true, messages: [] }
        stream: openai
        good: { first: 300ms, tpot: 50ms }
        name: ask
workloads:
  members: { archetypes: { member: 1 }, users: 20, duration: 90s }
  askers: { archetypes: { asker: 1 }, arrivals: { rate: 5/s }, duration: 90s }
";

fn manifest() -> RunManifest {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.yaml");
    std::fs::write(&path, SCENARIO).unwrap();
    let (plan, _) = scenario::load(&path, &ScenarioOverrides::default())
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
    let mut manifest = plan.manifest();
    manifest.sources.clear();
    manifest.steps[2].name = format!("say {HOSTILE}");
    manifest
}

/// The target stumbles for some seconds: streams end, and messages are lost.
fn stumbles(second: u64) -> bool {
    (18..22).contains(&second)
}

fn fill(recorder: &mut Recorder, second: u64) {
    let [connect, heard, say, ask] = [0, 1, 2, 3].map(StepId::new);
    let at = |number: u64| RunOffset::from_ns(second * S + number * 40 * MS);
    let slow = if stumbles(second) { 12 } else { 1 };
    for number in 0..20 {
        let sent = recorder.messages(say, at(number));
        sent.counts.sent += 1;
        sent.counts.expected += 20;
        let got = recorder.messages(heard, at(number));
        let lost = u64::from(stumbles(second) && number % 4 == 0);
        got.counts.due += 20;
        got.counts.lost += lost;
        got.counts.delivered += 20 - lost;
        got.counts.received += 20 - lost + u64::from(number == 7);
        got.counts.duplicated += u64::from(number == 7);
        got.counts.reordered += u64::from(stumbles(second));
        for listener in 0..20 - lost {
            let took_ns = slow * (2 * MS + (number * 7 + listener * 3) % 9 * MS / 2);
            got.delivery.record_response(took_ns);
            got.transit.record_ns(took_ns);
            got.gap.record_ns(40 * MS + listener * MS);
        }
    }
    for number in 0..5 {
        let answers = recorder.messages(ask, at(number));
        answers.record(MessageTime::First, slow * (80 + number * 9) * MS);
        answers.record(MessageTime::Tpot, 20 * MS + number * MS);
        answers.record(MessageTime::Gap, 20 * MS);
        answers.counts.received += 60;
        answers.counts.tokens += 58;
        answers.counts.judged += 1;
        answers.counts.good += u64::from(!stumbles(second));
    }
    let held = if stumbles(second) { 19 } else { 20 };
    recorder.messages(connect, at(0)).streams = HeldStreams { wanted: 20, held };
    if second == 0 {
        recorder.streams().opened = 20;
    }
    if stumbles(second) {
        recorder.record_stream_end("1006 by target");
        recorder.messages(connect, at(0)).record(MessageTime::Life, 18 * S);
        recorder.streams().opened += 1;
        recorder.streams().reconnects += 1;
    }
}

/// The run after forty seconds; what is not of streams is that of `fixture`.
pub(super) fn report() -> (Arc<RunInfo>, Arc<Report>) {
    let shop = fixture::report();
    let info = Arc::new(RunInfo { plan: Arc::new(manifest()), ..(*fixture::info()).clone() });
    let shape = info.plan.series_layout();
    let mut tally = Tally::new(&shape, 1, vec![false, true]);
    let (mut seconds, mut timeline) = (Seconds::default(), Timeline::default());
    let mut recorder = Recorder::new(shape, 0, Time(0));
    for second in 0..SECONDS {
        fill(&mut recorder, second);
        let streams = if stumbles(second) { 19 } else { 20 };
        let elapsed_ns = (second + 1) * S;
        let gauges = Gauges {
            users: 20,
            users_peak: 20,
            streams,
            streams_wanted: 20,
            elapsed_ns,
            ..Gauges::default()
        };
        let delta = recorder.take_interval(gauges, Time(elapsed_ns));
        tally.absorb(&delta);
        seconds.absorb(&delta).iter().for_each(|one| timeline.close(Point::of(&one.window)));
        timeline.record_gauges(GaugeSample {
            second: second as u32,
            target: vec![20.0, 5.0],
            users: 20,
            streams,
            streams_wanted: 20,
            ..GaugeSample::default()
        });
    }
    timeline.open(seconds.points());
    let snapshot = Arc::new(tally.snapshot(Some(90 * S)));
    let trust = Trust::evaluate(&snapshot, &info.plan.kind);
    let report = Report {
        info: Arc::clone(&info),
        snapshot,
        timeline,
        trust,
        judgements: Vec::new(),
        ..(*shop).clone()
    };
    (info, Arc::new(report))
}
