//! ipc-channel by itself: a hand-written loop in each worker, a message each way for every call.

use super::{N_WORKERS, beside};
use crate::bare::{Bare, Role, die_with_parent};
use crate::measure::Pair;
use crate::row::Skipped;
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};

/// Gives back every number that it is sent; argument: the name of the server to connect to.
pub(crate) const IPC_CHANNEL: Role = Role { name: "ipc-channel", play };

const N_CALLS: usize = 100_000;
/// Messages that are on the way to each worker, and as many back: neither side waits for the other, no socket is full.
const AHEAD: u64 = 32;

type Ends = (IpcSender<u64>, IpcReceiver<u64>);

fn failed(error: impl std::fmt::Display) -> Skipped {
    Skipped(error.to_string())
}

pub(super) fn measure() -> Result<Pair, Skipped> {
    let mut workers = Vec::new();
    for _ in 0..N_WORKERS {
        let (server, name) = IpcOneShotServer::<Ends>::new().map_err(failed)?;
        let process = Bare::start(IPC_CHANNEL, &[name])?;
        let (_, ends) = server.accept().map_err(failed)?;
        workers.push((process, ends));
    }
    beside(N_CALLS, |n| {
        let mut results = Vec::new();
        for x in 0..n + AHEAD * N_WORKERS as u64 {
            let (_, (requests, answers)) = &workers[x as usize % N_WORKERS];
            if x >= AHEAD * N_WORKERS as u64 {
                results.push(answers.recv().map_err(failed)?);
            }
            if x < n {
                requests.send(x).map_err(failed)?;
            }
        }
        Ok(results)
    })
}

fn play(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let (request_sender, requests) = ipc::channel::<u64>().map_err(failed)?;
    let (answers, answer_receiver) = ipc::channel::<u64>().map_err(failed)?;
    let server = IpcSender::<Ends>::connect(args.first().cloned().unwrap_or_default()).map_err(failed)?;
    server.send((request_sender, answer_receiver)).map_err(failed)?;
    while let Ok(x) = requests.recv() {
        answers.send(x).map_err(failed)?;
    }
    Ok(())
}
