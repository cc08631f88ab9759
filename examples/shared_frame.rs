//! Statistics that are kept up to date by one process and read by others, whichever of them dies.
//!
//! Shows: a shared frame. A feed takes the person-years of a real table one after the other, 10 a millisecond, and keeps sums for each kind
//! of insurance in named columns, which must agree with each other. Readers of two kinds look on: one as often as it can, one that takes its
//! time over what it holds. The feed is killed again and again; the next one goes on from the last complete version.
//!
//! Run: `cargo run --release --example shared_frame`
//!
//! Prints: how many versions each reader saw and missed, and how the feed ended; then the table: visits to a doctor by the share of the bill
//! that people paid. Each version that a reader sees is checked against the sums of exactly as many rows, computed by itself.
//!
//! Data: examples/data/rand_hie.npy, 20,190 person-years, from the package statsmodels; in the public domain. See
//! examples/data/README.md.

use ndarray::prelude::*;
use ndpool::shared::{Schema, SharedFrame, Snapshot};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/rand_hie.npy");
/// Shares of the bill that people paid, in per cent: the rows of the frame.
const SHARES: [u32; 5] = [0, 25, 50, 95, 100];
/// Person-years of one version.
const STEP: usize = 10;
const N_KILLS: u64 = 5;

/// Sums over the first person-years.
#[derive(Clone, Default)]
struct Sums {
    people: [u64; 5],
    visits: [f64; 5],
    most: [f64; 5],
}

impl Sums {
    fn add(&mut self, table: ArrayView2<f64>) {
        for person in table.rows() {
            let share = person[1].exp_m1().round() as u32;
            let row = SHARES.iter().position(|&known| known == share).expect("one of five");
            self.people[row] += 1;
            self.visits[row] += person[0];
            self.most[row] = self.most[row].max(person[0]);
        }
    }
}

fn schema() -> Schema {
    Schema::new(SHARES.len())
        .column::<u64>("people")
        .column::<f64>("visits")
        .column::<f64>("mean")
        .column::<f64>("most")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table: Array2<f64> = ndarray_npy::read_npy(TABLE)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [role, name] if role == "feed" => feed(name, table.view())?,
        [role, name] if role == "eager" => watch(name, table.view(), Duration::ZERO)?,
        [role, name] if role == "thorough" => watch(name, table.view(), Duration::from_millis(20))?,
        _ => play(table.view())?,
    }
    Ok(())
}

/// How many person-years a version has seen. The first is all zeros.
fn n_seen(version: u64, table: ArrayView2<f64>) -> usize {
    ((version - 1) as usize * STEP).min(table.nrows())
}

/// Takes the table on from where the last version stands.
fn feed(name: &str, table: ArrayView2<f64>) -> ndpool::Result<()> {
    let frame = SharedFrame::attach(name, &schema())?;
    while n_seen(frame.version(), table) < table.nrows() {
        frame.write(|frame| {
            let rows = n_seen(frame.version() - 1, table)..n_seen(frame.version(), table);
            let mut new = Sums::default();
            new.add(table.slice(s![rows, ..]));
            // They hold what the last version holds.
            let names = ["people", "visits", "mean", "most"];
            let (mut people, mut visits, mut mean, mut most) =
                frame.columns_mut::<(u64, f64, f64, f64)>(names)?;
            for row in 0..SHARES.len() {
                people[row] += new.people[row];
                visits[row] += new.visits[row];
                mean[row] = visits[row] / people[row].max(1) as f64;
                most[row] = most[row].max(new.most[row]);
            }
            Ok(())
        })?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Reads versions until the table is done, and checks each.
fn watch(name: &str, table: ArrayView2<f64>, pause: Duration) -> ndpool::Result<()> {
    let frame = SharedFrame::attach(name, &schema())?;
    let (mut sums, mut done, mut seen, mut n_read) = (Sums::default(), 0, 0, 0_u64);
    while done < table.nrows() {
        let Some(_) = frame.wait_newer(seen, Duration::from_secs(30)) else { panic!("the feed has stopped") };
        let snapshot = frame.try_snapshot()?;
        // As long as this one is held, the feed goes on in other buffers.
        thread::sleep(pause);
        let n = n_seen(snapshot.version(), table);
        sums.add(table.slice(s![done..n, ..]));
        check(&snapshot, &sums)?;
        (seen, done, n_read) = (snapshot.version(), n, n_read + 1);
    }
    print!("{n_read} versions read and right, {} missed", seen - n_read);
    Ok(())
}

fn check(snapshot: &Snapshot, sums: &Sums) -> ndpool::Result<()> {
    let mean =
        Array1::from_iter((0..SHARES.len()).map(|row| sums.visits[row] / sums.people[row].max(1) as f64));
    assert_eq!(snapshot.column::<u64>("people")?.as_slice(), Some(&sums.people[..]));
    assert_eq!(snapshot.column::<f64>("visits")?.as_slice(), Some(&sums.visits[..]));
    assert_eq!(snapshot.column::<f64>("mean")?, mean);
    assert_eq!(snapshot.column::<f64>("most")?.as_slice(), Some(&sums.most[..]));
    Ok(())
}

/// Starts all of them, and kills the feed.
fn play(table: ArrayView2<f64>) -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("example-{}", std::process::id());
    let frame = SharedFrame::create(&name, &schema())?;
    println!("frame `{name}`: {}", frame.schema());
    let start = |role: &str| -> std::io::Result<Child> {
        Command::new(std::env::current_exe()?).args([role, &name]).stdout(Stdio::piped()).spawn()
    };
    let mut readers = Vec::new();
    for role in ["eager", "thorough"] {
        readers.push((role, start(role)?));
    }
    let n_versions = table.nrows().div_ceil(STEP) as u64 + 1;
    for part in 1..=N_KILLS {
        let mut feed = start("feed")?;
        let mut version = frame.version();
        while version < n_versions * part / (N_KILLS + 1) {
            version = frame.wait_newer(version, Duration::from_secs(30)).ok_or("the feed has stopped")?;
        }
        feed.kill()?;
        feed.wait()?;
    }
    assert!(start("feed")?.wait()?.success(), "the last feed ends well");
    println!("the feed was killed {N_KILLS} times; {} versions", frame.version());
    for (role, mut reader) in readers {
        let mut told = String::new();
        reader.stdout.take().expect("piped").read_to_string(&mut told)?;
        assert!(reader.wait()?.success(), "the {role} reader found a version that is wrong");
        println!("{role:8} reader: {told}");
    }

    let mut sums = Sums::default();
    sums.add(table);
    frame.read(|snapshot| {
        assert_eq!(snapshot.version(), n_versions);
        check(snapshot, &sums)?;
        println!("\nshare paid   person-years   visits a year   most");
        let (people, mean) = (snapshot.column::<u64>("people")?, snapshot.column::<f64>("mean")?);
        for (row, share) in SHARES.iter().enumerate() {
            let most = snapshot.column::<f64>("most")?[row];
            println!("{share:8} %   {:12}   {:13.2}   {most:4}", people[row], mean[row]);
        }
        Ok(())
    })?;
    Ok(())
}
