//! Journals of agents that are whole, cut, missing, of other runs, or given twice.

use std::fs::File;
use std::io::{Seek, Write};

use super::*;
use crate::clock::Time;
use crate::event::record::tests::info;
use crate::run::recorded_starts::{SECOND_NS, record_of, second_of_starts};
use crate::stats::Recorder;

/// The information of a run on two agents with a shard each.
fn run_info() -> RunInfo {
    let mut info = (*info(2)).clone();
    info.generator.processes = 2;
    info
}

/// The entries of the journal of an agent: ten starts in each second.
fn entries(info: RunInfo, agent: usize, seconds: u64) -> Vec<RecordEntry> {
    let mut recorder = Recorder::new(info.plan.series_layout(), agent, Time(0));
    let mut entries = vec![RecordEntry::Started(Arc::new(info))];
    for second in 0..seconds {
        let late_ns = 3_000_000 * (1 + agent as u64);
        let mut delta = second_of_starts(&mut recorder, second, late_ns);
        delta.last = second + 1 == seconds;
        entries.push(RecordEntry::Delta(Arc::new(delta)));
    }
    entries.push(RecordEntry::Ended(RecordEnd::default()));
    entries
}

fn journal(name: &str, entries: &[RecordEntry]) -> JournalFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&record_of(entries)).unwrap();
    file.rewind().unwrap();
    JournalFile { name: name.to_owned(), file }
}

fn merged(journals: Vec<JournalFile>) -> Result<Arc<Report>, String> {
    merge(journals, None, &mut SinkSet::default()).map_err(|error| error.to_string())
}

/// The agents that are lost, and up to when each has reported, ns.
fn lost(report: &Report) -> Vec<(String, u64)> {
    let changes = report.snapshot.changes.list.iter();
    let lost = changes.filter_map(|one| match &one.change {
        Change::WorkerLost { reported_until } => Some((one.to_string(), reported_until.ns())),
        _ => None,
    });
    lost.collect()
}

#[test]
fn journals_of_all_agents_add_up() {
    let all = [0, 1].map(|agent| entries(run_info(), agent, 4));
    let report = merged(vec![journal("a", &all[0]), journal("b", &all[1])]).unwrap();
    let iterations = report.snapshot.iterations();
    assert_eq!((iterations.due, iterations.started), (80, 80));
    assert_eq!(lost(&report), []);
    let mut expected = DeltaSum::default();
    for entry in all.iter().flatten() {
        if let RecordEntry::Delta(delta) = entry {
            expected.add(delta);
        }
    }
    assert_eq!(expected.iterations[0], iterations);
    let again = merged(vec![journal("b", &all[1]), journal("a", &all[0])]).unwrap();
    assert_eq!(format!("{:?}", again.snapshot), format!("{:?}", report.snapshot), "any order");
}

#[test]
fn agent_without_a_journal_is_lost_from_the_start() {
    let report = merged(vec![journal("b", &entries(run_info(), 1, 4))]).unwrap();
    assert_eq!(report.snapshot.iterations().due, 40);
    let losses: Vec<Option<&str>> =
        report.workers.iter().map(|worker| worker.loss.as_deref()).collect();
    assert_eq!(losses, [Some("its journal is missing"), None]);
    let lost = lost(&report);
    assert_eq!(lost.len(), 1);
    assert!(lost[0].0.contains("its journal is missing") && lost[0].1 == 0, "{lost:?}");
}

#[test]
fn journal_without_an_end_loses_what_was_under_way() {
    let whole = entries(run_info(), 0, 4);
    let cut = entries(run_info(), 1, 4);
    for seconds in 1..=3usize {
        let journals = vec![journal("a", &whole), journal("b", &cut[..=seconds])];
        let report = merged(journals).unwrap();
        let iterations = report.snapshot.iterations();
        assert_eq!(iterations.due, 40 + 10 * seconds as u64);
        assert_eq!(iterations.interrupted, 1, "one was under way");
        assert_eq!(report.snapshot.health.ledger, Vec::<String>::new());
        let lost = lost(&report);
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].1, seconds as u64 * SECOND_NS + 6_000_000);
        assert!(report.workers[1].loss.as_ref().unwrap().contains("without its end"));
    }
}

#[test]
fn journals_of_other_runs_and_two_of_one_agent_are_refused() {
    let own = || journal("own", &entries(run_info(), 0, 2));
    let other_run = {
        let mut info = run_info();
        let plan = RunManifest { run_id: "2-2".to_owned(), ..(*info.plan).clone() };
        info.plan = Arc::new(plan);
        entries(info, 1, 2)
    };
    let error = merged(vec![own(), journal("other", &other_run)]).unwrap_err();
    assert!(error.contains("own and other are journals of two runs, 1-1 and 2-2"), "{error}");
    let other_plan = {
        let mut info = run_info();
        info.plan = Arc::new(RunManifest { scenario: "b".into(), ..(*info.plan).clone() });
        entries(info, 1, 2)
    };
    let error = merged(vec![own(), journal("other", &other_plan)]).unwrap_err();
    assert!(error.contains("own and other have the same run id, but other plans"), "{error}");
    let error = merged(vec![own(), own()]).unwrap_err();
    assert!(error.contains("own and own both have what agent 0 measured"), "{error}");
    let start_only = journal("a", &entries(run_info(), 0, 2)[..1]);
    assert!(merged(vec![start_only]).unwrap_err().contains("no journal has anything"));
    let foreign = JournalFile { name: "x".to_owned(), file: File::open("Cargo.toml").unwrap() };
    let error = merged(vec![foreign]).unwrap_err();
    assert!(error.contains("the journal x: not a record"), "{error}");
}

#[test]
fn stop_of_the_coordinator_and_moves_are_told_once() {
    let moved = |at: u64| {
        RecordEntry::EventLogged(Arc::new(StateChange {
            at: RunOffset::from_ns(at),
            subject: ChangeSubject::Agent(1),
            change: Change::Redistributed { shards: 1, from: RunOffset::from_ns(SECOND_NS) },
            cause: crate::stats::ChangeCause::NoHeartbeat,
        }))
    };
    let stopped = |at: u64| {
        RecordEntry::Stopped(StopCause::Workers("early".to_owned()), RunOffset::from_ns(at))
    };
    let all = [0, 1].map(|agent| {
        let mut all = entries(run_info(), agent, 3);
        all.insert(2, moved(SECOND_NS / 2 + agent as u64));
        all.insert(3, stopped(2 * SECOND_NS - agent as u64));
        all
    });
    let report = merged(vec![journal("a", &all[0]), journal("b", &all[1])]).unwrap();
    let changes = &report.snapshot.changes.list;
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].at.ns(), SECOND_NS / 2);
    assert_eq!(report.stopped.as_deref(), Some("early"));
    assert_eq!(report.snapshot.until_ns, 2 * SECOND_NS - 1);
}
