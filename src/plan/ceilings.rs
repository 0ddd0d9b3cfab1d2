//! The most that a run may use of its own machine: memory, cores, files, connections.
//!
//! `scenario` merges them from the scenario, the user's own file and the command line;
//! `engine::startup::tier`, `run` and `sinks` keep them.
//! Invariant: of several limits the strictest one holds, and its origin is known.

use crate::units::{counted, show_bytes, show_count};

/// The name of the pool that calls without one of their own share to keep `max_connections`.
pub const POOL: &str = "max_connections";

/// A limit, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// The limit.
    pub most: u64,
    /// The file or option that sets it.
    pub origin: String,
}

/// What a run may use at most; `None`: no limit but those of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Memory of all processes of the run on one machine, bytes.
    pub memory: Option<Ceiling>,
    /// Cores that generate load, of each machine.
    pub cores: Option<Ceiling>,
    /// What all outputs write to files, bytes.
    pub disk: Option<Ceiling>,
    /// Connections to targets that are open at once, over the whole run.
    pub connections: Option<Ceiling>,
}

impl Ceiling {
    /// A limit with its origin.
    pub fn new(most: u64, origin: &str) -> Self {
        Self { most, origin: origin.to_owned() }
    }
}

/// Replaces a limit by a stricter one.
fn tighten(own: &mut Option<Ceiling>, other: Option<Ceiling>) {
    match (&own, other) {
        (Some(known), Some(other)) if known.most <= other.most => {}
        (_, Some(other)) => *own = Some(other),
        (_, None) => {}
    }
}

impl Ceilings {
    /// Adds other limits: the stricter ones hold.
    pub fn tighten(&mut self, other: Self) {
        tighten(&mut self.memory, other.memory);
        tighten(&mut self.cores, other.cores);
        tighten(&mut self.disk, other.disk);
        tighten(&mut self.connections, other.connections);
    }

    /// The limits of one machine alone: those of an agent's own file that its part keeps.
    #[must_use]
    pub fn of_machine(self) -> Self {
        Self { disk: None, connections: None, ..self }
    }

    /// The limit of cores.
    pub fn cores(&self) -> Option<usize> {
        self.cores.as_ref().map(|one| usize::try_from(one.most).unwrap_or(usize::MAX))
    }

    /// The limit of files, bytes.
    pub fn disk(&self) -> Option<u64> {
        self.disk.as_ref().map(|one| one.most)
    }

    /// The limits with their origins, in a few words each.
    pub fn words(&self) -> Vec<String> {
        let shown = |one: &Option<Ceiling>, show: &dyn Fn(u64) -> String| {
            one.as_ref().map(|one| format!("{} ({})", show(one.most), one.origin))
        };
        let all = [
            shown(&self.memory, &|bytes| format!("{} of memory", show_bytes(bytes))),
            shown(&self.cores, &|cores| counted(cores, "core")),
            shown(&self.disk, &|bytes| format!("{} of files", show_bytes(bytes))),
            shown(&self.connections, &|most| format!("{} connections", show_count(most))),
        ];
        all.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_limit_holds_with_its_origin() {
        let of = |cores, origin| Ceilings {
            cores: Some(Ceiling::new(cores, origin)),
            ..Ceilings::default()
        };
        let mut all = of(4, "a");
        all.tighten(of(2, "b"));
        all.tighten(of(2, "c"));
        all.tighten(of(8, "d"));
        all.tighten(Ceilings { memory: Some(Ceiling::new(1 << 30, "e")), ..Ceilings::default() });
        assert_eq!(all.words(), ["1.00 GiB of memory (e)", "2 cores (b)"]);
        assert_eq!((all.cores(), all.disk()), (Some(2), None));
    }
}
