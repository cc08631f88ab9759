//! iceoryx2: two services for each worker, a sample each way for every call, and both sides look without sleeping.
//!
//! It has no queue of work and no results; this is what one would write on top of it.

use super::{N_WORKERS, beside};
use crate::bare::{Bare, Parent, Role, die_with_parent, spin_until};
use crate::measure::Pair;
use crate::row::Skipped;
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::service::ipc::Service;

/// Gives back as many numbers as a call of the comparison has, whenever it is asked to; argument: the prefix of the services' names.
pub(crate) const ICEORYX: Role = Role { name: "iceoryx2", play };

const N_CALLS: usize = 200_000;
/// Samples that are on the way to each worker, and as many back.
const AHEAD: u64 = 64;

fn failed(error: impl std::fmt::Display) -> Skipped {
    Skipped(error.to_string())
}

/// Has it say nothing: it prints warnings about its configuration to stdout, which is a role's pipe.
fn be_quiet() {
    iceoryx2::prelude::set_log_level(iceoryx2::prelude::LogLevel::Error);
}

/// Both directions of a connection, as one side has them.
struct Ends {
    out: Publisher<Service, u64, ()>,
    back: Subscriber<Service, u64, ()>,
}

impl Ends {
    fn open(node: &Node<Service>, out: &str, back: &str) -> Result<Self, Skipped> {
        let service = |name: &str| {
            let name = name.try_into().map_err(failed)?;
            node.service_builder(&name)
                .publish_subscribe::<u64>()
                .subscriber_max_buffer_size(2 * AHEAD as usize)
                .enable_safe_overflow(false)
                .open_or_create()
                .map_err(failed)
        };
        let out = service(out)?.publisher_builder().create().map_err(failed)?;
        let back = service(back)?.subscriber_builder().create().map_err(failed)?;
        Ok(Self { out, back })
    }

    fn send(&self, x: u64) -> Result<(), Skipped> {
        self.out.send_copy(x).map_err(failed)?;
        Ok(())
    }

    fn receive(&self) -> Result<u64, Skipped> {
        let mut received = Ok(None);
        spin_until(|| {
            received = self.back.receive();
            !matches!(received, Ok(None))
        });
        received.map_err(failed)?.map(|sample| *sample).ok_or_else(|| Skipped("nothing was received".into()))
    }
}

fn names(prefix: &str) -> (String, String) {
    (format!("{prefix}/requests"), format!("{prefix}/answers"))
}

pub(super) fn measure() -> Result<Pair, Skipped> {
    be_quiet();
    let node = NodeBuilder::new().create::<Service>().map_err(failed)?;
    let mut workers = Vec::new();
    for i in 0..N_WORKERS {
        let prefix = format!("ndpool-benches/{}/{i}", std::process::id());
        let (requests, answers) = names(&prefix);
        let ends = Ends::open(&node, &requests, &answers)?;
        let mut process = Bare::start(ICEORYX, &[prefix])?;
        process.wait_for_answer()?;
        workers.push((process, ends));
    }
    let pair = beside(N_CALLS, |n| {
        for (process, _) in &mut workers {
            process.ask()?;
        }
        let mut results = Vec::new();
        for x in 0..n + AHEAD * N_WORKERS as u64 {
            let (_, ends) = &workers[x as usize % N_WORKERS];
            if x >= AHEAD * N_WORKERS as u64 {
                results.push(ends.receive()?);
            }
            if x < n {
                ends.send(x)?;
            }
        }
        Ok(results)
    });
    // What it leaves in the file system goes with the end of both sides, not when one is killed.
    workers.into_iter().try_for_each(|(process, _)| process.finish())?;
    pair
}

fn play(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    be_quiet();
    let mut parent = Parent::new()?;
    let node = NodeBuilder::new().create::<Service>().map_err(failed)?;
    let (requests, answers) = names(args.first().map_or("", String::as_str));
    let ends = Ends::open(&node, &answers, &requests)?;
    parent.answer()?;
    while parent.is_asked()? {
        for _ in 0..N_CALLS / N_WORKERS {
            ends.send(ends.receive()?)?;
        }
    }
    Ok(())
}
