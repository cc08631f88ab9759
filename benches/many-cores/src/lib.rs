//! What waking, claiming and placement would cost on machines with many cores and more than one NUMA node.
//!
//! A simulation of discrete events, without chance but for its seed: the same input gives the same output. It knows nothing of the
//! pool's code; README.md says what it stands for, and what was measured instead.

/// Giving out blocks, and reading their pages.
pub mod claim;
/// What is to happen, in order.
pub mod clock;
/// Cores, nodes and cache lines.
pub mod machine;
/// Chance with a seed.
pub mod random;
/// The questions, one table each.
pub mod tables;
/// Waking sleepers.
pub mod wake;
