//! Randomness as a function of (seed, stream, index): the same item gets the same numbers on any
//! shard, in any order.
//!
//! The engine asks for the generator of an item; laws draw from the generator they are given.
//! Invariant: nothing here holds state between two calls.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// The generator that everything random draws from: portable, 32 bytes, reproducible for ever.
pub type Rng = Xoshiro256PlusPlus;

/// The seed of a run. Below 2⁵³, so that it survives a JSON reader that knows only doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

/// What the numbers are for. Streams never overlap, so adding one changes no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// The gaps between Poisson arrivals of one workload.
    Arrivals = 1,
    /// Which archetype a user (closed) or an arrival (open) is.
    Archetype = 2,
    /// Everything a user draws in one iteration: thinks, template functions, choices.
    Content = 3,
    /// The built-in target's own latency and faults.
    Target = 4,
    /// The worlds of the tests.
    World = 5,
    /// Which row an item gets.
    Data = 6,
    /// What a user draws once: its first variables, its session, `on_start` and `on_stop`.
    User = 7,
    /// Which address of a target a connection goes to.
    Address = 8,
    /// Waits that failures ask for; a stream for each shard, since they follow the target.
    Caution = 9,
}

impl Seed {
    /// One more than the largest seed.
    pub const END: u64 = 1 << 53;

    /// A seed for what draws nothing.
    pub const ZERO: Self = Self(0);

    /// A given seed; `None` when it does not fit in 53 bits.
    pub fn new(value: u64) -> Option<Self> {
        (value < Self::END).then_some(Self(value))
    }

    /// A seed drawn from the system; it is printed with every report.
    pub fn draw() -> Self {
        Self(rand::random::<u64>() % Self::END)
    }

    /// The number to print.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The generator of item `index` of part `part` (a workload, a user) of `stream`.
    ///
    /// Each word is mixed by the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) before
    /// the next is added, so neighbouring items share nothing.
    pub fn rng(self, stream: Stream, part: u64, index: u64) -> Rng {
        let mut key = mix(self.0 ^ 0x6d61_6e61_6461);
        for word in [stream as u64, part, index] {
            key = mix(key.wrapping_add(word).wrapping_add(0x9e37_79b9_7f4a_7c15));
        }
        Rng::seed_from_u64(key)
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn an_item_always_gets_the_same_numbers_and_its_neighbours_others() {
        let seed = Seed::new(42).unwrap();
        let draw = |stream, part, index| seed.rng(stream, part, index).random::<u64>();
        assert_eq!(draw(Stream::Content, 1, 7), draw(Stream::Content, 1, 7));
        let mut seen = std::collections::HashSet::new();
        for stream in [Stream::Arrivals, Stream::Archetype, Stream::Content] {
            for part in 0..20 {
                for index in 0..200 {
                    assert!(seen.insert(draw(stream, part, index)), "a stream repeats");
                }
            }
        }
        // Pinned: a change of these numbers changes every seeded run in the world.
        assert_eq!(draw(Stream::Content, 0, 0), PINNED);
    }

    const PINNED: u64 = 16_646_282_607_242_941_409;

    #[test]
    fn seeds_fit_in_a_double() {
        assert_eq!(Seed::new(Seed::END), None);
        assert!(Seed::draw().value() < Seed::END);
    }
}
