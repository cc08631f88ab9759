//! Bare programs: what a machine takes for the work of a row, with no framework around it.
//!
//! They are this program again, started with [`FLAG`] and the name of a role. What a role does stands beside the row that
//! it is measured for.

/// Processes that play a role.
mod process;
/// Memory that a bare program shares with those it starts.
mod shared;

pub(crate) use process::{Bare, Parent, Role, die_with_parent};
pub(crate) use shared::{Shared, futex_wait, futex_wake};

use crate::{
    copied_and_summed, first_result, frames, fresh_worker, locks, memory, noop_map, noop_parked, noop_warm,
};
use std::process::ExitCode;

/// The first argument of a process that plays a role.
const FLAG: &str = "--bare";

/// All roles.
const ROLES: &[Role] = &[
    copied_and_summed::SUM_BEHIND,
    first_result::ANSWER,
    first_result::START_WORKERS,
    frames::publish::SUM_BUFFER,
    frames::publish::SUM_FRAMES,
    #[cfg(feature = "iceoryx2")]
    frames::SUM_ICEORYX,
    fresh_worker::SUM,
    locks::ANSWER_EVENT,
    memory::IDLE,
    memory::IDLE_BARE,
    memory::PEAK,
    memory::PEAK_BARE,
    memory::QUEUED,
    #[cfg(feature = "iceoryx2")]
    noop_map::ICEORYX,
    noop_map::IPC_CHANNEL,
    noop_map::SLOTS,
    noop_parked::SLEEP,
    noop_warm::SPIN,
];

/// Plays a role, if this process was started for one. To be called first thing in `main`: what stands before it in `main`
/// is part of what a bare program costs.
pub fn play_role() -> Option<ExitCode> {
    let mut args = std::env::args().skip(1);
    if args.next()? != FLAG {
        return None;
    }
    let name = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    let played = match ROLES.iter().find(|role| role.name == name) {
        Some(role) => (role.play)(&args).map_err(|why| why.0),
        None => Err("there is no such role".to_owned()),
    };
    Some(match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{FLAG} {name}: {why}");
            ExitCode::FAILURE
        }
    })
}

/// Waits until something holds, without sleeping. There may be more processes that wait so than cores: it gives way to others.
pub(crate) fn spin_until(mut holds: impl FnMut() -> bool) {
    /// Looks at the same place before the core is offered to others.
    const N_LOOKS: u32 = 200;
    let mut n_looks = 0;
    while !holds() {
        n_looks += 1;
        if n_looks % N_LOOKS == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
}
