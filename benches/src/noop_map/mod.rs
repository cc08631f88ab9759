//! How long does one of a million calls take that give back their argument, through `map`, results collected in order?
//!
//! A call is a value of its own for ndpool: its result is kept apart, its death would be its own. Peers get the same
//! function, with as many processes as there are cores, and fewer calls where they are slow; the cost is that of one call.

/// iceoryx2, two services and a loop.
#[cfg(feature = "iceoryx2")]
mod iceoryx;
/// ipc-channel, two channels and a loop.
mod ipc_channel;
/// procspawn's pool.
mod procspawn;
/// No framework: slots in shared memory.
mod slots;

#[cfg(feature = "iceoryx2")]
pub(crate) use iceoryx::ICEORYX;
pub(crate) use ipc_channel::IPC_CHANNEL;
pub(crate) use slots::SLOTS;

use crate::measure::{Pair, in_turns, timed};
use crate::row::{Goal, Question, Skipped, Unit};
use ndpool::{Pool, task};

pub(crate) const QUESTION: Question = Question {
    name: "noop_map",
    peer_name: "slots in shared memory that two spinning processes claim and answer",
    goal: Goal::Limit { limit: 0.5, bare: 0.4 },
    unit: Unit::Microseconds,
    measure: slots::measure,
};

pub(crate) const VS_PROCSPAWN: Question = Question {
    name: "noop_map_vs_procspawn",
    peer_name: "procspawn Pool::spawn, joined in order",
    goal: Goal::Ratio(1.0 / 80.0),
    measure: procspawn::measure,
    ..QUESTION
};

pub(crate) const VS_IPC_CHANNEL: Question = Question {
    name: "noop_map_vs_ipc_channel",
    peer_name: "ipc-channel: a loop in each worker, a message each way",
    goal: Goal::Ratio(1.0),
    measure: ipc_channel::measure,
    ..QUESTION
};

#[cfg(feature = "iceoryx2")]
pub(crate) const VS_ICEORYX: Question = Question {
    name: "noop_map_vs_iceoryx2",
    peer_name: "iceoryx2: a spinning loop in each worker, a sample each way",
    goal: Goal::Ratio(1.0),
    measure: iceoryx::measure,
    ..QUESTION
};

const N_CALLS: usize = 1_000_000;
const N_RUNS: usize = 9;
/// Processes of a peer.
const N_WORKERS: usize = 2;

#[task]
fn same(x: u64) -> u64 {
    x
}

/// Measures a million calls, and what a peer does with `n_calls` of them.
///
/// `peer(n)` gives what the first `n` numbers became.
fn beside(n_calls: usize, mut peer: impl FnMut(u64) -> Result<Vec<u64>, Skipped>) -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(N_WORKERS).build()?;
    let all: Vec<u64> = (0..N_CALLS as u64).collect();
    let some = all[..n_calls].to_vec();
    let pair = in_turns(
        N_RUNS,
        || timed(&all, || Ok(pool.map((0..N_CALLS as u64).map(same)).collect::<ndpool::Result<_>>()?)),
        || timed(&some, || peer(n_calls as u64)),
    )?;
    Ok(pair.per_item(N_CALLS, n_calls))
}
