use crate::clock::Clock;
use crate::machine::{Line, Machine};
use crate::random::Random;
use serde::Serialize;

/// Where the pages of an array lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// All on node 0, whose core wrote them first.
    OneNode,
    /// On one node after the other, in turns.
    Interleaved,
    /// Those of a worker's region on its node.
    ByRegion,
}

/// Whom a worker helps when its own region has no free block any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Help {
    /// The worker with the next number, then the one after it, as `Cursor` does.
    ByNumber,
    /// Those of its own node first, then the others.
    NearFirst,
}

/// How blocks are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claims {
    /// One counter for all.
    Counter,
    /// A region for each worker, then those of others; and how far into these.
    Regions(Help, Look),
}

/// How far a worker looks into the region of another, from its far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// At all of its words, as `Cursor` does.
    AtAll,
    /// Until it meets one that the region's own worker has taken: that one comes from the other end.
    UntilOwner,
}

/// A job.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Blocks of the job.
    pub n_blocks: usize,
    /// Bytes that a block reads.
    pub block_bytes: u64,
    /// What a block computes besides, in nanoseconds; one in sixteen, chosen by chance, takes four times as long.
    pub block_nanos: u64,
    /// Where its pages are.
    pub pages: Pages,
    /// How its blocks are given out.
    pub claims: Claims,
    /// Every so many workers, one runs at half the speed; none if zero.
    pub slow_every: usize,
    /// The seed of chance.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// When the last block was done, in nanoseconds after the first worker looked.
    pub nanos: u64,
    /// How often each block was run.
    #[serde(skip)]
    pub n_runs: Vec<u32>,
    /// Blocks whose bytes came from another node.
    pub far_blocks: usize,
    /// Blocks of other workers' regions, of the own node and of others.
    pub helped: [usize; 2],
    /// Time that all workers together spent on finding and claiming blocks.
    pub claiming: u64,
    /// When everybody who left the job had rung the bell.
    pub rung: u64,
}

/// Words of a ledger in a cache line.
const WORDS: usize = 8;
/// Lines that are on their way at a time when words are looked at in order: assumed.
const READ_AHEAD: u64 = 4;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A worker looks for a block.
    Looks { worker: usize },
    /// A worker is done with one that it read from a node.
    Done { worker: usize, from: usize },
}

/// Where a worker looks next.
struct Cursor {
    /// Regions, in the order in which it goes through them: the own one forwards, others from their far ends.
    order: Vec<usize>,
    nth: usize,
    n_passed: usize,
    /// The line that was looked at last.
    line: usize,
}

struct Ledger<'m> {
    machine: &'m Machine,
    /// Who has taken each block.
    taken_by: Vec<Option<usize>>,
    lines: Vec<Line>,
    counter: (Line, usize),
}

impl Ledger<'_> {
    fn region(&self, worker: usize) -> std::ops::Range<usize> {
        let bound = |w: usize| w * self.taken_by.len() / self.machine.n_workers;
        bound(worker)..bound(worker + 1)
    }

    /// The next block for a worker, of whose region it is, and when it has claimed it.
    fn claim(
        &mut self,
        claims: Claims,
        cursor: &mut Cursor,
        worker: usize,
        now: u64,
    ) -> (u64, Option<(usize, usize)>) {
        let node = self.machine.node_of(worker);
        if claims == Claims::Counter {
            let block = self.counter.1;
            self.counter.1 += 1;
            let now = self.counter.0.write(self.machine, worker, node, now);
            return (now, (block < self.taken_by.len()).then_some((block, worker)));
        }
        let Claims::Regions(_, look) = claims else { unreachable!("counted above") };
        let mut now = now;
        while let Some(&owner) = cursor.order.get(cursor.nth) {
            let region = self.region(owner);
            while cursor.n_passed < region.len() {
                let is_own = owner == worker;
                let block =
                    if is_own { region.start + cursor.n_passed } else { region.end - 1 - cursor.n_passed };
                cursor.n_passed += 1;
                let Some(taker) = self.taken_by[block] else {
                    self.taken_by[block] = Some(worker);
                    cursor.line = block / WORDS;
                    let claimed = self.lines[cursor.line].write(self.machine, worker, node, now);
                    return (claimed + self.machine.costs.claim, Some((block, owner)));
                };
                now += self.machine.costs.line_own;
                if cursor.line != block / WORDS {
                    cursor.line = block / WORDS;
                    // Read ahead by the processor, a few lines at a time.
                    now += self.machine.line_between(self.machine.node_of(taker), node) / READ_AHEAD;
                }
                if look == Look::UntilOwner && !is_own && taker == owner {
                    break;
                }
            }
            cursor.nth += 1;
            cursor.n_passed = 0;
        }
        (now, None)
    }
}

fn order(machine: &Machine, claims: Claims, worker: usize) -> Vec<usize> {
    let n = machine.n_workers;
    let mut order: Vec<_> = (0..n).map(|i| (worker + i) % n).collect();
    if matches!(claims, Claims::Regions(Help::NearFirst, _)) {
        order.sort_by_key(|&other| machine.node_of(other) != machine.node_of(worker));
    }
    order
}

/// Runs a job on workers that all look for work at time zero.
///
/// The bandwidth that a block has is shared out when it begins, among those who read from the same node and over the same link at
/// that moment, and stays until it is done.
pub fn run(machine: &Machine, work: Work) -> Done {
    let n = machine.n_workers;
    let mut random = Random::new(work.seed);
    let nanos: Vec<_> =
        (0..work.n_blocks).map(|_| work.block_nanos * if random.below(16) == 0 { 4 } else { 1 }).collect();
    let mut ledger = Ledger {
        machine,
        taken_by: vec![None; work.n_blocks],
        lines: vec![Line::default(); work.n_blocks.div_ceil(WORDS)],
        counter: (Line::default(), 0),
    };
    let mut cursors: Vec<_> = (0..n)
        .map(|worker| Cursor {
            order: order(machine, work.claims, worker),
            nth: 0,
            n_passed: 0,
            line: usize::MAX,
        })
        .collect();
    let mut bell = Line::default();
    let mut done = Done {
        nanos: 0,
        n_runs: vec![0; work.n_blocks],
        far_blocks: 0,
        helped: [0; 2],
        claiming: 0,
        rung: 0,
    };
    // Who reads: from each node, and from each node into another.
    let (mut readers, mut crossing) = (vec![0_u64; machine.n_nodes], vec![0_u64; machine.n_nodes]);
    let mut clock = Clock::default();
    for worker in 0..n {
        clock.at(0, Event::Looks { worker });
    }
    while let Some((now, event)) = clock.next() {
        match event {
            Event::Done { worker, from } => {
                done.nanos = done.nanos.max(now);
                readers[from] -= 1;
                crossing[from] -= u64::from(from != machine.node_of(worker));
                clock.at(now, Event::Looks { worker });
            }
            Event::Looks { worker } => {
                let node = machine.node_of(worker);
                let (claimed, block) = ledger.claim(work.claims, &mut cursors[worker], worker, now);
                done.claiming += claimed - now;
                let Some((block, owner)) = block else {
                    done.rung = done.rung.max(bell.write(machine, worker, node, claimed));
                    continue;
                };
                done.n_runs[block] += 1;
                if owner != worker {
                    done.helped[usize::from(machine.node_of(owner) != node)] += 1;
                }
                let from = match work.pages {
                    Pages::OneNode => 0,
                    Pages::Interleaved => block % machine.n_nodes,
                    // The owner of the region, whoever runs the block.
                    Pages::ByRegion => machine.node_of((block * n + n - 1) / work.n_blocks.max(1)),
                };
                let is_far = from != node;
                done.far_blocks += usize::from(is_far);
                readers[from] += 1;
                crossing[from] += u64::from(is_far);
                let costs = &machine.costs;
                let mut rate = costs.core_bytes[usize::from(is_far)].min(costs.node_bytes / readers[from]);
                if is_far {
                    rate = rate.min(costs.link_bytes / crossing[from]);
                }
                let mut takes = work.block_bytes * 1_000 / rate.max(1) + nanos[block];
                if work.slow_every > 0 && worker % work.slow_every == 0 {
                    takes *= 2;
                }
                clock.at(claimed + takes, Event::Done { worker, from });
            }
        }
    }
    done
}
