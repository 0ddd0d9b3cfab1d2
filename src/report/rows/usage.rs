//! What the generator of a run used: CPU time, memory, bytes over the network and in files.
//!
//! Invariant: sums are over all processes of the run; what is not known is `None`.

use crate::event::Report;
use crate::host::usage::CpuTime;
use crate::units::{show_bytes, show_duration};

/// What a run used.
#[derive(Clone, Debug)]
pub(crate) struct UsageRow {
    /// CPU time of all processes.
    pub(crate) cpu: Option<CpuTime>,
    /// The mean number of cores that were busy with it over the run.
    pub(crate) cores: Option<f64>,
    /// Mean memory over the load, bytes; agents count with their peak.
    pub(crate) memory_mean: Option<u64>,
    /// Peak memory, bytes.
    pub(crate) memory_peak: Option<u64>,
    /// Bytes of requests.
    pub(crate) sent: u64,
    /// Bytes of responses.
    pub(crate) received: u64,
    /// Bytes that were written to files before the reports.
    pub(crate) written: Option<u64>,
}

/// What a run used; also of one that is running, as far as that is known.
pub(crate) fn usage(report: &Report) -> UsageRow {
    let snapshot = &report.snapshot;
    let workers = report.workers.iter().map(|worker| worker.cpu);
    let cpu = report.usage.cpu.map(|own| workers.fold(own, CpuTime::plus));
    let agents = report.workers.iter().filter(|worker| worker.agent.is_some());
    let of_agents: u64 = agents.map(|agent| agent.rss_peak).sum();
    let elapsed = snapshot.elapsed_ns;
    UsageRow {
        cpu,
        cores: cpu.filter(|_| elapsed > 0).map(|cpu| cpu.total_ns() as f64 / elapsed as f64),
        memory_mean: report.memory_mean.map(|own| own + of_agents),
        memory_peak: report.rss_peak,
        sent: snapshot.connections.bytes_sent,
        received: snapshot.connections.bytes_received,
        written: report.usage.written,
    }
}

impl UsageRow {
    /// CPU time as text, such as "3.2 s CPU (2.1 s user, 1.1 s system), 0.4 cores".
    pub(crate) fn cpu_text(&self) -> Option<String> {
        let cpu = self.cpu?;
        let seconds = |ns: u64| format!("{:.2} s", ns as f64 / 1e9);
        let cores = self.cores.map_or(String::new(), |cores| format!(", {cores:.2} cores"));
        let (user, system) = (seconds(cpu.user_ns), seconds(cpu.system_ns));
        Some(format!("{} CPU ({user} user, {system} system){cores}", seconds(cpu.total_ns())))
    }

    /// Memory as text.
    pub(crate) fn memory_text(&self) -> Option<String> {
        let mean = self.memory_mean.map(|bytes| format!("{} mean", show_bytes(bytes)));
        let peak = self.memory_peak.map(|bytes| format!("{} peak", show_bytes(bytes)));
        let parts: Vec<String> = mean.into_iter().chain(peak).collect();
        (!parts.is_empty()).then(|| format!("memory {}", parts.join(", ")))
    }

    /// All of it in one line; `None` if nothing but the bytes of the network is known.
    pub(crate) fn text(&self) -> Option<String> {
        let written = self.written.map(|bytes| format!("{} written to files", show_bytes(bytes)));
        self.cpu?;
        let network = format!(
            "network {} sent, {} received",
            show_bytes(self.sent),
            show_bytes(self.received)
        );
        let parts = [self.cpu_text(), self.memory_text(), Some(network), written];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

/// What was not written any more since the limit of files was near, as sentences.
pub(crate) fn left_out(report: &Report) -> Vec<String> {
    let most = report.usage.max_disk.map_or(String::new(), |most| {
        format!(", since `max_disk` ({}) was near", show_bytes(most))
    });
    let sentence = |(output, from): (&str, std::time::Duration)| {
        let from = show_duration(from);
        format!("{output}: not written from {from} on, nor what was buffered then{most}")
    };
    let all = report.usage.left_out.iter();
    let whole_ms = |ns: u64| std::time::Duration::from_millis(ns / 1_000_000);
    all.map(|one| sentence((&one.output, whole_ms(one.from.ns())))).collect()
}
