//! `ndpool watch`: figures of what a data server publishes, again and again.
//!
//! | file | concept |
//! |---|---|
//! | `rates` | versions per second |
//! | `report` | a look as a table and as JSON |
//! | `exporter` | the figures as metrics for Prometheus |

#[cfg(feature = "prometheus")]
mod exporter;
mod rates;
mod report;

use std::io::{IsTerminal, stdout};
use std::sync::mpsc;
use std::time::{Instant, SystemTime};

use console::Term;
use ndpool::server::DataClient;
use ndpool::server::analytics::{Analytics, until_next};

use crate::args::WatchArgs;
use crate::failure::Failure;
use crate::output::{print, print_json};
use rates::Rates;
use report::{Line, table};

/// Up to the top left corner of a terminal, and the rest of it cleared.
const REDRAW: &str = "\x1b[H\x1b[J";
/// The whole terminal cleared.
const CLEAR: &str = "\x1b[2J";

pub fn run(args: &WatchArgs) -> Result<(), Failure> {
    // A signal ends the wait for the next look, and the program then lets go of what it is attached to.
    let (stop, stopped) = mpsc::channel();
    let on_signal = move || {
        // If nobody receives, the program is ending already.
        let _ = stop.send(());
    };
    ctrlc::set_handler(on_signal).map_err(Failure::Signals)?;
    let client = DataClient::connect(&args.target.server)?;
    if let Some(item) = &args.target.item {
        // Says what there is in its place.
        client.info(item)?;
    }
    #[cfg(feature = "prometheus")]
    if let Some(address) = args.prometheus {
        exporter::install(address, args.every)?;
        ndpool::server::analytics::describe_metrics();
    }
    let mut worker = Analytics::new(client);
    if let Some(item) = &args.target.item {
        worker = worker.only(item);
    }
    let is_live = !args.json && stdout().is_terminal();
    if is_live {
        print(CLEAR)?;
    }
    let mut rates = Rates::default();
    let start = Instant::now();
    let mut n_left = args.count.map(std::num::NonZeroU64::get);
    loop {
        let pass = worker.pass()?;
        pass.publish();
        let lines = rates.lines(&pass, Instant::now(), SystemTime::now());
        if args.json {
            lines.iter().try_for_each(|line: &Line| print_json(line))?;
        } else {
            let text = table(&pass, args.target.item.as_deref(), &lines);
            print(&if is_live {
                format!("{REDRAW}{}", fitted(&text, Term::stdout().size_checked()))
            } else {
                format!("{text}\n")
            })?;
        }
        for (item, error) in &pass.failed {
            tell(&format!("error: {}/{item}: {error}\n", pass.server));
        }
        n_left = n_left.map(|n| n - 1);
        if n_left == Some(0) || stopped.recv_timeout(until_next(start.elapsed(), args.every)).is_ok() {
            return Ok(());
        }
    }
}

/// As much of a table as a terminal of so many rows and columns shows: one that scrolled could not be drawn over.
fn fitted(text: &str, size: Option<(u16, u16)>) -> String {
    let Some((rows, columns)) = size else { return text.to_owned() };
    // The cursor is in the row below.
    let (n_lines, n_fit) = (text.lines().count(), usize::from(rows).saturating_sub(1));
    let n_shown = if n_lines <= n_fit { n_lines } else { n_fit.saturating_sub(1) };
    let mut shown: String = text
        .lines()
        .take(n_shown)
        .map(|line| line.chars().take(columns.into()).chain(['\n']).collect::<String>())
        .collect();
    if n_shown < n_fit && n_shown < n_lines {
        shown += &format!("… and {} more\n", n_lines - n_shown);
    }
    shown
}

/// If stderr is gone, there is nobody to tell.
fn tell(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_cut_to_what_the_terminal_shows() {
        let table = "NAME\na 1\nb 2\nlonger 3\n";
        for (size, shown) in [
            (None, table),
            (Some((5, 80)), table),
            (Some((5, 4)), "NAME\na 1\nb 2\nlong\n"),
            (Some((4, 80)), "NAME\na 1\n… and 2 more\n"),
            (Some((2, 80)), "… and 4 more\n"),
            (Some((1, 80)), ""),
        ] {
            assert_eq!(fitted(table, size), shown, "{size:?}");
        }
    }
}
