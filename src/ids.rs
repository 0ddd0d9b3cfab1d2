//! Numbers of the things that a plan lists, one type for each kind of thing.
//!
//! `scenario` gives them when it compiles a plan; all modules above use them as places in its
//! lists.
//! Invariant: an id is the place of its thing in the plan's list, so a record stores the bare
//! number.

use std::fmt;

/// Defines ids: places in a list, each a type of its own. Lists of a plan are far shorter than 2³²,
/// and each user's task holds several ids: four bytes are enough.
macro_rules! numbered_ids {
    ($($(#[$doc:meta])+ $name:ident;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The id of the thing at place `index`, from zero.
            pub const fn new(index: usize) -> Self {
                Self(index as u32)
            }

            /// The place of the thing, from zero.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The ids of the first `count` things, in order.
            pub fn first(count: usize) -> impl DoubleEndedIterator<Item = Self> + Clone {
                (0..count).map(Self::new)
            }

            /// Pairs things, in the order of their list, with their ids.
            pub fn number<T>(
                things: impl IntoIterator<Item = T>,
            ) -> impl Iterator<Item = (Self, T)> {
                things.into_iter().enumerate().map(|(index, thing)| (Self::new(index), thing))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

numbered_ids! {
    /// A service: its place in `Plan::services`.
    ServiceId;
    /// An endpoint: its place in `Endpoints::all`.
    EndpointId;
    /// An archetype: its place in `Plan::archetypes`.
    ArchetypeId;
    /// A workload: its place in `Plan::workloads`.
    WorkloadId;
    /// A series of statistics, one per workload, archetype and step name: its place in
    /// `Plan::steps`.
    StepId;
    /// A timed group: its place in `Plan::groups`.
    GroupId;
    /// A connection pool: its place in `Policies::pools`.
    PoolId;
    /// A breaker: its place among those of endpoints, then services, then the system.
    BreakerId;
}

/// Lets ids index the lists of their things, and of no other things.
macro_rules! indexed_by {
    ($($id:ident: $($thing:ty),+;)+) => {$($(
        impl std::ops::Index<$id> for Vec<$thing> {
            type Output = $thing;

            #[inline]
            fn index(&self, id: $id) -> &$thing {
                &self.as_slice()[id.index()]
            }
        }

        impl std::ops::IndexMut<$id> for Vec<$thing> {
            #[inline]
            fn index_mut(&mut self, id: $id) -> &mut $thing {
                &mut self.as_mut_slice()[id.index()]
            }
        }
    )+)+};
}

pub(crate) use indexed_by;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_number_things_in_the_order_of_their_list() {
        let numbered: Vec<_> = WorkloadId::number(["a", "b"]).collect();
        assert_eq!(numbered, [(WorkloadId::new(0), "a"), (WorkloadId::new(1), "b")]);
        assert!(WorkloadId::first(2).eq(numbered.iter().map(|(id, _)| *id)));
        assert_eq!((WorkloadId::new(7).index(), WorkloadId::new(7).to_string()), (7, "7".into()));
    }
}
