//! The command-line tool of ndpool, and its stock worker.
//!
//! | file | concept |
//! |---|---|
//! | `args` | the command line |
//! | `measure` | loading, running, timing |
//! | `describe` | `ndpool describe` |
//! | `reduce` | `ndpool reduce` |
//! | `serve` | `ndpool serve`, a data server |
//! | `watch` | `ndpool watch` |
//! | `exchange` | `ndpool get` and `ndpool put` |
//! | `list` | `ndpool ls` and `ndpool reap` |
//! | `stress` | `ndpool stress`, the chaos soak |
//! | `shell` | `ndpool completions` and `ndpool man` |
//! | `progress` | the bar on a terminal |
//! | `number` | numbers as JSON and as text |
//! | `output` | writing to stdout, tables |
//! | `failure` | what ends the program early, and its exit code |

mod args;
mod describe;
mod exchange;
mod failure;
mod list;
mod measure;
mod number;
mod output;
mod progress;
mod reduce;
mod serve;
mod shell;
mod stress;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

// Programs that start this one as their workers give it the built-in reductions by name.
ndpool::register_builtin_tasks!();

fn main() -> ExitCode {
    ndpool::init();
    let result = match Cli::parse().command {
        Command::Describe(args) => describe::run(&args),
        Command::Reduce(args) => reduce::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Get(args) => exchange::get(&args),
        Command::Put(args) => exchange::put(&args),
        Command::Ls(args) => list::ls(&args),
        Command::Reap(args) => list::reap(&args),
        Command::Stress(args) => stress::run(&args),
        Command::StressSupervisor(args) => stress::run_supervisor(&args),
        Command::StressShared(args) => stress::run_shared_actor(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
