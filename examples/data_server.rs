//! A camera as a data server: pictures and levels that any process reads by name, while they come in.
//!
//! Shows: a server with a double buffer and a frame, written a thousand times a second; clients in another process that find
//! them by name, are lent what they read, and know what they missed; and a stop event that ends them at once.
//!
//! Run: `cargo run --release --example data_server`
//!
//! Serves for two seconds, or as many as its argument says; meanwhile, in another terminal:
//! `ndpool watch panorama`, `ndpool get panorama/picture -o now.npy`, or the example `analytics_worker`.
//!
//! Prints: how many exposures the server made, and how many a reader saw, each of which it compared with the photograph.
//!
//! Data: examples/data/china.npy, a photograph of the Summer Palace by danielbuechele from the package scikit-learn;
//! CC BY 2.0. See examples/data/README.md.

mod feed;

use feed::{COLOURS, exposure, levels, photograph, serve, stop_event};
use ndarray::prelude::*;
use ndpool::server::{Change, DataClient};
use ndpool::shared::{Event, Options};
use std::process::Command;
use std::time::Duration;

const NAME: &str = "panorama";
/// How long a process looks for another.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ndpool::Result<()> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("read") {
        return read();
    }
    let seconds = argument.map_or(2, |seconds| seconds.parse().expect("a number of seconds"));
    let this = std::env::current_exe().expect("this program has a path");
    let mut reader = Command::new(this).arg("read").spawn().expect("this program can be started");
    let served = serve(NAME, Duration::from_secs(seconds));
    if served.is_err() {
        let _ = reader.kill();
    }
    let status = reader.wait().expect("it is our child");
    served?;
    assert!(status.success(), "the reader found something wrong: {status}");
    Ok(())
}

/// A client in a process of its own: compares all that it gets to see.
fn read() -> ndpool::Result<()> {
    let photograph = photograph();
    let client = DataClient::connect_when_there(&Options::new(), NAME, PATIENCE)?;
    let stop = Event::attach(&stop_event(NAME))?;
    let mut picture = wait_for(|| client.array::<u8, Ix3>("picture"));
    let table = wait_for(|| client.frame("levels"));

    let (mut n_seen, mut n_missed, mut last) = (0, 0, 0);
    // Sleeps until there is a newer exposure, and ends when the server takes the item away.
    while let Change::Newer(_) = picture.wait(last, None) {
        let same = picture.read_with(|seen| seen.to_owned())?;
        last = picture.number();
        assert_eq!(same, exposure(&photograph, last), "picture {last} is not what the camera saw");
        n_seen += 1;
        n_missed += picture.missed();
        // The columns of a snapshot are of one version, and do not change while it is read.
        table.read(|snapshot| {
            // Version 1 is the empty frame.
            let Some(n @ 1..) = snapshot.version().checked_sub(1) else { return Ok(()) };
            for (c, colour) in COLOURS.iter().enumerate() {
                let expected = levels(exposure(&photograph, n), c);
                assert_eq!(snapshot.column::<f64>(colour)?, expected, "{colour} of {n}");
            }
            Ok(())
        })?;
    }
    assert!(stop.is_set() && n_seen > 0);
    println!("reader: {n_seen} exposures seen, each as the camera saw it; {n_missed} missed between them");
    Ok(())
}

/// What the server is about to create.
fn wait_for<T>(mut look: impl FnMut() -> ndpool::Result<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(error) if start.elapsed() > PATIENCE => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
