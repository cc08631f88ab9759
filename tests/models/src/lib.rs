//! Models of ndpool's protocols, of two kinds.
//!
//! Those of the ledger, the doorbell and the leases of jobs are for loom: every interleaving of a few threads, up to a bound on
//! preemptions, and every value that the memory model lets a load return. The code under test is the product's own:
//! `pool/src/job/{word,ledger,doorbell}.rs` and `pool/src/segment/leases.rs`, compiled here against loom's atomics and
//! a futex made of them (`sys`). What the models add is the part of worker and supervisor around these files, step by step
//! as `pool/src/job/README.md` numbers it. A model is a plain function, so that `cargo doc` lists them; `tests/models.rs` calls
//! each from a test. Some take the order of steps as a parameter: a test shows that the wrong order is found out.
//!
//! Which change of the product code makes which model fail: README.md.
#![allow(dead_code, reason = "the files under test are included whole, the models use a part of each")]

mod job;
mod mortal;
mod segment;
mod shared;
mod sys;
mod world;

/// Every state that actors with steps and deaths can reach.
pub mod explore;

/// Wake-ups between processes that come and go.
pub mod bell;
/// Claiming and committing.
pub mod claim;
/// Time limits against commits.
pub mod condemn;
/// Death of a worker after any of its steps.
pub mod crash;
/// A run's directories, one of which names the other.
pub mod directories;
/// Events between processes.
pub mod event;
/// Leases of jobs on rows.
pub mod lease;
/// The life of a published file.
pub mod lifetimes;
/// A lock whose owners die.
pub mod lock;
/// The run's lease, and what a dead run left.
pub mod reaping;
/// The file of one array used for the next.
pub mod recycling;
/// The memory of one job used for the next.
pub mod reuse;
/// Servers of one name, and the item that they have.
pub mod serving;
/// Giving blocks back for want of space.
pub mod space;
/// Sweeping while others claim and cancel.
pub mod sweep;
/// Versions in several buffers, held and copied.
pub mod versions;
/// Sleeping and waking.
pub mod wake;
