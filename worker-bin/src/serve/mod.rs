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
    for item in server.recovered() {
        print(&format!("recovered {}/{item}\n", args.name))?;
    }
    for source in &mut sources {
        // What is being written now is waited for if there is somebody to wait.
        match source.publish(&server) {
            Ok(State::Published(line)) => print(&format!("{line}\n"))?,
            Ok(State::Unchanged) => {}
            Ok(State::Busy) if args.watch => {}
            Ok(State::Busy) => return Err(Failure::Busy(source.path().to_owned())),
            Err(error) => return Err(error),
        }
    }
    print(&format!("serving {}\n", args.name))?;
    let Some(notices) = &mut notices else {
        loop {
            // A signal ends the program.
            std::thread::park();
        }
    };
    let mut is_busy = false;
    loop {
        notices.wait(is_busy.then_some(BUSY)).map_err(unwatched)?;
        is_busy = false;
        for source in &mut sources {
            match source.publish(&server) {
                Ok(State::Published(line)) => print(&format!("{line}\n"))?,
                Ok(State::Unchanged) => {}
                Ok(State::Busy) => is_busy = true,
                // The version before stays. If stderr is gone, there is nobody to tell.
                Err(failure) => drop(writeln!(std::io::stderr(), "error: {failure}")),
            }
        }
    }
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
