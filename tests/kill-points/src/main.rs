//! Kills ndpool's processes at every kill point in turn, and checks that nothing of what is promised breaks.
//!
//! ```sh
//! cargo run -p ndpool-kill-points                          # every point × worker, supervisor, both
//! cargo run -p ndpool-kill-points -- commit.staged         # points whose names begin so
//! cargo run -p ndpool-kill-points -- --times 10            # ten sweeps
//! cargo run -p ndpool-kill-points -- --all                 # in every scenario, not in two
//! ```
//!
//! Three programs in one file:
//!
//! - the *sweep* lets every scenario run once unharmed, with a trace, to learn which points it passes; then it lets one run
//!   for every point × who dies × hit, several at a time, and prints a table;
//! - a *director* gives one such run a shared memory and a directory for temporary files of its own, starts the player, inherits
//!   its orphans, and looks at what is left, before and after another pool;
//! - a *player* is a program that uses ndpool and checks every result: the one that is killed, or whose workers are.

/// One run from outside: what it may do, and what may be left of it.
mod director;
/// Programs that use ndpool and check every result.
mod scenario;
/// Programs that share structures, outside of pools.
mod shared;
/// All runs, and the table.
mod sweep;
/// What the scenarios' workers do.
mod tasks;

use std::process::ExitCode;

fn main() -> ExitCode {
    ndpool::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["play", scenario] => {
            scenario::play(scenario);
            ExitCode::SUCCESS
        }
        ["direct", scenario, who, directory] => director::direct(scenario, who, directory.as_ref()),
        _ => sweep::run(&words),
    }
}
