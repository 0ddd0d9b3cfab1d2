//! What a run used that no delta carries: the CPU time of its processes, and bytes of its files.
//!
//! `run` and `fleet` read it at the end of a run; records carry it, `report::rows` shows it.
//! Invariant: what is not known is `None`, never a zero.

use crate::clock;
use crate::clock::RunOffset;
use crate::host::usage::{self, CpuTime};

/// What a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunUsage {
    /// CPU time of the process that started the run, from its beginning to the end of the load;
    /// workers have their own.
    pub cpu: Option<CpuTime>,
    /// The part of it before the load: reading, compiling, opening files.
    pub cpu_before: Option<CpuTime>,
    /// Bytes that were written to files until then; `None` if that was not counted.
    pub written: Option<u64>,
    /// The limit of these bytes.
    pub max_disk: Option<u64>,
    /// What was not written any more, since the limit was near.
    pub left_out: Vec<LeftOut>,
}

/// A kind of output that ended before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is, such as `samples`.
    pub output: String,
    /// From when on it is missing.
    pub from: RunOffset,
}

/// The CPU time of this process since it began; `None` in virtual time, or if the kernel does not
/// tell.
pub fn process_cpu() -> Option<CpuTime> {
    if clock::is_virtual() {
        return None;
    }
    Some(usage::process(None)?.cpu.of_total(clock::process_cpu_ns()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_this_process_grows_with_its_work() {
        let before = process_cpu().unwrap();
        let mut sum = 0u64;
        while clock::process_cpu_ns() < before.total_ns() + 20_000_000 {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        assert!(process_cpu().unwrap().total_ns() >= before.total_ns() + 20_000_000, "{sum}");
    }
}
