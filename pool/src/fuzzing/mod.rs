//! One function for each parser of foreign bytes, for fuzzers and for the tests that replay their corpus.
//!
//! A function here takes any bytes and panics if they break a promise of the parser: what it accepts has the sizes that it says,
//! lies inside of the memory that it came from, and is the same once it was written and read again. What it refuses, it refuses
//! with an error. Compiled for tests and with the feature `fuzzing` only; the targets in `fuzz/` of the repository call these
//! functions, and `cargo test` runs them over the corpus that is kept there.

/// A `.npy` header, a frame's, a descriptor, messages: bytes that are parsed as a whole.
mod bytes;
/// A segment's control page, an arena, a board: memory that others write.
mod memory;
/// The files of shared structures, and their names.
mod published;

#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tests;

pub use bytes::{descriptor, failure, frame_header, manifest, messages, names, npy_header};
pub use memory::{arena, board, segment};
pub use published::{published, shared_names};

/// What is fuzzed.
pub type Target = fn(&[u8]);

/// All targets, by the names that they have in `fuzz/fuzz_targets` and `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("arena", arena),
    ("board", board),
    ("descriptor", descriptor),
    ("failure", failure),
    ("frame_header", frame_header),
    ("manifest", manifest),
    ("messages", messages),
    ("names", names),
    ("npy_header", npy_header),
    ("published", published),
    ("segment", segment),
    ("shared_names", shared_names),
];
