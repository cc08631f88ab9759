//! Analytics of a data server: figures of everything that it publishes, ten times a second, without copying it.
//!
//! Shows: a worker that finds a server by name and follows whatever it publishes; figures that are each of one whole version, although
//! the server writes all the while; metrics for whatever recorder the program installs; and the stop event, which wakes it at once.
//!
//! Run: `cargo run --release --example analytics_worker`
//!
//! It looks at the server of the example `data_server`, if that runs, and else starts one of its own for a second.
//!
//! Prints: mean, standard deviation, smallest and largest value of pictures and levels, with their versions, and compares the means of
//! the pictures with those of the photograph.
//!
//! Data: examples/data/china.npy, a photograph of the Summer Palace by danielbuechele from the package scikit-learn;
//! CC BY 2.0. See examples/data/README.md.

mod feed;

use feed::{exposure, photograph, serve, stop_event};
use ndpool::ops::dynamic::Number;
use ndpool::server::DataClient;
use ndpool::server::analytics::{Analytics, Pass};
use ndpool::shared::{Event, Options};
use std::process::{Child, Command};
use std::time::Duration;

const NAME: &str = "panorama";
const EVERY: Duration = Duration::from_millis(100);
/// How long it looks for a server that it has started.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ndpool::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name] = &arguments[..]
        && role == "serve"
    {
        return serve(name, Duration::from_secs(1));
    }
    let (client, server) = match DataClient::connect(NAME) {
        Ok(client) if client.is_alive() => (client, None),
        _ => start_server()?,
    };
    let stop = Event::attach(&stop_event(client.name()))?;
    println!("worker: looks at {}", client.name());

    let photograph = photograph();
    let mut n_compared = 0;
    let n_passes = Analytics::new(client).run(EVERY, &stop, |pass: &Pass| {
        for seen in &pass.seen {
            let Some(figures) = seen.figures else { continue };
            let column = seen.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
            println!(
                "worker: {:<14} version {:>5}: mean {:.1}, std {:.1}, min {}, max {}",
                format!("{}{column}", seen.item),
                seen.version,
                value(figures.mean),
                value(figures.std),
                figures.min,
                figures.max
            );
            if seen.item == "picture" {
                let expected =
                    exposure(&photograph, seen.version).map(|&level| f64::from(level)).mean().unwrap();
                let found = value(figures.mean);
                assert!((found - expected).abs() < 1e-9, "{found}, not {expected}, in {}", seen.version);
                n_compared += 1;
            }
        }
    })?;
    println!("worker: stopped after {n_passes} looks; {n_compared} pictures compared with the photograph");
    assert!(n_compared > 0, "there was nothing to compare");
    if let Some(mut server) = server {
        let status = server.wait().expect("it is our child");
        assert!(status.success(), "the server: {status}");
    }
    Ok(())
}

/// A server in a process of its own, under a name that nobody else has.
fn start_server() -> ndpool::Result<(DataClient, Option<Child>)> {
    let name = format!("{NAME}-{}", std::process::id());
    let this = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new(this).args(["serve", &name]).spawn().expect("this program can be started");
    match DataClient::connect_when_there(&Options::new(), &name, PATIENCE) {
        Ok(client) => Ok((client, Some(child))),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn value(number: Number) -> f64 {
    match number {
        Number::Float(x) => x,
        other => panic!("a mean of type {other:?}"),
    }
}
