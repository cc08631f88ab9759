//! Goal: the supervisor's decisions are right in any order of events. Method: the product's own pure parts (`lifecycle`, `verdict`,
//! `word`, `ledger`) in a world without processes, memory and time, driven by seeded chance and compared with oracles that know
//! nothing of them. A failure names its seed.

/// One slot: random events against its lifecycle.
mod slot;
/// Many slots and jobs: random steps, deaths and time limits.
mod world;

/// Numbers that look random (xorshift), the same for the same seed.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Neighbouring seeds give different numbers, and none gives zeros.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 16) % n as u64) as usize
    }

    /// Whether something happens that does so once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}
