//! A made-up run as a page: what stands where, how long it gets, and that nothing of others is
//! markup.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::clock::RunOffset;
use crate::event::{GeneratorInfo, Report, RunInfo};
use crate::exit::ExitStatus;
use crate::ids::{ArchetypeId, ServiceId, StepId, WorkloadId};
use crate::plan::manifest::{ClientInfo, WorkloadInfo};
use crate::plan::policy::BreakerName;
use crate::plan::{RunManifest, Series, SourceFile};
use crate::seed::Seed;
use crate::stats::delta::StepWindow;
use crate::stats::exemplar::{Exemplar, FailureMode};
use crate::stats::monitor::{MonitorOwner, MonitorUnit};
use crate::stats::run_usage::RunUsage;
use crate::stats::timeline::{StartCounts, Timeline, band};
use crate::stats::{
    BreakerState, BreakerUse, Calls, Change, ChangeCause, ChangeKind, ChangeSubject, GaugeSample,
    HeatColumn, Latency, Monitor, Point, Snapshot, StateChange, Tally, Untimed,
};
use crate::verdict::judge::UntimedRank;
use crate::verdict::{Judgement, Threshold, Trust, TrustContext, trust};

/// A run of `seconds` seconds in which every text is `text`.
pub fn made_up(seconds: u32, text: &str) -> Report {
    let plan = Arc::new(outline(text));
    let monitor =
        |whose| Monitor { name: text.to_owned(), unit: MonitorUnit::Percent, owner: whose };
    let info = RunInfo {
        started_at: SystemTime::UNIX_EPOCH,
        generator: GeneratorInfo {
            tier: "threads".into(),
            shards: 2,
            processes: 1,
            is_fleet: false,
            reason: text.to_owned(),
            remarks: vec![text.to_owned()],
            sandbox: None,
        },
        command: vec!["manada".to_owned(), "run".to_owned(), text.to_owned()],
        machine: vec![("kernel".to_owned(), text.to_owned())],
        monitors: vec![monitor(MonitorOwner::Generator), monitor(MonitorOwner::Target)],
        plan: Arc::clone(&plan),
    };
    let judgement = Judgement {
        threshold: Threshold {
            rule: text.to_owned(),
            ..Threshold::parse("response.p95 < 250ms").unwrap()
        },
        observed: Some(300_000.0),
        at_least: true,
        thin: true,
        unknown: UntimedRank { starts: 30, calls: 70, all: 1_000 },
        without_own_delay: None,
        rests_on_own_delay: false,
        stopped: None,
        worst_at_s: Some(3),
        passed: false,
    };
    let reason = trust::TrustReason {
        check: "lag",
        level: trust::TrustLevel::Degraded,
        observed: 3_000.0,
        limit: 2_000.0,
        unit: "us",
        effects: &[("response", crate::verdict::trust::Moves::Any)],
        hint: text.to_owned(),
    };
    Report {
        broken: Vec::new(),
        snapshot: Arc::new(snapshot(&plan, seconds, text)),
        info: Arc::new(info),
        timeline: timeline(seconds),
        judgements: vec![judgement],
        trust: Trust { level: trust::TrustLevel::Degraded, reasons: vec![reason] },
        stopped: Some(text.to_owned()),
        why: None,
        is_running: false,
        status: ExitStatus::Fail,
        rss_peak: Some(1 << 24),
        shift: None,
        workers: Vec::new(),
        usage: RunUsage::default(),
        memory_mean: None,
        prices: None,
    }
}

fn outline(text: &str) -> RunManifest {
    let own = || text.to_owned();
    let series = |workload| Series {
        name: own(),
        archetype: ArchetypeId::default(),
        workload: WorkloadId::new(workload),
        tags: Vec::new(),
    };
    let strand = |open| WorkloadInfo {
        name: own(),
        open,
        start: Duration::ZERO,
        end: None,
        archetypes: vec![(own(), 1.0)],
        max_users: 100,
    };
    let breaker = BreakerName { name: own(), level: "system", is_configured: true };
    RunManifest {
        backends: Vec::new(),
        caches: vec![own()],
        run_id: "1-1".to_owned(),
        scenario: own(),
        description: Some(own()),
        seed: Seed::new(7).unwrap(),
        services: vec![(own(), own())],
        archetypes: vec![own()],
        workloads: vec![strand(true), strand(false)],
        steps: vec![series(0), series(1)],
        groups: vec![series(0)],
        checks: vec![vec![own()], Vec::new()],
        thresholds: vec![Threshold::parse("errors < 1%").unwrap()],
        warmup: Duration::from_secs(2),
        grace: Duration::ZERO,
        kind: TrustContext {
            scheduled: vec![true, false],
            workload_of: WorkloadId::first(2).collect(),
            has_unpaced: true,
            unthrottled: vec![false, false],
        },
        client: ClientInfo {
            kind: "resilient".to_owned(),
            parts: vec![own()],
            pools: vec![(own(), true)],
            breakers: vec![breaker],
            endpoints: vec![(own(), ServiceId::default())],
            timeouts_from: Some(Duration::from_secs(1)),
            degrades: true,
        },
        has_streams: false,
        traces: None,
        sources: vec![SourceFile { name: own(), text: own() }],
    }
}

fn latency() -> Latency {
    let mut latency = Latency::default();
    (1..=100).for_each(|ms| latency.record_response(ms * 1_000_000));
    latency.record_at_least(250_000_000);
    latency.record_untimed_n(Untimed::NoResponse, 2);
    latency
}

fn snapshot(plan: &RunManifest, seconds: u32, text: &str) -> Snapshot {
    let mut snapshot = Tally::new(&plan.series_layout(), 1, vec![true, false]).snapshot(None);
    let calls = Calls { made: 103, ok: 100, timeout: 1, failed: 2, ..Calls::default() };
    let step = StepWindow {
        calls,
        response: latency(),
        service: latency(),
        checks: vec![[90, 10]],
        statuses: vec![(200, 100)],
        ..StepWindow::default()
    };
    snapshot.elapsed_ns = u64::from(seconds) * 1_000_000_000;
    snapshot.measured_ns = snapshot.elapsed_ns;
    snapshot.measured.steps[0] = Some(Box::new(step));
    snapshot.measured.phases[3].record_n(5_000, 100);
    snapshot.statuses = vec![(0, 1), (200, 100), (503, 2)];
    snapshot.errors = vec![(3, 2)];
    snapshot.unset = vec![(text.to_owned(), 3)];
    snapshot.failed_expressions = vec![(text.to_owned(), 2)];
    snapshot.ran_out = vec![(text.to_owned(), 4)];
    let exemplar = Exemplar {
        step: StepId::default(),
        failing: FailureMode::Check(0),
        intended: RunOffset::from_ns(5),
        user: 6,
        curl: text.to_owned(),
        cut: true,
        status: Some(200),
        error: None,
        error_text: text.to_owned(),
        failed: vec![text.to_owned()],
        head: text.to_owned(),
        body: text.to_owned(),
    };
    snapshot.exemplars = vec![(9, Arc::new(exemplar))];
    snapshot.resilience.timeouts_ns = vec![1_000_000];
    snapshot.resilience.breakers =
        vec![BreakerUse { state: Some(BreakerState::Open), opened: 2, refused: 3 }];
    snapshot.pools[0].leases = 5;
    let kinds = [ChangeKind::Control, ChangeKind::Breaker, ChangeKind::Memory];
    for (at, kind) in kinds.into_iter().enumerate() {
        let text = || text.to_owned();
        let notice = StateChange {
            at: RunOffset::from_ns(at as u64 * 1_000_000_000),
            subject: ChangeSubject::Former(text()),
            change: Change::Former { kind, text: text() },
            cause: ChangeCause::Former { text: text() },
        };
        snapshot.changes.push(notice, 10);
    }
    snapshot
}

fn timeline(seconds: u32) -> Timeline {
    let mut timeline = Timeline::default();
    let latency = latency();
    for second in 0..seconds {
        timeline.close(Point {
            second,
            measured: second > 1,
            loads: vec![StartCounts { due: 9, on_time: 8, started: 9, lost: 1 }; 2],
            calls: Calls { made: 9, ok: u64::from(second % 9), ..Calls::default() },
            response: band(&latency),
            service: band(&latency),
            // No two neighbours are of one level: each cell is a bar of its own.
            heat: HeatColumn(
                (20..60).map(|row| (row, 8u32.pow((u32::from(row) + second / 8) % 5))).collect(),
            ),
            ..Point::default()
        });
        timeline.record_gauges(GaugeSample {
            second,
            target: vec![9.0, f64::from(second % 50)],
            users: 5,
            running: 4,
            connections: 3,
            monitors: vec![Some(f64::from(second % 97) + 0.5), None],
            ..GaugeSample::default()
        });
    }
    timeline
}

/// What targets and scenarios may try.
const HOSTILE: [&str; 8] = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "\u{1b}]0;title\u{7}\u{1b}[2J",
    "\u{202e}gpj.exe\u{2066}",
    "a\0b\r\n<!-- --><![CDATA[ ]]>",
];

/// Every tag of a page that begins like this.
fn tags<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let begin = format!("<{name}");
    let from = page.match_indices(&begin).map(|(at, _)| at);
    from.map(|at| &page[at..=at + page[at..].find('>').unwrap()]).collect()
}

#[test]
fn what_others_wrote_is_never_markup() {
    let calm = document(&made_up(6, "calm"));
    let count = |page: &str| page.matches('<').count();
    for text in HOSTILE {
        let page = document(&made_up(6, text));
        // Every angle bracket is ours: there are as many as in a page of harmless words.
        assert_eq!(count(&page), count(&calm), "{text:?}");
        for tag in ["script", "img", "!--", "![CDATA", "iframe", "link", "base"] {
            assert_eq!(tags(&page, tag), tags(&calm, tag), "{text:?} <{tag}");
        }
        for bad in ['\0', '\u{1b}', '\u{7}', '\u{202e}', '\u{2066}'] {
            assert!(!page.contains(bad), "{text:?}: {bad:?}");
        }
        for (attribute, of) in [("href", "a"), ("src", "img")] {
            let own = |tag: &&str| tag.contains(&format!("{attribute}=\"#"));
            assert!(tags(&page, &format!("{of} ")).iter().all(own), "{text:?}");
        }
        assert!(!page.contains(" onmouseover='alert") || text.starts_with('\''), "{text:?}");
        assert!(!page.contains(" style=") && !page.contains(" onload="), "{text:?}");
    }
}

#[test]
fn attributes_cannot_be_closed() {
    let page = document(&made_up(3, "x\" onfocus=\"alert(1)"));
    for tag in page.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|one| one.0) {
        assert!(!tag.contains("onfocus=\""), "{tag}");
    }
    assert!(page.contains("x&quot; onfocus=&quot;"));
}

#[test]
fn a_text_of_a_megabyte_does_not_fill_the_page() {
    let page = document(&made_up(6, &"<".repeat(1 << 20)));
    assert!(page.len() < 4 << 20, "{}", page.len());
    assert!(page.contains("characters more"));
}

#[test]
fn an_hour_is_a_small_file() {
    let page = document(&made_up(3_600, "shop"));
    assert!(page.len() < 2_000_000, "{}", page.len());
    assert!(tags(&page, "path class=\"cell").len() <= 14, "one path for each colour");
}

#[test]
fn sections_stand_in_the_order_of_questions() {
    let page = document(&made_up(6, "shop"));
    let found: Vec<&str> = tags(&page, "section").into_iter().collect();
    let wanted = [
        "verdict",
        "thresholds",
        "load",
        "latency",
        "distribution",
        "steps",
        "phases",
        "answers",
        "failures",
        "checks",
        "client",
        "events",
        "health",
        "scenario",
    ];
    let wanted: Vec<String> = (wanted.iter())
        .map(|id| format!("<section id=\"{id}\" aria-labelledby=\"{id}-title\">"))
        .collect();
    assert_eq!(found, wanted);
    let titles = page.matches("-title\">").count();
    assert_eq!(titles, wanted.len() * 2, "each is named by its heading");
    // Calls, starts, users, iterations, in flight; response, service, heat map; two monitors.
    assert_eq!(tags(&page, "figure class=\"chart time\"").len(), 10);
    assert_eq!(tags(&page, "figure class=\"chart\"").len(), 2);
    let axes = tags(&page, "figure class=\"chart time\"");
    assert!(axes.iter().all(|tag| tag.contains("data-seconds=\"6\"")), "one axis: {axes:?}");
    assert_eq!(page.matches("class=\"warmup\"").count(), 10);
    assert_eq!(page.matches("class=\"mark control\"").count(), 12, "in charts, legend, row");
}

#[test]
fn the_policy_names_the_two_blocks_that_are_there() {
    let page = document(&made_up(3, "shop"));
    let block = |name: &str| {
        let from = page.find(&format!("<{name}>")).unwrap() + name.len() + 2;
        let length = page[from..].find(&format!("</{name}>")).unwrap();
        hash(&page[from..from + length])
    };
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'",
        block("style"),
        block("script")
    );
    assert!(page.contains(&policy.replace('\'', "&#39;")) || page.contains(&policy), "{policy}");
    for remote in ["http://", "https://", "@import", "url("] {
        let own = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(remote), "{remote}");
    }
}

#[test]
fn numbers_of_others_are_shown_as_what_they_are() {
    let page = document(&made_up(6, "shop"));
    for said in [
        "FAIL",
        "exit code",
        "The measurement is degraded",
        "Stopped: shop",
        "≥ ~250 ms",
        "margin 20 % missed",
        "manada run shop --seed 7",
        "○ lower bound",
        "1970-01-01 00:00:00Z",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_run_that_has_just_begun_is_a_page_too() {
    let mut report = made_up(0, "shop");
    report.timeline = Timeline::default();
    report.is_running = true;
    let plan = &report.info.plan;
    let nothing = Tally::new(&plan.series_layout(), 1, vec![true, false]).snapshot(None);
    report.snapshot = Arc::new(nothing);
    report.judgements[0].observed = None;
    let page = document(&report);
    assert!(page.contains("RUNNING") && page.contains("no data yet"));
    assert!(!page.contains("NaN") && !page.contains("inf"), "no number is made of nothing");
}

#[test]
fn repeated_run_has_the_seed_and_a_folder_of_its_own() {
    let mut report = made_up(3, "shop");
    let mut info = (*report.info).clone();
    let words = ["manada", "run", "a b.yaml", "--out", "reports/x", "--web", "--out=y"];
    info.command = words.map(str::to_owned).into();
    report.info = Arc::new(info);
    let seed = report.info.plan.seed.value();
    assert_eq!(report.command_line(), format!("manada run 'a b.yaml' --web --seed {seed}"));
}
