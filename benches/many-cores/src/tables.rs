use crate::claim::{Claims, Done, Help, Look, Pages, Work, run};
use crate::machine::{Machine, Numbering};
use crate::wake::{FanOut, Roster, Woken, wake_all};
use serde::Serialize;

/// A line of a table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The table's name.
    pub table: &'static str,
    /// What is done.
    pub name: String,
    /// NUMA nodes of the machine.
    pub n_nodes: usize,
    /// Workers, and cores.
    pub n_workers: usize,
    /// What came of it: a name, a number, and its unit.
    pub figures: Vec<(&'static str, f64, &'static str)>,
}

/// All tables, one after the other.
pub fn all(seed: u64) -> Vec<Row> {
    [wake_ups(), claims(seed), placement(seed), help(seed)].concat()
}

/// Machines with one node of 2 to 64 cores, and two nodes with 128.
fn machines() -> Vec<Machine> {
    let mut machines: Vec<_> = [2, 8, 16, 32, 64].map(|n| Machine::new(1, n)).into();
    machines.push(Machine::new(2, 128));
    machines
}

/// Ways to wake, with their names.
pub fn fan_outs() -> Vec<(&'static str, FanOut)> {
    let all = usize::MAX;
    let with = |first, each, roster| FanOut { first, each, roster };
    // Today the first worker that leaves the job ends the publisher's part: with long blocks, as here, it wakes all.
    vec![
        ("the publisher wakes all", with(all, 0, Roster::Beds)),
        ("and each brings one more: today", with(all, 1, Roster::Beds)),
        ("each wakes one: a chain", with(1, 1, Roster::Beds)),
        ("each wakes 2", with(2, 2, Roster::Beds)),
        ("each wakes 4", with(4, 4, Roster::Beds)),
        ("each wakes 8", with(8, 8, Roster::Beds)),
        ("and each brings one more, bits", with(all, 1, Roster::Bits)),
        ("each wakes 2, bits", with(2, 2, Roster::Bits)),
        ("each wakes 4, bits", with(4, 4, Roster::Bits)),
        ("each wakes 8, bits", with(8, 8, Roster::Bits)),
    ]
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

fn wake_ups() -> Vec<Row> {
    let mut rows = Vec::new();
    for machine in machines() {
        for (name, fan_out) in fan_outs() {
            let woken = wake_all(&machine, fan_out);
            rows.push(row("wake-ups", name, &machine, figures_of_waking(&woken)));
        }
    }
    rows
}

fn figures_of_waking(woken: &Woken) -> Vec<(&'static str, f64, &'static str)> {
    vec![
        ("publisher", micros(woken.publisher_done), "µs"),
        ("half awake", micros(woken.half()), "µs"),
        ("all awake", micros(woken.last()), "µs"),
        ("spent each", micros(woken.spent) / woken.awake_at.len() as f64, "µs"),
    ]
}

fn row(
    table: &'static str,
    name: impl Into<String>,
    machine: &Machine,
    figures: Vec<(&'static str, f64, &'static str)>,
) -> Row {
    Row { table, name: name.into(), n_nodes: machine.n_nodes, n_workers: machine.n_workers, figures }
}

/// Blocks of which each computes for a microsecond and reads nothing: what giving them out costs.
fn claims(seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for machine in machines() {
        let blocks_each = 1_000;
        for (name, claims) in [
            ("one counter", Claims::Counter),
            ("own regions, then all by number: today", Claims::Regions(Help::ByNumber, Look::AtAll)),
            ("own regions, then near ones", Claims::Regions(Help::NearFirst, Look::AtAll)),
            ("and no further than the owner came", Claims::Regions(Help::NearFirst, Look::UntilOwner)),
        ] {
            let work = Work {
                n_blocks: machine.n_workers * blocks_each,
                block_bytes: 0,
                block_nanos: 1_000,
                pages: Pages::ByRegion,
                claims,
                slow_every: 0,
                seed,
            };
            let done = run(&machine, work);
            let ideal = ideal_nanos(&machine, &work);
            rows.push(row(
                "claims",
                name,
                &machine,
                vec![
                    ("each block", done.claiming as f64 / work.n_blocks as f64, "ns"),
                    ("against ideal", done.nanos as f64 / ideal, "×"),
                    ("last ring after", micros(done.rung - done.nanos), "µs"),
                ],
            ));
        }
    }
    rows
}

/// What the computing alone takes, shared out evenly.
fn ideal_nanos(machine: &Machine, work: &Work) -> f64 {
    // One in sixteen takes four times as long.
    work.n_blocks as f64 * work.block_nanos as f64 * (15.0 + 4.0) / 16.0 / machine.n_workers as f64
}

/// 8 GiB that are read once, in blocks of 1 MiB.
fn streaming(machine: &Machine, pages: Pages, help: Help, slow_every: usize, seed: u64) -> Done {
    let work = Work {
        n_blocks: 8_192,
        block_bytes: 1 << 20,
        block_nanos: 0,
        pages,
        claims: Claims::Regions(help, Look::AtAll),
        slow_every,
        seed,
    };
    run(machine, work)
}

fn figures_of_streaming(done: &Done) -> Vec<(&'static str, f64, &'static str)> {
    let n_blocks = done.n_runs.len() as f64;
    vec![
        ("time", done.nanos as f64 / 1e6, "ms"),
        ("rate", n_blocks * (1 << 20) as f64 / done.nanos as f64, "GB/s"),
        ("far", 100.0 * done.far_blocks as f64 / n_blocks, "%"),
        ("helped near", done.helped[0] as f64, "blocks"),
        ("helped far", done.helped[1] as f64, "blocks"),
    ]
}

fn placement(seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for n_workers in [32, 128] {
        for (name, pages) in [
            ("all on the caller's node", Pages::OneNode),
            ("in turns", Pages::Interleaved),
            ("with their region's worker", Pages::ByRegion),
        ] {
            let machine = Machine::new(2, n_workers);
            let done = streaming(&machine, pages, Help::NearFirst, 0, seed);
            rows.push(row("placement", name, &machine, figures_of_streaming(&done)));
        }
    }
    rows
}

/// As above with pages in their regions, and every ninth worker slow: whom the others help.
fn help(seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (numbers, numbering) in
        [("node by node", Numbering::NodeByNode), ("alternating", Numbering::Alternating)]
    {
        for (name, help) in [("by number: today", Help::ByNumber), ("near first", Help::NearFirst)] {
            let machine = Machine { numbering, ..Machine::new(2, 128) };
            let done = streaming(&machine, Pages::ByRegion, help, 9, seed);
            rows.push(row("help", format!("{numbers}, {name}"), &machine, figures_of_streaming(&done)));
        }
    }
    rows
}
