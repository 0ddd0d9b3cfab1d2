//! Resource use of a process and of the machine, from kernel counters.
//!
//! `run` reads them once a second and shows differences.
//! Invariant: a counter that cannot be read is `None`, never zero; a read costs well under a
//! millisecond, however many descriptors are open, on kernels since 6.2.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::facts::control_groups;
use super::texts;

/// CPU time of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In the program itself, ns.
    pub user_ns: u64,
    /// In the kernel, ns.
    pub system_ns: u64,
}

impl CpuTime {
    /// Both together, ns.
    pub fn total_ns(self) -> u64 {
        self.user_ns + self.system_ns
    }

    /// The sum of two processes.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { user_ns: self.user_ns + other.user_ns, system_ns: self.system_ns + other.system_ns }
    }

    /// The same shares of another total: the kernel counts the two in ticks, and their sum in ns.
    #[must_use]
    pub fn of_total(self, total_ns: u64) -> Self {
        let all = self.total_ns().max(1);
        let system = u128::from(total_ns) * u128::from(self.system_ns) / u128::from(all);
        let system_ns = u64::try_from(system).unwrap_or(total_ns);
        Self { user_ns: total_ns.saturating_sub(system_ns), system_ns }
    }
}

/// Resource use of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// CPU time of all its threads since it began.
    pub cpu: CpuTime,
    /// Resident memory, bytes.
    pub rss: u64,
    /// Number of threads.
    pub threads: u64,
    /// Open descriptors; `None` if the process belongs to another user.
    pub descriptors: Option<u64>,
}

/// CPU time of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineUse {
    /// Time of all cores since boot, in the kernel's ticks.
    pub all: u64,
    /// Idle time of all cores.
    pub idle: u64,
    /// Time that a hypervisor gave to other guests.
    pub steal: u64,
}

/// Returns the use of a process, or of this one if `pid` is `None`; `None` if the process does not
/// exist.
pub fn process(pid: Option<u32>) -> Option<ProcessUse> {
    let folder = pid.map_or("/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let ([user, system], threads, pages) = texts::stat(&stat)?;
    Some(ProcessUse {
        cpu: CpuTime { user_ns: user * tick_ns, system_ns: system * tick_ns },
        rss: pages * rustix::param::page_size() as u64,
        threads,
        descriptors: descriptors(&format!("{folder}/fd")),
    })
}

/// The size of the folder is the number of descriptors on kernels since 6.2, zero before.
fn descriptors(folder: &str) -> Option<u64> {
    match fs::metadata(folder).ok()?.size() {
        0 => Some(fs::read_dir(folder).ok()?.count() as u64),
        // The folder of another user's process has a size but cannot be read.
        count => fs::read_dir(folder).is_ok().then_some(count),
    }
}

/// Returns the CPU time of the machine.
pub fn machine() -> Option<MachineUse> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let [all, idle, steal] = texts::cpu_line(&text)?;
    Some(MachineUse { all, idle, steal })
}

/// Returns how long this process's control group was throttled since it began, ns; `None` if it has
/// no CPU limit.
pub fn throttled_ns() -> Option<u64> {
    let read = |controller: &str, key: &str, scale: u64| {
        let folder = control_groups(controller).into_iter().next()?;
        let text = fs::read_to_string(folder.join("cpu.stat")).ok()?;
        Some(texts::keyed(&text, key)? * scale)
    };
    read("", "throttled_usec", 1_000).or_else(|| read("cpu", "throttled_time", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_cpu_time_are_kept_and_nothing_is_lost() {
        let ticks = CpuTime { user_ns: 30, system_ns: 10 };
        let exact = ticks.of_total(4_003);
        assert_eq!((exact.user_ns, exact.system_ns, exact.total_ns()), (3_003, 1_000, 4_003));
        assert_eq!(CpuTime::default().of_total(7), CpuTime { user_ns: 7, system_ns: 0 });
        assert_eq!(ticks.plus(exact).total_ns(), 4_043);
    }

    #[test]
    fn own_use_is_known_and_a_missing_process_is_none() {
        let own = process(None).unwrap();
        assert!(own.rss > 0 && own.threads > 0 && own.descriptors.unwrap() > 2, "{own:?}");
        assert!(process(Some(std::process::id())).unwrap().threads > 0);
        assert_eq!(process(Some(u32::MAX)), None);
        let machine = machine().unwrap();
        assert!(machine.all > machine.idle);
    }
}
