//! The table in Markdown.

use crate::row::Row;
use std::fmt::Write;

/// What is asked for: number, work, what a bare program reached where the goals were set, and the goal.
const WORK: &[(&str, &str, &str, &str)] = &[
    ("1", "sum of 1 GB of `f64`, already shared, mappings cached", "1.06×", "≤ 1.08× rayon"),
    ("2", "`describe` of 1 GB", "17×; 1.0×", "≥ 14× faster than NumPy; ≤ 1.2× one pass with AVX-512"),
    (
        "3",
        "10⁶ tasks of 64 doubles as blocks of 1 / 64 / 1024 rows",
        "1.06 / 0.98 / 0.91×",
        "≤ 1.3 / 1.1 / 1.05× rayon",
    ),
    (
        "4",
        "a million no-op calls through `map`, results collected",
        "0.2–0.4 µs each",
        "≤ 0.5 µs each; ≥ 80× procspawn, 30× multiprocessing, 200× ProcessPoolExecutor",
    ),
    (
        "5",
        "one no-op at a time: warm; after the worker has parked",
        "0.5 µs; one futex wake",
        "≤ 1.2 µs; ≤ 1.15× a bare futex round trip",
    ),
    (
        "6",
        "two workers started to first result; under a parent of 4 GiB",
        "1.0 ms",
        "≤ 1.8 ms; ≤ 1.3× of that",
    ),
    (
        "7",
        "100 MB to a fresh worker that sums them: copied in; born shared",
        "44; 12 ms",
        "≤ 55; ≤ 16 ms; ≥ 6× a Python Queue, ≥ 3× Python SharedMemory with spawn",
    ),
    (
        "8",
        "100 MB copied into recycled memory for a running worker, summed behind the copy",
        "11 ms",
        "≤ 15 ms",
    ),
    ("9", "copy into fresh segments against faulting them in", "0.53×", "≤ 0.6×"),
    (
        "10",
        "`SIGKILL` of one of two workers in the middle of the 1 GB sum",
        "one block + 1 ms",
        "≤ 1.1× undisturbed",
    ),
    ("11", "`saxpy` over 1 GB: in place, staged; with `#[out]`", "–", "≤ 1.3×; ≤ 1.08× rayon"),
    ("12", "idle pool of 2, extra memory; 10⁶ queued tasks", "0.3 MB", "≤ 2 MB; ≤ 200 bytes each"),
    ("13", "peak extra memory of a job over N bytes: copied in; not copied", "N; 0", "≤ 1.02 N; ≤ 2 MB"),
    (
        "14",
        "cost per job by array, 1 MB to 8 GB, and by workers, 1 to 64",
        "flat overhead",
        "≤ 20 µs + 1 µs per worker",
    ),
    (
        "15",
        "a frame of 1 MB from private memory of one process to its sum in another, neither sleeping",
        "a copy, a word, a sum",
        "≤ 1.2× that; ≤ 1× iceoryx2; ≥ 2× Python SharedMemory",
    ),
    (
        "16",
        "snapshot of a frame of 100 MB: into fresh memory; into memory that is kept; lent",
        "a copy; a copy; nothing",
        "≤ 1.2× `memcpy`; lent ≤ 0.001×",
    ),
    (
        "17",
        "a frame of 64 bytes in the cache: copied out; published",
        "2 ns: a sequence lock, which no writer may die in",
        "≤ 50 ns",
    ),
    (
        "18",
        "lock and unlock a shared array that nobody else wants",
        "a pthread mutex",
        "≤ 1.2× the plain one, which waits for the dead for ever, and the robust one",
    ),
    (
        "19",
        "an event wakes a process that sleeps, and its answer wakes the first",
        "one futex wake",
        "≤ 1.15×",
    ),
];

/// The number of the rows that ask how costs grow.
const GROWTH: &str = "14";

pub(super) fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "# Results\n\n\
         Written by `cargo run --release -p ndpool-benches --bin report` from `results.jsonl`; what is measured, on which machine and \
         how: [README.md](README.md). A cost is followed by the distance between the quartiles of its runs. The ratio is ndpool's cost by \
         the peer's; the goal is what it must not exceed.\n",
    );
    for (number, work, bare, goal) in WORK {
        let _ = write!(
            text,
            "\n## {number}. {work}\n\nBare limit: {bare}. Goal: {goal}.\n\n\
             | row | ndpool | peer | ratio | goal | | peer is | runs |\n\
             |---|--:|--:|--:|--:|---|---|--:|\n",
        );
        rows.iter().filter(|row| row.row == *number).for_each(|row| add(&mut text, row));
        if *number == GROWTH {
            text += &super::fit::sentences(rows);
        }
    }
    let is_other = |row: &&Row| WORK.iter().all(|(number, ..)| *number != row.row);
    let mut others = rows.iter().filter(is_other).peekable();
    if others.peek().is_some() {
        text += "\n## What ndpool is not faster at\n\nThe goal of 1 is where the other way is no better: [WHEN-NOT.md](WHEN-NOT.md).\n\n| row | ndpool | peer | ratio | goal | | peer is | runs |\n|---|--:|--:|--:|--:|---|---|--:|\n";
        others.for_each(|row| add(&mut text, row));
    }
    text
}

fn add(text: &mut String, row: &Row) {
    let Row { name, ndpool, peer, peer_name, ratio, goal, unit, runs, ndpool_spread, peer_spread, .. } = row;
    let limit = row.limit.map_or(String::new(), |limit| format!(" ({limit} {unit})"));
    let verdict = match (row.row == super::NO_GOAL, row.is_good) {
        (false, true) => "reached",
        (false, false) => "**missed**",
        (true, true) => "as fast",
        (true, false) => "slower",
    };
    let _ = writeln!(
        text,
        "| `{name}` | {ndpool} ± {ndpool_spread} {unit} | {peer} ± {peer_spread} {unit} | {ratio} | {goal}{limit} | {verdict} | {peer_name} \
         | {runs} |",
    );
}
