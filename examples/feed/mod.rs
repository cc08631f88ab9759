//! The instrument of the examples `data_server` and `analytics_worker`: a camera that pans over a photograph.

use ndarray::prelude::*;
use ndpool::server::DataServer;
use ndpool::shared::{Event, Schema};
use std::time::{Duration, Instant};

const PHOTOGRAPH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/china.npy");
/// Rows of the photograph that the camera sees at once.
pub const HEIGHT: usize = 64;
/// A thousand exposures a second.
const PERIOD: Duration = Duration::from_millis(1);
pub const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// The photograph, of shape (rows, columns, colours).
pub fn photograph() -> Array3<u8> {
    ndarray_npy::read_npy(PHOTOGRAPH).expect("the photograph is in examples/data")
}

/// What the camera sees in exposure `n`, counted from 1: it pans down and up again.
pub fn exposure(photograph: &Array3<u8>, n: u64) -> ArrayView3<'_, u8> {
    let last = photograph.len_of(Axis(0)) - HEIGHT;
    let step = n as usize % (2 * last);
    let top = if step < last { step } else { 2 * last - step };
    photograph.slice(s![top..top + HEIGHT, .., ..])
}

/// Mean level of a colour in each row that the camera sees.
pub fn levels(seen: ArrayView3<u8>, colour: usize) -> Array1<f64> {
    seen.index_axis(Axis(2), colour)
        .map(|&level| f64::from(level))
        .mean_axis(Axis(1))
        .expect("rows have pixels")
}

/// The event that says that no exposure will follow.
pub fn stop_event(server: &str) -> String {
    format!("{server}-stop")
}

/// Serves exposures under a name: the pictures as a double buffer `picture`, whose versions are the numbers of the exposures, and the
/// levels as a frame `levels`, whose version 1 is the empty one. Ends after this time, or as soon as the event is set.
pub fn serve(name: &str, time: Duration) -> ndpool::Result<()> {
    let photograph = photograph();
    // First, so that whoever finds the server finds the event.
    let stop = Event::create(&stop_event(name))?;
    let server = DataServer::builder(name).max_bytes(16 << 20).handle_signals(true).start()?;
    let width = photograph.len_of(Axis(1));
    let picture = server.create_double_buffer::<u8, Ix3>("picture", (HEIGHT, width, COLOURS.len()))?;
    let schema = COLOURS.iter().fold(Schema::new(HEIGHT), |schema, colour| schema.column::<f64>(*colour));
    let table = server.create_frame("levels", &schema)?;
    let mut writer = picture.writer()?;

    let start = Instant::now();
    for i in 1.. {
        let seen = exposure(&photograph, i);
        writer.write(|mut picture| picture.assign(&seen));
        table.write(|frame| {
            (0..).zip(COLOURS).try_for_each(|(c, colour)| frame.assign(colour, levels(seen, c).view()))
        })?;
        // The event serves as the clock, too.
        let is_stopped = stop.wait_timeout((PERIOD * i as u32).saturating_sub(start.elapsed()));
        if is_stopped || start.elapsed() >= time {
            break;
        }
    }
    stop.set();
    println!("server: {} exposures in {:.2} s", table.version() - 1, start.elapsed().as_secs_f64());
    server.close()
}
