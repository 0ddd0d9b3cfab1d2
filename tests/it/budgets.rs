//! Tests of memory budgets, given or from a control group: memory is released, users are held
//! back, and the run completes.
//!
//! Invariant: a control group is removed with its test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};

/// 300 users keep 300 kB of responses each; they arrive within this time.
fn scenario(target: &Builtin, keys: &str, over: &str) -> String {
    let kept = |n| format!("_kept{n}: {{ regex: \"(?s)(.*)\" }}");
    let kept: Vec<String> = (0..5).map(kept).collect();
    format!(
        "services: {{ it: {{ url: \"{}\", timeout: 5s }} }}\ngrace: 100ms\n{keys}\nworkloads:\n  \
         w:\n    users: [ {{ ramp: 300, over: {over} }}, {{ hold: 4s }} ]\n    flow:\n      \
         - {{ get: /bytes/60000, think: 20s, capture: {{ {} }} }}\n      \
         - {{ get: /n/1, name: never }}\n",
        target.url(""),
        kept.join(", ")
    )
}

fn run(target: &Builtin, keys: &str, over: &str) -> (Value, Done) {
    let done =
        Manada::telling(&scenario(target, keys, over), &["--seed", "1", "--shards", "1"]).go();
    (done.report(0), done)
}

/// A control group with a hard limit.
struct Group(PathBuf);

impl Group {
    /// Creates a group with this limit, bytes; `None` if no hierarchy is writable.
    fn new(bytes: u64) -> Option<Self> {
        let roots =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        roots.into_iter().find_map(|(root, limit)| {
            let own = Path::new(root).join(format!("manada-test-{}", std::process::id()));
            fs::create_dir(&own).ok()?;
            let group = Self(own);
            fs::write(group.0.join(limit), bytes.to_string()).ok()?;
            Some(group)
        })
    }
}

impl Group {
    /// Returns how many of its processes the kernel killed for lack of memory.
    fn killed(&self) -> u64 {
        let read = |file: &str| fs::read_to_string(self.0.join(file)).ok();
        let events = read("memory.events").or_else(|| read("memory.oom_control")).unwrap();
        let line = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.map_or(0, |count| count.trim().parse().unwrap())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty by now, because its processes have ended.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn run_stays_near_its_memory_budget() {
    let target = Builtin::start(&[]);
    let (free, _) = run(&target, "", "3s");
    let (held, done) = run(&target, "memory: 64MiB", "9s");
    let peak = |report: &Value| count(report, "generator.rss_bytes_peak");
    let context = format!("{} without, {} with: {done}", peak(&free), peak(&held));
    // 90 MB of captures and the program itself; a busy machine may not complete all of them.
    assert!(peak(&free) > 68 << 20, "{context}");
    // Memory is checked once a second, while 10 MB arrive per second.
    assert!(peak(&held) < (80 << 20).min(peak(&free)), "{context}");
    for event in [
        "memory: released idle connections, buffers and exemplar storage (",
        "memory: admission paused (",
    ] {
        assert!(done.stderr.contains(event), "{event} {context}");
    }
    assert!(count(&held, "users.peak") < count(&free, "users.peak"), "{context}");
    assert_eq!(count(&held, "calls.ok"), count(&held, "calls.made"), "{context}");
}

#[test]
fn run_completes_with_half_of_its_memory() {
    let target = Builtin::start(&[]);
    let (free, _) = run(&target, "client: resilient\nmemory: false", "3s");
    let wants = count(&free, "generator.rss_bytes_peak");
    let Some(group) = Group::new(wants / 2) else {
        let _ = writeln!(std::io::stderr(), "not tested: no control group can be made; be root");
        return;
    };
    // A group that is not the root of its hierarchy is visible.
    let doctor = Manada::new(&["doctor"]).within(&group.0).go();
    let limit = format!("{} MiB", (wants / 2) >> 20);
    assert!(doctor.stdout.contains(&format!("limit {limit}")), "{limit}: {doctor}");
    let words = ["--seed", "1", "--shards", "1"];
    // Slowly: the kernel kills at once, and a busy machine checks memory late.
    let text = scenario(&target, "client: resilient", "18s");
    let done = Manada::telling(&text, &words).within(&group.0).go();
    let report = done.report(0);
    assert!(done.stderr.contains("memory: admission paused ("), "{done}");
    // The group's memory never passed its limit, and the kernel killed nothing.
    assert_eq!(group.killed(), 0, "{done}");
    assert!(count(&report, "users.peak") < count(&free, "users.peak"), "{done}");
    assert!(!done.read("out/summary.json").is_empty());
}
