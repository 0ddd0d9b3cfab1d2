//! Facts of this machine: cores, descriptors, memory, and scheduler statistics.
//!
//! `engine`, `run`, `cli` and reports read them. Linux only: everything is read from /proc, /sys
//! and system calls.
//! Invariant: a fact that cannot be read is `None`, never a guess.

mod checkup;
mod facts;
mod texts;
pub mod usage;

use std::fs;
use std::os::fd::AsFd;
use std::time::Duration;

pub use checkup::{Finding, checkup};
pub use facts::{MachineFacts, group_memory};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Returns the cores that this process may run on, by number, from its affinity mask.
pub fn cores() -> Vec<usize> {
    let Ok(mask) = sched_getaffinity(None) else { return vec![0] };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu)).collect();
    if cores.is_empty() { vec![0] } else { cores }
}

/// Pins the calling thread to one core; returns false if the system refuses.
pub fn pin_to(core: usize) -> bool {
    let mut mask = CpuSet::new();
    mask.set(core);
    sched_setaffinity(None, &mask).is_ok()
}

/// Raises the soft limit of open files to the hard one; returns the resulting limit.
pub fn raise_descriptors() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
        return limit.maximum;
    }
    limit.current
}

/// Returns the time that the calling thread was runnable but waited for a core, ns, and how often
/// it was scheduled, both since it began.
pub fn run_queue() -> Option<(u64, u64)> {
    // "time on cpu, time waiting, timeslices": Documentation/scheduler/sched-stats.
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut numbers = text.split_ascii_whitespace().skip(1);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether `out` accepts a write within `timeout`.
pub fn takes_more(out: &impl AsFd, timeout: Duration) -> bool {
    let mut fds = [PollFd::new(out, PollFlags::OUT)];
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // A failed descriptor counts as ready; the write reports the error.
    poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// Whether this process ignores a signal, as `nohup` makes it ignore SIGHUP.
pub fn is_ignored(signal: i32) -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // Bit 0 is signal 1: proc(5).
    mask >> (signal - 1) & 1 == 1
}

/// The highest memory use of this process so far, bytes.
pub fn peak_rss_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// The memory use of this process, bytes.
pub fn rss_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

fn status_bytes(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// The name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The kernel's name and release, for the report.
pub fn kernel() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}
