//! The end of a run whose shards do not end.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;
use crate::event::record::RecordEnd;
use crate::event::{GeneratorInfo, Report, RunInfo};
use crate::exit::ExitStatus;
use crate::run::aggregator::RunAggregator;
use crate::scenario::{self, ScenarioOverrides};
use crate::sinks::SinkSet;
use crate::verdict::trust::TrustLevel;

fn plan() -> Arc<Plan> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    let text = "services: { it: builtin }\ngrace: 3s\n\
                workloads: { w: { flow: [ { get: / } ], users: 1, duration: 5s } }\n";
    std::fs::write(&file, text).unwrap();
    Arc::new(
        scenario::load(&file, &ScenarioOverrides::default()).unwrap_or_else(|e| panic!("{e}")).0,
    )
}

/// A run on one shard that says nothing and hears nothing; when it was given up, s, and its report.
fn deaf_shard(signals: &[Interrupt], stops_itself: bool) -> (u64, Vec<usize>, Report) {
    let plan = plan();
    clock::block_on_virtual(async {
        let (shard, deltas) = mpsc::channel(1);
        let (commands, _told) = mpsc::channel(64);
        let source = DeltaSource::new(deltas, None, vec![commands], 1);
        let (sender, interrupts) = mpsc::channel(4);
        let (_control, commands) = mpsc::channel(1);
        for signal in signals {
            sender.send(*signal).await.unwrap();
        }
        let generator = GeneratorInfo {
            tier: String::new(),
            shards: 1,
            processes: 1,
            is_fleet: false,
            reason: String::new(),
            remarks: vec![],
            sandbox: None,
        };
        let info = RunInfo {
            plan: Arc::new(plan.manifest()),
            started_at: clock::wall(),
            generator,
            command: Vec::new(),
            machine: Vec::new(),
            monitors: Vec::new(),
        };
        let mut aggregator = RunAggregator::new(Arc::new(info), 1);
        if stops_itself {
            let mut delta = Delta::new(&plan.series_layout(), 0);
            delta.halt = Some(crate::stats::delta::Halt::DataEnd("rows".to_owned()));
            shard.send(delta).await.unwrap();
        }
        let mut sinks = SinkSet::default();
        let process = ProcessGauges { rss: &mut || None, limit: None, monitors: &mut Vec::new };
        let io = DispatchIo { aggregator: &mut aggregator, sinks: &mut sinks, process };
        let outside = DispatchInputs {
            health: mpsc::channel(1).1,
            interrupts,
            commands,
            on_loss: LossPolicy::default(),
            former: Box::new(std::iter::empty()),
        };
        let stuck = dispatch(&plan, clock::now(), source, io, outside).await;
        stuck.iter().for_each(|shard| aggregator.lose(*shard));
        (clock::now().0 / SECOND_NS, stuck, aggregator.conclude(RecordEnd::default()))
    })
}

#[test]
fn a_shard_that_does_not_stop_is_given_up_and_named() {
    let (gave_up_s, stuck, report) = deaf_shard(&[Interrupt::Int, Interrupt::Int], false);
    assert_eq!((gave_up_s, stuck), (2, vec![0]));
    assert_eq!((report.status, report.trust.level), (ExitStatus::Interrupted, TrustLevel::No));
    let reason = &report.trust.reasons[0].hint;
    assert!(reason.contains("shard 0 did not stop"), "{reason}");

    let (gave_up_s, _, report) = deaf_shard(&[Interrupt::Quit], false);
    assert_eq!((gave_up_s, report.status), (2, ExitStatus::Quit));

    // Without a second interrupt: the grace of 3 s, and 10 s more.
    let (gave_up_s, stuck, report) = deaf_shard(&[], true);
    assert_eq!((gave_up_s, stuck, report.trust.level), (13, vec![0], TrustLevel::No));
}
