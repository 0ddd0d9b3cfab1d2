//! Times counted from the start of the run, and from the start of a workload's load.
//!
//! `engine` and `run` make them from a [`Time`]; schedules, statistics and reports count in them.
//! Invariant: an offset is combined only with the origin that it counts from.

use super::Time;

/// Defines offsets: ns since an origin, a type for each origin.
macro_rules! offsets {
    ($($(#[$doc:meta])+ $name:ident;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The origin itself.
            pub const ZERO: Self = Self(0);

            /// Later than any other offset.
            pub const NEVER: Self = Self(u64::MAX);

            /// The offset of `ns` after the origin.
            #[inline]
            pub const fn from_ns(ns: u64) -> Self {
                Self(ns)
            }

            /// The offset of `at` from `origin`; zero if it is not later.
            #[inline]
            pub const fn of(at: Time, origin: Time) -> Self {
                Self(at.since(origin))
            }

            /// The time at this offset from `origin`.
            #[inline]
            pub const fn time(self, origin: Time) -> Time {
                origin.after(self.0)
            }

            /// The ns since the origin.
            #[inline]
            pub const fn ns(self) -> u64 {
                self.0
            }

            /// This offset, `ns` later; `NEVER` stays `NEVER`.
            #[inline]
            #[must_use]
            pub const fn after(self, ns: u64) -> Self {
                Self(self.0.saturating_add(ns))
            }

            /// The ns since `earlier`; zero if it is not earlier.
            #[inline]
            pub const fn since(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }
    )+};
}

offsets! {
    /// A time of a run: ns since the run's start.
    RunOffset;
    /// A time of a workload's load: ns since the workload's own zero, where its load starts.
    WorkloadOffset;
}

impl RunOffset {
    /// The same time counted from the zero of a workload; zero if it is not later.
    pub const fn in_workload(self, zero: Self) -> WorkloadOffset {
        WorkloadOffset(self.since(zero))
    }
}

impl WorkloadOffset {
    /// The same time counted from the run's start, for a workload whose load starts at `zero`.
    pub const fn in_run(self, zero: RunOffset) -> RunOffset {
        zero.after(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_name_the_same_time_from_each_origin() {
        let (start, zero) = (Time(1_000), RunOffset::from_ns(200));
        let at = Time(1_500);
        let in_run = RunOffset::of(at, start);
        let in_workload = in_run.in_workload(zero);
        assert_eq!((in_run.ns(), in_workload.ns()), (500, 300));
        assert_eq!(in_workload, WorkloadOffset::of(at, zero.time(start)));
        assert_eq!((in_workload.in_run(zero), in_run.time(start)), (in_run, at));
        assert_eq!(RunOffset::of(Time(1), start), RunOffset::ZERO);
        assert_eq!(WorkloadOffset::NEVER.time(start), Time::NEVER);
    }
}
