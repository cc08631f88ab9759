//! `ndpool stress --shared`: the soak of what processes share by name. A data server and eight clients publish, write, swap, remove and
//! read arrays, double buffers and frames; all of them are killed and stopped at random moments; and everything that anybody reads
//! is checked for being whole.
//!
//! ```text
//!  director ─── stop event, mutex ──┐
//!     │  ▲                          ▼
//!     │  └── stdout: tallies ─── server, clients 1 … 8 ─── /dev/shm/ndpool.<soak>.*
//!     └───── SIGKILL, SIGTERM, SIGSTOP ──►
//! ```
//!
//! Now and then the director lets all of them end in peace; then no file of theirs may be left, and none of them may have held
//! descriptors or mappings that it did not have in the beginning.
//!
//! | file | concept |
//! |---|---|
//! | `tally` | what is counted and found |
//! | `server` | the process that serves |
//! | `client` | the processes that publish and read |
//! | `director` | who starts, kills and looks |

mod client;
mod director;
mod server;
mod tally;

use std::num::NonZeroU64;

use ndpool::ndarray::Ix1;
use ndpool::shared::{Event, Mutex};
use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::holdings::Holdings;
use crate::args::{SharedActorArgs, StressArgs};
use crate::failure::Failure;
use crate::output::{print, print_json};
use tally::Desk;

pub use director::Director;

/// Clients of the one server.
const N_CLIENTS: u64 = 8;
/// Elements of the array that is changed under the mutex.
const N_LOCKED: usize = 500;
/// What a process may have more of in the end than in the beginning: what libraries keep.
const SLACK: Holdings = Holdings { descriptors: 0, mappings: 12, rss_kib: 64 << 10 };

/// The soak, as its figures say.
pub fn run(args: &StressArgs, seed: u64, has_own_memory: bool) -> Result<(), Failure> {
    let director = Director::new(args, seed, has_own_memory).map_err(failed)?;
    let figures = director.run().map_err(failed)?;
    if args.json {
        print_json(&figures)?;
    } else {
        print(&figures.to_string())?;
    }
    figures.verdict()
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Stress(format!("the soak cannot be run: {error}"))
}

/// One process of the soak.
pub fn run_actor(args: &SharedActorArgs) -> Result<(), Failure> {
    // Nobody would end it.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let desk = Desk::default();
    let stop = Event::attach(&format!("{}-stop", args.name))?;
    let before = Holdings::of(std::process::id());
    match NonZeroU64::new(args.index) {
        None => server::run(args, &desk, &stop)?,
        Some(_) => {
            let mutex = Mutex::<u64, Ix1>::attach(&format!("{}-lock", args.name))?;
            client::run(args, &desk, &stop, &mutex)?;
        }
    }
    if let (Ok(before), Ok(after)) = (before, Holdings::of(std::process::id()))
        && !after.is_within(&before, &SLACK)
    {
        desk.leak(&format!("in the beginning {before}, in the end {after}"));
    }
    desk.flush();
    Ok(())
}
