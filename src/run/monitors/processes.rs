//! Monitors of processes: this one with its workers and its machine, and one that `--monitor pid`
//! names.
//!
//! Invariant: rates are differences over the time between two readings, whatever that time was.

use std::time::Duration;

use super::error::MonitorError;
use crate::clock::{self, Time};
use crate::host::usage::{self, MachineUse, ProcessUse};
use crate::stats::{Monitor, MonitorOwner, MonitorUnit};

/// This process with its workers, and its machine.
#[derive(Debug)]
pub(super) struct Own {
    at: Time,
    /// This process, then its workers; what was read last of one that has ended.
    processes: Vec<(Option<u32>, ProcessUse)>,
    machine: MachineUse,
    /// `None` if there is no such counter.
    throttled_ns: Option<u64>,
}

/// A process that is monitored.
#[derive(Debug)]
pub(super) struct Pid {
    number: u32,
    at: Time,
    before: Option<ProcessUse>,
}

impl Own {
    pub(super) fn new() -> Self {
        Self {
            at: clock::now(),
            processes: vec![(None, usage::process(None).unwrap_or_default())],
            machine: usage::machine().unwrap_or_default(),
            throttled_ns: usage::throttled_ns(),
        }
    }

    /// Adds the workers of this process.
    pub(super) fn add_workers(&mut self, pids: &[u32]) {
        let read = |pid: &u32| (Some(*pid), usage::process(Some(*pid)).unwrap_or_default());
        self.processes.extend(pids.iter().map(read));
    }

    /// Reads all processes again. One that has ended has used what it had used, and holds nothing.
    fn read_processes(&self) -> Vec<(Option<u32>, ProcessUse)> {
        let read = |(pid, before): &(Option<u32>, ProcessUse)| {
            let gone = || ProcessUse { cpu: before.cpu, ..ProcessUse::default() };
            (*pid, usage::process(*pid).unwrap_or_else(gone))
        };
        self.processes.iter().map(read).collect()
    }

    pub(super) fn monitors(&self) -> Vec<Monitor> {
        let monitor = |name: &str, unit| Monitor {
            name: name.to_owned(),
            unit,
            owner: MonitorOwner::Generator,
        };
        let mut all = vec![
            monitor("cpu", MonitorUnit::Percent),
            monitor("machine cpu", MonitorUnit::Percent),
            monitor("steal", MonitorUnit::Percent),
            monitor("memory", MonitorUnit::Bytes),
            monitor("descriptors", MonitorUnit::Count),
            monitor("hiccup", MonitorUnit::Micros),
        ];
        all.extend(self.throttled_ns.map(|_| monitor("throttled", MonitorUnit::Percent)));
        all
    }

    /// The readings; `hiccup` is the longest delay with which this process was woken since the last
    /// ones.
    pub(super) fn read(&mut self, hiccup: Duration) -> Vec<Option<f64>> {
        let (now, before) = (Self { processes: self.read_processes(), ..Self::new() }, &*self);
        let cpu_ns =
            |own: &Self| own.processes.iter().map(|(_, used)| used.cpu.total_ns()).sum::<u64>();
        let rss: u64 = now.processes.iter().map(|(_, used)| used.rss).sum();
        let descriptors =
            now.processes.iter().map(|(_, used)| used.descriptors).sum::<Option<u64>>();
        let took = (now.at - before.at).as_nanos() as f64;
        let share = |now: u64, before: u64| now.saturating_sub(before) as f64 / took * 100.0;
        let ticks = now.machine.all.saturating_sub(before.machine.all);
        let of_ticks = |now: u64, before: u64| {
            (ticks > 0).then(|| now.saturating_sub(before) as f64 / ticks as f64 * 100.0)
        };
        let mut all = vec![
            Some(share(cpu_ns(&now), cpu_ns(before))),
            of_ticks(now.machine.idle, before.machine.idle).map(|idle| 100.0 - idle),
            of_ticks(now.machine.steal, before.machine.steal),
            Some(rss as f64),
            descriptors.map(|count| count as f64),
            Some(hiccup.as_nanos() as f64 / 1e3),
        ];
        if let Some(before) = before.throttled_ns {
            all.push(now.throttled_ns.map(|now| share(now, before)));
        }
        *self = Self { throttled_ns: before.throttled_ns.and(now.throttled_ns), ..now };
        all
    }
}

impl Pid {
    /// # Errors
    /// If there is no such process.
    pub(super) fn new(pid: u32) -> Result<Self, MonitorError> {
        let before = usage::process(Some(pid));
        if before.is_none() {
            return Err(MonitorError::NoProcess(pid));
        }
        Ok(Self { number: pid, at: clock::now(), before })
    }

    pub(super) fn monitors(&self) -> Vec<Monitor> {
        let units = [
            ("cpu", MonitorUnit::Percent),
            ("memory", MonitorUnit::Bytes),
            ("descriptors", MonitorUnit::Count),
            ("threads", MonitorUnit::Count),
        ];
        let monitor = |(what, unit)| Monitor {
            name: format!("pid {} {what}", self.number),
            unit,
            owner: MonitorOwner::Target,
        };
        units.map(monitor).into()
    }

    /// The readings; all `None` once the process has ended.
    pub(super) fn read(&mut self) -> Vec<Option<f64>> {
        let (at, now) = (clock::now(), usage::process(Some(self.number)));
        let took = (at - self.at).as_nanos() as f64;
        let cpu = now.zip(self.before).map(|(now, before)| {
            now.cpu.total_ns().saturating_sub(before.cpu.total_ns()) as f64 / took * 100.0
        });
        (self.at, self.before) = (at, now);
        let count = |count: u64| count as f64;
        vec![
            cpu,
            now.map(|now| now.rss).map(count),
            now.and_then(|now| now.descriptors).map(count),
            now.map(|now| now.threads).map(count),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dial_has_a_reading() {
        let mut own = Own::new();
        let monitors = own.monitors();
        for _ in 0..2 {
            let readings = own.read(Duration::from_millis(3));
            assert_eq!(readings.len(), monitors.len());
            let of = |name: &str| readings[monitors.iter().position(|d| d.name == name).unwrap()];
            assert!(of("memory").unwrap() > 0.0 && of("descriptors").unwrap() > 2.0);
            assert_eq!(of("hiccup"), Some(3_000.0));
            assert!(of("cpu").unwrap() >= 0.0);
        }
        let mut pid = Pid::new(std::process::id()).unwrap();
        assert_eq!(pid.read().len(), pid.monitors().len());
        pid.number = u32::MAX;
        assert_eq!(pid.read(), [None; 4], "it has gone");
        assert!(Pid::new(u32::MAX).unwrap_err() == MonitorError::NoProcess(u32::MAX));
    }
}
