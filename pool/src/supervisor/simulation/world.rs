/// What was seen of blocks, and what it must come to.
mod observer;
/// A worker's process and its steps in a block.
mod worker;

use self::observer::{Seen, Totals};
use self::worker::{Process, Step};
use super::Random;
use crate::error::WorkerExit;
use crate::job::ledger::Ledger;
use crate::job::word::{BlockWord, State};
use crate::supervisor::cause::{Facts, diagnose};
use crate::supervisor::lifecycle::{Action, Event, Lifecycle};
use crate::supervisor::verdict::judge;
use crate::sys::primitive::AtomicU64;
use nix::sys::signal::Signal;
use std::time::Duration;

const N_ROWS: usize = 2;
const ATTEMPTS: u32 = 3;
/// Deaths from outside that give a block up, as the README says.
const EXTERNAL: u32 = 30;
/// Moves to a death in the fiercest storm.
const STORM: usize = 2;
/// Moves within which a job must have ended once nothing happens from outside any more.
const PATIENCE: usize = 100_000;

/// What a task does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Incremented on a copy that is written back.
    Staged,
    /// Set in place.
    Out,
}

/// What becomes of a task in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Temper {
    Good,
    /// Kills every worker.
    Poison,
    /// Kills this many.
    KillsSome(u32),
    /// Returns an error.
    Errs,
    /// Does not return.
    Hangs,
}

struct Slot {
    life: Lifecycle,
    action: Action,
    process: Option<Process>,
    staging: [u64; N_ROWS],
    is_given_up: bool,
}

/// A pool without processes: slots, one open job at a time, its words and rows.
struct World {
    random: Random,
    slots: Vec<Slot>,
    words: Vec<AtomicU64>,
    sequence: u64,
    rescan: u32,
    mode: Rows,
    tempers: Vec<Temper>,
    rows: Vec<[u64; N_ROWS]>,
    results: Vec<Option<u64>>,
    seen: Vec<Seen>,
    /// Claims as the monitor saw them, with its ticks.
    observed: Vec<Option<(BlockWord, u32)>>,
    block_ticks: Option<u32>,
    deadline_ticks: Option<u32>,
    age: u32,
    is_cancelled: bool,
    is_past_deadline: bool,
    is_closing: bool,
    /// Whether chance may still kill, cancel and fail starts.
    is_rough: bool,
    /// One start in so many fails.
    failing_starts: usize,
    /// A slot in which nothing starts any more once the first job has ended.
    doomed: Option<usize>,
    /// One move in so many is a worker's death.
    moves_to_a_death: usize,
    totals: Totals,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let n_slots = random.below(4) + 1;
        let slot = || {
            let mut life = Lifecycle::new();
            let action = life.step(Event::Begin);
            Slot { life, action, process: None, staging: [0; N_ROWS], is_given_up: false }
        };
        Self {
            slots: (0..n_slots).map(|_| slot()).collect(),
            failing_starts: random.pick(&[10, 10, 3, 2]),
            // A storm of deaths uses up even the budget for those from outside.
            moves_to_a_death: random.pick(&[25, 25, 100, 8, STORM]),
            doomed: (n_slots > 1 && random.once_in(3)).then_some(0),
            random,
            words: Vec::new(),
            sequence: 0,
            rescan: 0,
            mode: Rows::Staged,
            tempers: Vec::new(),
            rows: Vec::new(),
            results: Vec::new(),
            seen: Vec::new(),
            observed: Vec::new(),
            block_ticks: None,
            deadline_ticks: None,
            age: 0,
            is_cancelled: false,
            is_past_deadline: false,
            is_closing: false,
            is_rough: true,
            totals: Totals::default(),
        }
    }

    fn n_blocks(&self) -> usize {
        self.tempers.len()
    }

    /// The ledger of the open job, over memory that serves every job. Borrows the words alone.
    fn ledger(&self) -> Ledger<'_> {
        Ledger::new(&self.words[..self.tempers.len()], self.sequence)
    }

    /// Publishes the next job in the memory of the last.
    fn publish(&mut self) {
        let random = &mut self.random;
        let n_blocks = random.below(9) + 1;
        self.mode = random.pick(&[Rows::Staged, Rows::Out]);
        self.tempers = (0..n_blocks)
            .map(|_| match random.below(12) {
                0 => Temper::Poison,
                1 => Temper::KillsSome(random.below(3) as u32 + 1),
                2 => Temper::Errs,
                3 => Temper::Hangs,
                _ => Temper::Good,
            })
            .collect();
        let hangs = self.tempers.contains(&Temper::Hangs);
        self.block_ticks = (hangs || random.once_in(3)).then(|| random.below(20) as u32 + 3);
        self.deadline_ticks = random.once_in(5).then(|| random.below(200) as u32 + 1);
        while self.words.len() < n_blocks {
            self.words.push(AtomicU64::new(0));
        }
        self.sequence += 1;
        self.rows = vec![[0; N_ROWS]; n_blocks];
        self.results = vec![None; n_blocks];
        self.seen = vec![Seen::default(); n_blocks];
        self.observed = vec![None; n_blocks];
        (self.age, self.is_cancelled, self.is_past_deadline, self.is_rough) = (0, false, false, true);
        for process in self.slots.iter_mut().filter_map(|slot| slot.process.as_mut()) {
            process.cursor = None;
        }
        self.ledger().publish();
    }

    fn is_broken(&self) -> bool {
        self.slots.iter().all(|slot| slot.is_given_up)
    }

    /// One move of a thread or process that chance picks.
    fn make_a_move(&mut self) {
        let n = self.slots.len();
        let who = self.random.below(4 * n + 2);
        if who < n {
            self.slot_moves(who);
        } else if who < 4 * n {
            self.worker_moves(who % n);
        } else if who == 4 * n {
            self.monitor_ticks();
        } else {
            self.caller_looks();
        }
        if self.is_rough && self.random.once_in(self.moves_to_a_death) {
            let slot = self.random.below(n);
            // The fiercest storm comes from outside alone: failures to start would end it soon.
            let exit = match self.random.below(5) {
                _ if self.moves_to_a_death == STORM => signal(Signal::SIGKILL),
                0 => WorkerExit::Code(3),
                1 => signal(Signal::SIGSEGV),
                _ => signal(Signal::SIGKILL),
            };
            self.die(slot, exit);
        }
        if self.is_rough && self.random.once_in(2_000) {
            self.cancel();
        }
    }

    fn cancel(&mut self) {
        self.is_cancelled = true;
        self.ledger().cancel();
    }

    /// A worker's process ends, if there is one; whoever watches does not know yet.
    fn die(&mut self, slot: usize, exit: WorkerExit) {
        if let Some(process) = &mut self.slots[slot].process
            && process.ended.is_none()
        {
            self.totals.deaths += 1;
            process.ended = Some(exit);
        }
    }

    /// The slot's thread goes on with what its lifecycle asks for.
    fn slot_moves(&mut self, index: usize) {
        let is_rough = self.is_rough;
        let slot = &mut self.slots[index];
        let event = match slot.action {
            Action::Start if self.is_closing && slot.process.is_none() => Event::ShutDown,
            Action::Start => match &mut slot.process {
                None if self.doomed == Some(index) && self.totals.jobs > 0 => Event::Failed,
                None if is_rough && self.random.once_in(self.failing_starts) => Event::Failed,
                None => {
                    slot.process = Some(Process::new());
                    return;
                }
                Some(_) if self.is_closing => Event::ShutDown,
                Some(Process { ended: Some(_), .. }) => match self.bury(index) {
                    WorkerExit::Signal { number, .. } if number == Signal::SIGKILL as i32 => Event::Killed,
                    _ => Event::Failed,
                },
                Some(process) => {
                    process.is_ready = true;
                    process.running = 0;
                    Event::Ready
                }
            },
            Action::Watch if self.is_closing => Event::ShutDown,
            Action::Watch => {
                if slot.process.as_ref().is_none_or(|process| process.ended.is_none()) {
                    return;
                }
                self.bury(index);
                Event::Ended
            }
            Action::Wait(_) if self.is_closing => Event::ShutDown,
            Action::Wait(_) => Event::DelayOver,
            Action::End => {
                // Asked first, killed after the grace period.
                let kill = self.random.once_in(4);
                let Some(process) = &slot.process else {
                    return self.advance_slot(index, Event::Ended);
                };
                match (&process.ended, kill) {
                    (Some(_), _) => {
                        self.bury(index);
                        Event::Ended
                    }
                    (None, true) => return self.die(index, signal(Signal::SIGKILL)),
                    (None, false) => return,
                }
            }
            Action::GiveUp => {
                if !slot.is_given_up {
                    slot.is_given_up = true;
                    self.totals.given_up += 1;
                    if self.is_broken() {
                        self.cancel();
                    }
                }
                if !self.is_closing {
                    return;
                }
                Event::ShutDown
            }
            Action::Finish => return,
        };
        self.advance_slot(index, event);
    }

    fn advance_slot(&mut self, index: usize, event: Event) {
        let slot = &mut self.slots[index];
        slot.action = slot.life.step(event);
        let has_process = slot.process.is_some();
        match slot.action {
            Action::Start | Action::Wait(_) | Action::GiveUp | Action::Finish => {
                assert!(!has_process, "{:?}", slot.action)
            }
            Action::Watch => assert!(has_process),
            Action::End => {}
        }
    }

    /// Waits for a dead process and sweeps its block, as `sweep::sweep` does.
    fn bury(&mut self, index: usize) -> WorkerExit {
        let process = self.slots[index].process.take().expect("there is a process to bury");
        let exit = process.killed_for.or(process.ended).expect("it has ended");
        let ledger = Ledger::new(&self.words[..self.tempers.len()], self.sequence);
        let (seen, rows, staging) = (&mut self.seen, &mut self.rows, self.slots[index].staging);
        let (cause, _) = diagnose(&Facts::of_nothing_but(&exit));
        let mut n_freed = 0;
        ledger.sweep(index, |block, word| {
            let truth = process.held.filter(|&(held, ..)| held == block).expect("only what it held is swept");
            if word.state() == State::Staged {
                rows[block] = staging;
                seen[block].n_applied += 1;
                return word.with_state(State::Done);
            }
            let had_begun = process.running == word.with_state(State::Claimed).bits();
            // What the observer knows without any cell.
            assert_eq!(had_begun, matches!(truth.2, Step::Run(_) | Step::Return), "{:?}", truth.2);
            let own_doing =
                !matches!(exit, WorkerExit::Signal { number, .. } if number == Signal::SIGKILL as i32);
            if own_doing && had_begun {
                seen[block].charged += 1;
            } else {
                seen[block].external += 1;
            }
            seen[block].past_deadline |= exit == WorkerExit::PastDeadline;
            let next = judge(word, &cause, had_begun, ATTEMPTS);
            n_freed += usize::from(next.state() == State::Free);
            next
        });
        if self.is_cancelled {
            ledger.cancel();
        }
        self.rescan += u32::from(n_freed > 0);
        exit
    }

    /// As `monitor::enforce`.
    fn monitor_ticks(&mut self) {
        let ledger = Ledger::new(&self.words[..self.tempers.len()], self.sequence);
        self.age += 1;
        if self.deadline_ticks.is_some_and(|limit| self.age > limit) {
            self.is_past_deadline = true;
            self.is_cancelled = true;
            ledger.cancel();
        }
        for block in 0..self.tempers.len() {
            let word = ledger.load(block);
            if !matches!(word.state(), State::Claimed | State::Staged) {
                self.observed[block] = None;
                continue;
            }
            let ticks = match self.observed[block] {
                Some((seen, ticks)) if seen == word => ticks + 1,
                _ => 0,
            };
            self.observed[block] = Some((word, ticks));
            let timed_out = self.block_ticks.is_some_and(|limit| ticks > limit);
            let reason = match (self.is_past_deadline, timed_out) {
                (true, _) => WorkerExit::PastDeadline,
                (_, true) => WorkerExit::TimedOut(Duration::from_secs(1)),
                _ => continue,
            };
            let condemned = word.with_state(State::Condemned);
            if word.state() == State::Claimed && ledger.advance(block, word, condemned).is_err() {
                continue;
            }
            // The slot is locked, and the word was seen again: it is this very process that holds the block.
            if let Some(process) = &mut self.slots[word.worker()].process {
                process.killed_for.get_or_insert(reason);
                if process.ended.is_none() {
                    self.totals.deaths += 1;
                    process.ended = Some(signal(Signal::SIGKILL));
                }
            }
        }
    }

    /// As `Core::wake_for_free_blocks`, whose wake-ups nobody needs here.
    fn caller_looks(&mut self) {
        let ledger = self.ledger();
        let free: Vec<_> = (0..self.n_blocks()).filter_map(|block| ledger.peek_free(block)).collect();
        if free.is_empty() {
            return;
        }
        self.rescan += 1;
        let on_its_way =
            |slot: &Slot| !slot.is_given_up && slot.process.as_ref().is_none_or(|process| !process.is_ready);
        if free.iter().any(|word| word.charged() == 0) || self.slots.iter().any(on_its_way) {
            return;
        }
        let mut serving = self.slots.iter_mut().filter_map(|slot| slot.process.as_mut()).collect::<Vec<_>>();
        if serving.iter().any(|process| process.n_begun == 0 || process.must_retire) {
            return;
        }
        if let Some(idle) = serving.iter_mut().find(|process| process.running == 0) {
            idle.must_retire = true;
        }
    }

    /// Runs one job to its end and compares every block with what the observer saw.
    fn run_job(&mut self) {
        self.publish();
        if self.is_broken() {
            self.cancel();
        }
        let most = self.random.pick(&[1, 30, 300, 3_000]);
        let rough_moves = self.random.below(most);
        for n_moves in 0.. {
            if self.ledger().first_unfinished(0) == self.n_blocks() {
                break;
            }
            self.is_rough = n_moves < rough_moves;
            assert!(n_moves < rough_moves + PATIENCE, "the job does not end: {:?}", self.words_now());
            self.make_a_move();
        }
        self.judge_job();
    }

    fn words_now(&self) -> Vec<BlockWord> {
        (0..self.n_blocks()).map(|block| self.ledger().load(block)).collect()
    }

    fn shut_down(&mut self) {
        self.is_closing = true;
        self.cancel();
        for _ in 0..PATIENCE {
            if self.slots.iter().all(|slot| slot.action == Action::Finish) {
                break;
            }
            self.make_a_move();
        }
        for slot in &self.slots {
            assert!(
                slot.action == Action::Finish && slot.process.is_none(),
                "a slot does not end: {:?}",
                slot.life
            );
        }
        assert_eq!(self.ledger().first_unfinished(0), self.n_blocks(), "a block is held by nobody");
    }
}

fn signal(signal: Signal) -> WorkerExit {
    WorkerExit::Signal { number: signal as i32, core_dumped: false }
}

fn out_of(block: usize) -> u64 {
    1_000 + block as u64
}

fn result_of(block: usize) -> u64 {
    100 + block as u64
}

/// Lives through a few jobs in one pool, and ends it after them or in the middle of one.
fn live(seed: u64) -> Totals {
    let mut world = World::new(seed);
    for _ in 0..world.random.below(4) + 1 {
        world.run_job();
    }
    if world.random.once_in(2) {
        world.publish();
        for _ in 0..world.random.below(300) {
            world.make_a_move();
        }
    }
    world.shut_down();
    world.totals
}

#[test]
fn every_block_is_applied_once_or_told_of_in_any_order_of_events() {
    let n_worlds = std::env::var("NDPOOL_TEST_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut all = Totals::default();
    for seed in 0..n_worlds {
        let totals = std::panic::catch_unwind(|| live(seed)).unwrap_or_else(|panic| {
            eprintln!("in the world of seed {seed}");
            std::panic::resume_unwind(panic)
        });
        all.add(totals);
    }
    println!("{n_worlds} worlds: {all:?}");
    // Chance has been everywhere.
    assert!(all.done > 0 && all.failed > 0 && all.not_run > 0 && all.given_up > 0, "{all:?}");
}
