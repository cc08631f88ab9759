//! `ndpool serve`: a data server that publishes files.
//!
//! | file | concept |
//! |---|---|
//! | `source` | a file, the item that it is published as, and what was published last |
//! | `quiet` | a file that nobody is writing |
//! | `notices` | notices of changes |

mod notices;
mod quiet;
mod source;

use std::io::Write;
use std::time::Duration;

use ndpool::server::DataServer;

use crate::args::ServeArgs;
use crate::failure::Failure;
use crate::output::print;
use notices::Notices;
use source::{Source, State};

/// Time after which a file that somebody has open for writing is tried again. The notice of its closing comes a moment
/// before it is closed.
const BUSY: Duration = Duration::from_millis(20);

pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let mut sources = Source::all(&args.files)?;
    // Before the files are read, so that no change falls in between.
    let mut notices = match args.watch {
        true => Some(Notices::of(sources.iter().map(|source| source.path().to_owned())).map_err(unwatched)?),
        false => None,
    };
    let server = start(args)?;
    let mut is_busy = match publish_all(args, &server, &mut sources) {
        Ok(is_busy) => is_busy,
        Err(failure) => {
            if !server.recovered().is_empty() {
                // Its end would remove what it has taken over. As after a kill, that is for the next one.
                std::mem::forget(server);
            }
            return Err(failure);
        }
    };
    say(&format!("serving {}", args.name));
    let Some(notices) = &mut notices else {
        loop {
            // A signal ends the program.
            std::thread::park();
        }
    };
    loop {
        notices.wait(is_busy.then_some(BUSY)).map_err(unwatched)?;
        is_busy = false;
        for source in &mut sources {
            match source.publish(&server) {
                Ok(State::Published(line)) => say(&line),
                Ok(State::Unchanged) => {}
                Ok(State::Busy(failure)) => {
                    is_busy = true;
                    failure.iter().for_each(complain);
                }
                // The version before stays.
                Err(failure) => complain(&failure),
            }
        }
    }
}

/// Publishes all files for the first time; whether one is to be tried again.
fn publish_all(args: &ServeArgs, server: &DataServer, sources: &mut [Source]) -> Result<bool, Failure> {
    for item in server.recovered() {
        say(&format!("recovered {}/{item}", args.name));
    }
    let mut is_busy = false;
    for source in sources {
        match source.publish(server)? {
            State::Published(line) => say(&line),
            State::Unchanged => {}
            // What is being written now is waited for if there is somebody to wait.
            State::Busy(failure) if args.watch => {
                is_busy = true;
                failure.iter().for_each(complain);
            }
            State::Busy(failure) => {
                return Err(failure.unwrap_or_else(|| Failure::Busy(source.path().to_owned())));
            }
        }
    }
    Ok(is_busy)
}

/// What is published stays so when nobody reads these lines any more.
fn say(line: &str) {
    let _ = print(&format!("{line}\n"));
}

/// If stderr is gone, there is nobody to tell.
fn complain(failure: &Failure) {
    let _ = writeln!(std::io::stderr(), "error: {failure}");
}

fn start(args: &ServeArgs) -> Result<DataServer, Failure> {
    let mut builder = DataServer::builder(&args.name).handle_signals(true).group_read(args.group_read);
    if let Some(max_bytes) = args.max_bytes {
        builder = builder.max_bytes(max_bytes);
    }
    if let Some(max_items) = args.max_items {
        builder = builder.max_items(max_items);
    }
    if let Some(after_kill) = args.after_kill {
        builder = builder.after_kill(after_kill.into());
    }
    Ok(builder.start()?)
}

fn unwatched(error: std::io::Error) -> Failure {
    Failure::Watch(error)
}
