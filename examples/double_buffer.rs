//! A sensor that delivers a thousand frames a second, to programs that are slower, and that come, go and crash.
//!
//! Shows: a `DoubleBuffer` between processes that know nothing of each other but a name. The sensor never waits: a reader that takes its
//! time misses frames, knows how many, and gets whole ones all the same. Readers and sensor are killed in the middle; the others
//! do not notice, and the sensor's successor goes on with the next frame.
//!
//! Run: `cargo run --release --example double_buffer`
//!
//! Prints: a line for each reader that reports, with the last frame that it got, how many it got and how many it missed; who was killed
//! when; and in the end that no frame was a mixture and none went back in time, however often anybody was killed.

use ndarray::{Array2, ArrayView2, Ix2};
use ndpool::shared::DoubleBuffer;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Rows and columns of a frame: 20 kB.
const SHAPE: (usize, usize) = (50, 50);
const FRAMES_PER_SECOND: u32 = 1000;
/// How long each reader works on a frame: quicker than frames come, and slower.
const READERS: [(&str, Duration); 3] = [
    ("display", Duration::ZERO),
    ("recorder", Duration::from_millis(4)),
    ("analyst", Duration::from_millis(45)),
];

/// The sensor's pixels at some moment, so that a frame can be checked by who has only its number.
fn pixel(number: u64, row: usize, column: usize) -> f64 {
    number as f64 + (row * SHAPE.1 + column) as f64 / 1e4
}

fn is_frame(number: u64, frame: ArrayView2<'_, f64>) -> bool {
    frame.indexed_iter().all(|((row, column), &value)| value == pixel(number, row, column))
}

/// The process that writes: a frame every millisecond, whoever reads.
fn sense(name: &str) -> ndpool::Result<()> {
    let mut writer = DoubleBuffer::<f64, Ix2>::attach(name)?.writer()?;
    println!("goes on with frame {}", writer.number() + 1);
    let mut next = Instant::now();
    loop {
        let number = writer.number() + 1;
        writer.write(|mut frame| {
            for ((row, column), value) in frame.indexed_iter_mut() {
                *value = pixel(number, row, column);
            }
        });
        next += Duration::from_secs(1) / FRAMES_PER_SECOND;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// A process that reads: waits for a new frame, looks at it for as long as it takes, and reports ten times a second.
fn read(name: &str, work: Duration) -> ndpool::Result<()> {
    let mut reader = DoubleBuffer::<f64, Ix2>::attach(name)?.reader();
    let (mut n_read, mut n_missed, mut last_report) = (0_u64, 0_u64, Instant::now());
    loop {
        let before = reader.number();
        let Some(newest) = reader.wait_newer(before, Duration::from_secs(10)) else {
            panic!("no frame for ten seconds");
        };
        // Lent, not copied: the sensor goes on with other buffers meanwhile, and this frame stays as it is.
        let (first, is_same) = reader.read_with(|frame| {
            let first = frame[(0, 0)];
            let is_whole = is_frame(first as u64, frame);
            std::thread::sleep(work);
            (first as u64, is_whole && is_frame(first as u64, frame))
        })?;
        assert!(is_same && first == reader.number(), "frame {first} is a mixture");
        assert!(reader.number() >= newest && newest > before, "frame {newest} came after {before}");
        n_read += 1;
        n_missed += reader.missed();
        if last_report.elapsed() > Duration::from_millis(100) {
            println!("{} {n_read} {n_missed}", reader.number());
            last_report = Instant::now();
        }
    }
}

/// A process of this program.
struct Actor {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Actor {
    fn start(name: &str, role: &str) -> Self {
        let this = std::env::current_exe().expect("a program has a path");
        let mut command = Command::new(this);
        command.args([name, role]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program can be started again");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    fn hear(&mut self) -> String {
        self.lines.next().expect("it lives").expect("what it says is text")
    }

    /// Kills it, wherever it is.
    fn kill(mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it is this program's");
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> ndpool::Result<()> {
    if let [_, name, role] = &std::env::args().collect::<Vec<_>>()[..] {
        return match READERS.iter().find(|(reader, _)| reader == role) {
            Some(&(_, work)) => read(name, work),
            None => sense(name),
        };
    }
    let name = format!("sensor_{}", std::process::id());
    // One to be read by each reader, the last, and the one that is written.
    let builder = DoubleBuffer::<f64, Ix2>::builder().buffers(READERS.len() + 2);
    let sensor = builder.create(&name, SHAPE)?;
    println!("a sensor, {FRAMES_PER_SECOND} frames a second, `{name}`, in {}", sensor.path().display());

    let mut writer = Actor::start(&name, "sensor");
    println!("sensor {}", writer.hear());
    let mut readers = READERS.map(|(role, _)| Actor::start(&name, role));
    for round in 0..4 {
        // Each reports twice, so it has got frames since the last kill.
        for ((role, _), reader) in READERS.iter().zip(&mut readers) {
            reader.hear();
            let report = reader.hear();
            let words: Vec<&str> = report.split(' ').collect();
            println!("  {role:8} got frame {:>5}, {:>5} in all, missed {:>5}", words[0], words[1], words[2]);
        }
        let before = sensor.number();
        if round % 2 == 0 {
            writer.kill();
            assert!(sensor.number() >= before, "a death takes no frame back");
            println!("the sensor was killed after frame {}", sensor.number());
            let kept = sensor.reader().read()?;
            assert!(is_frame(kept.number, kept.array.view()), "the last frame is whole");
            writer = Actor::start(&name, "sensor");
            let said = writer.hear();
            assert_eq!(said, format!("goes on with frame {}", kept.number + 1));
            println!("the next sensor {said}");
        } else {
            let victim = round % READERS.len();
            std::mem::replace(&mut readers[victim], Actor::start(&name, READERS[victim].0)).kill();
            println!("a {} was killed while it read; the next one comes", READERS[victim].0);
        }
    }
    drop((writer, readers));
    let last: Array2<f64> = sensor.reader().read()?.array;
    assert!(is_frame(sensor.number(), last.view()));
    println!("{} frames, none of them mixed, none lost to a death", sensor.number());
    let path = sensor.path().to_owned();
    drop(sensor);
    assert!(!path.exists(), "the last one out takes it away");
    Ok(())
}
