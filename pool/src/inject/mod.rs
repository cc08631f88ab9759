//! Faults on purpose: how a program shows that its own batch work survives them.
//!
//! A pool can be told to have its workers killed, hung, slowed down or failed while they run blocks, at chosen tasks, blocks
//! and attempts, or at a rate. What happens then is what happens when the real thing does: the block is run again, or its
//! job fails with the error that it would fail with. Nothing of it is simulated, and without faults it costs one branch per
//! block.
//!
//! ```
//! use ndpool::inject::{Fault, Faults, Rule};
//! use ndpool::ndarray::prelude::*;
//! use ndpool::{Pool, task};
//!
//! #[task]
//! fn double(mut y: ArrayViewMut1<f64>) {
//!     y *= 2.0;
//! }
//!
//! ndpool::init();
//! let faults = Faults::new()
//!     .seed(7)
//!     .add(Rule::new(Fault::Kill).rate(0.1))
//!     .add(Rule::new(Fault::Segfault).task("double").block(3).attempt(0));
//! let pool = Pool::builder().workers(2).inject(faults).build()?;
//! let mut y = pool.full(100, 1.0)?;
//! pool.run(double(&mut y).block_rows(10))?;
//! assert_eq!(y.view(), Array1::from_elem(100, 2.0));
//! assert!(pool.stats().workers_lost >= 1);
//! # Ok::<(), ndpool::Error>(())
//! ```
//!
//! # Without a change of the program
//!
//! A pool whose builder was not given faults takes them from the environment variable `NDPOOL_INJECT`, so that a finished
//! program can be put under stress:
//!
//! ```text
//! NDPOOL_INJECT='seed=7; kill rate=0.1; segfault task=double block=3 attempt=0' cargo run
//! ```
//!
//! The text is a list of rules with `;` between them, each a fault and then, in any order, where it happens:
//!
//! | fault | what it does |
//! |---|---|
//! | `kill` | the worker sends itself `SIGKILL`: a death from outside, which does not count as an attempt |
//! | `segfault`, `abort`, `exit=3` | the worker dies of `SIGSEGV`, of `SIGABRT`, or calls `exit` with this code |
//! | `hang` | the task never returns, whatever it is told; give the call a [`block_timeout`](crate::Call::block_timeout) |
//! | `hang-until-cancelled` | the task waits until its job is cancelled, then goes on |
//! | `panic`, `error` | the task panics, or returns an error |
//! | `slow=20ms` | the task takes that much longer (`ns`, `us`, `ms`, `s`) |
//!
//! | where | default |
//! |---|---|
//! | `task=NAME` | any task; the name is that of the function, or with its path as in error messages |
//! | `block=3`, `block=2..5` | any block; calls of a [`map`](crate::Pool::map) without arrays have one block each, 0 |
//! | `attempt=0`, `attempt=0..2` | any attempt; 0 is the first |
//! | `rate=0.1` | always; otherwise this share of the blocks, attempts and calls |
//! | `at=before`, `at=after` | before the task's first instruction; or when it has returned, before anything of it is committed |
//!
//! `seed=7` stands alone and chooses which ones a rate hits; it is 0 by default. [`Faults`] implements `FromStr` and
//! `Display` with the same grammar.
//!
//! # The same faults again
//!
//! Whether a rate hits depends on seed, rule, task, arguments, block and attempt, and on nothing else: not on time, nor on
//! the worker, nor on how many there are. The same run has the same faults; to have others, change the seed. A call that
//! is made twice with the same arguments is hit in the same blocks twice.

/// Doing it.
mod act;
/// What there is to inject, and where.
mod fault;
/// The text form.
mod text;

pub(crate) use act::Site;
pub use fault::{Fault, Faults, Moment, Rule};
pub(crate) use text::from_environment;
