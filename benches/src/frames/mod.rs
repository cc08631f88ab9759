//! What shared frames cost: those of 1 MB from process to process, a snapshot of 100 MB, and frames of a few words.

/// A megabyte, from one process to another that sums it.
pub(crate) mod publish;
/// Frames of a few words, in one process.
pub(crate) mod small;
/// A copy of 100 MB.
pub(crate) mod snapshot;

#[cfg(feature = "iceoryx2")]
mod iceoryx;

#[cfg(feature = "iceoryx2")]
pub(crate) use iceoryx::SUM as SUM_ICEORYX;

/// A name that no other program has.
fn name(what: &str) -> String {
    format!("benches_{what}_{}", std::process::id())
}
