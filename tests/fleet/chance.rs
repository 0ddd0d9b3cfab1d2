//! Random draws of the simulator: all of one world come from one generator.

use manada::seed::{Rng, Seed, Stream};
use rand::RngExt;

pub struct Chance(Rng);

impl Chance {
    pub fn new(seed: u64, part: u64) -> Self {
        Self(Seed::new(seed).expect("a seed").rng(Stream::World, part, 0))
    }

    /// A number in `from..to`.
    pub fn range(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..to)
    }

    pub fn permille(&mut self, permille: u64) -> bool {
        self.range(0, 1_000) < permille
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.range(0, of.len() as u64) as usize]
    }
}
