//! The limits of this machine, as far as they matter for load tests.
//!
//! `cli` shows them in `doctor`, `forecast` and `run` take limits from them; `texts` parses the
//! kernel's files.
//! Invariant: a fact that cannot be read is `None`, never a guess.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use super::texts;

/// The facts of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineFacts {
    /// The kernel, as in `uname`.
    pub kernel: String,
    /// Open files of this process: the soft limit, and the hard one it is raised to. `u64::MAX` is
    /// no limit.
    pub descriptors: Option<(u64, u64)>,
    /// The highest value that a hard limit can be raised to, `fs.nr_open`.
    pub nr_open: Option<u64>,
    /// The first and last local port.
    pub ports: Option<(u64, u64)>,
    /// `net.ipv4.tcp_tw_reuse`: 0 off, 1 on, 2 on for loopback.
    pub tw_reuse: Option<u64>,
    /// The longest accept queue that a listener may request.
    pub somaxconn: Option<u64>,
    /// Half-open connections per listener.
    pub syn_backlog: Option<u64>,
    /// The cores this process may run on.
    pub cores: Vec<usize>,
    /// Groups of those cores that are hardware threads of one core.
    pub siblings: Vec<Vec<usize>>,
    /// The cores' worth of CPU time that the control group allows.
    pub cpu_quota: Option<f64>,
    /// The CPU frequency governor, such as `powersave`.
    pub governor: Option<String>,
    /// Memory of the machine, and the part available for programs, bytes.
    pub memory: Option<(u64, u64)>,
    /// The control group's memory limit, bytes.
    pub memory_quota: Option<u64>,
    /// The kernel's clock source, such as `tsc`.
    pub clock_source: Option<String>,
    /// How late timers may fire to save power, ns.
    pub timer_slack_ns: Option<u64>,
    /// Whether a chosen local address leaves the port to `connect`: `IP_BIND_ADDRESS_NO_PORT`.
    pub bind_no_port: Option<bool>,
}

impl MachineFacts {
    /// Reads the facts of this machine.
    pub fn read() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let or_none = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let kernel = super::kernel();
        let cores = super::cores();
        let control = control_groups("");
        let memory = text("/proc/meminfo");
        Self {
            bind_no_port: texts::release(&kernel).map(|release| release >= (4, 2)),
            kernel,
            descriptors: Some((or_none(limit.current), or_none(limit.maximum))),
            nr_open: number("/proc/sys/fs/nr_open"),
            ports: text("/proc/sys/net/ipv4/ip_local_port_range").and_then(|t| texts::pair(&t)),
            tw_reuse: number("/proc/sys/net/ipv4/tcp_tw_reuse"),
            somaxconn: number("/proc/sys/net/core/somaxconn"),
            syn_backlog: number("/proc/sys/net/ipv4/tcp_max_syn_backlog"),
            siblings: siblings(&cores),
            governor: cores.first().and_then(|core| {
                text(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"))
            }),
            cores,
            cpu_quota: least(&control, "cpu.max", texts::cpu_max).or_else(|| {
                let groups = control_groups("cpu");
                let quotas = groups.iter().filter_map(|group| {
                    let part = |file| text(&group.join(file).to_string_lossy());
                    let (quota, period) = (part("cpu.cfs_quota_us")?, part("cpu.cfs_period_us")?);
                    texts::cpu_max(&format!("{quota} {period}"))
                });
                quotas.reduce(f64::min)
            }),
            memory: memory.and_then(|text| {
                Some((texts::kib(&text, "MemTotal:")?, texts::kib(&text, "MemAvailable:")?))
            }),
            memory_quota: least(&control, "memory.max", texts::bytes).or_else(|| {
                least(&control_groups("memory"), "memory.limit_in_bytes", texts::bytes)
            }),
            clock_source: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            timer_slack_ns: number("/proc/self/timerslack_ns"),
        }
    }

    /// Open files that this process can have.
    pub fn descriptors(&self) -> Option<u64> {
        self.descriptors.map(|(_, hard)| hard)
    }

    /// Local ports for connections to one address.
    pub fn ports(&self) -> Option<u64> {
        self.ports.map(|(low, high)| (high + 1).saturating_sub(low))
    }

    /// Memory for this process, bytes: the machine's, or the control group's limit.
    pub fn memory(&self) -> Option<u64> {
        let machine = self.memory.map(|(total, _)| total);
        [machine, self.memory_quota].into_iter().flatten().min()
    }

    /// Memory that this process may still allocate, bytes: what is free, within its control group
    /// and its own limit of address space (`ulimit -v`).
    pub fn free_memory(&self) -> Option<u64> {
        let free = self.memory.map(|(_, free)| free);
        let addresses = getrlimit(Resource::As).current;
        [free, self.memory_quota, addresses].into_iter().flatten().min()
    }
}

impl MachineFacts {
    /// Whether a control group allows less memory than the machine has.
    pub fn is_memory_grouped(&self) -> bool {
        let machine = self.memory.map_or(u64::MAX, |(total, _)| total);
        self.memory_quota.is_some_and(|quota| quota < machine)
    }
}

/// Returns the memory charged to the control group with the lowest limit, without what the kernel
/// reclaims first (file pages not used recently), bytes: the working set, as Kubernetes counts it.
/// It includes all processes of the group.
pub fn group_memory() -> Option<u64> {
    let charge = |controller: &str, limit: &str, usage: &str, prefix: &str| {
        let allows = |folder: &PathBuf| {
            let text = text(&folder.join(limit).to_string_lossy())?;
            Some((texts::bytes(&text)?, folder.clone()))
        };
        let groups = control_groups(controller);
        let (_, folder) = groups.iter().filter_map(allows).min()?;
        let usage = number(&folder.join(usage).to_string_lossy())?;
        let stat = text(&folder.join("memory.stat").to_string_lossy())?;
        let idle = texts::keyed(&stat, &format!("{prefix}inactive_file")).unwrap_or(0);
        Some(usage.saturating_sub(idle))
    };
    charge("", "memory.max", "memory.current", "")
        .or_else(|| charge("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"))
}

/// Reads a kernel file, trimmed.
fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number(path: &str) -> Option<u64> {
    text(path)?.parse().ok()
}

/// Returns the folders of this process's control group, from its own up to the root: of a version 1
/// controller, or of the unified hierarchy, which has no name.
pub(super) fn control_groups(controller: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup").join(controller);
    let own = text("/proc/self/cgroup").and_then(|text| texts::control_group(&text, controller));
    let own = root.join(own.unwrap_or_default().trim_start_matches('/'));
    own.ancestors().take_while(|folder| folder.starts_with(&root)).map(Path::to_owned).collect()
}

/// Returns the lowest limit of any of the groups.
fn least<T: PartialOrd>(
    groups: &[PathBuf],
    file: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let texts = groups.iter().filter_map(|folder| text(&folder.join(file).to_string_lossy()));
    texts.filter_map(|text| read(&text)).reduce(|a, b| if b < a { b } else { a })
}

/// Returns the cores of the mask that share a physical core, each group once.
fn siblings(cores: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for core in cores {
        let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        let Some(list) = text(&path).and_then(|text| texts::list(&text)) else { continue };
        let mine: Vec<usize> = list.into_iter().filter(|core| cores.contains(core)).collect();
        if mine.len() > 1 && !groups.contains(&mine) {
            groups.push(mine);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_this_machine_are_consistent() {
        let facts = MachineFacts::read();
        assert!(!facts.cores.is_empty() && facts.kernel.starts_with("Linux "));
        let (soft, hard) = facts.descriptors.unwrap();
        assert!(soft <= hard);
        assert!(facts.ports().is_none_or(|ports| ports > 0));
        assert!(facts.memory.is_none_or(|(total, free)| free <= total));
    }

    #[test]
    fn memory_is_the_lower_of_machine_and_group() {
        let memory =
            |memory, memory_quota| MachineFacts { memory, memory_quota, ..MachineFacts::default() };
        assert_eq!(memory(Some((8, 4)), None).memory(), Some(8));
        assert_eq!(memory(Some((8, 4)), Some(2)).memory(), Some(2));
        assert_eq!(memory(None, None).memory(), None);
        let ports = MachineFacts { ports: Some((32_768, 60_999)), ..MachineFacts::default() };
        assert_eq!(ports.ports(), Some(28_232));
    }
}
