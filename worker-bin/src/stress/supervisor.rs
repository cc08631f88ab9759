//! A supervisor of the soak: a process that builds pools and gives them jobs until it is told to end, or killed.
//!
//! It obeys three lines on stdin, and ends with it: `quiet` has it drop its pool and wait, `go` has it go on, `fault` has it
//! expect something wrong once. What it does is a function of the seed, its number and how often it was started before.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ndpool::{Backing, Error, Pool, Stats, Stderr};
use nix::sys::signal::Signal;

use super::chance::Chance;
use super::exact::is_weather;
use super::holdings::Holdings;
use super::jobs::{PLAYS, Scene, check_saved, pool_dropped};
use super::report::{Counts, Desk, Held, Report, Verdict};
use crate::args::SupervisorArgs;
use crate::failure::Failure;

/// How long one step may take, in time that this process was not stopped, before it is a hang. No step comes near it.
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(100);
/// Pools whose memory may stay because a handle was forgotten, before this process makes room for its successor.
const MAX_FORGOTTEN: u32 = 4;
/// What may come and go: allocators keep some, threads have stacks.
const SLACK: Holdings = Holdings { descriptors: 12, mappings: 64, rss_kib: 128 << 10 };
/// What a worker may have: its caches of mappings are bounded.
const WORKER_LIMIT: Holdings =
    Holdings { descriptors: 64, mappings: 512 * 3 + 128 * 3 + 400, rss_kib: 512 << 10 };

/// What the director wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Go,
    Quiet,
    End,
}

#[derive(Debug)]
struct Orders {
    order: Mutex<Order>,
    changed: Condvar,
    fault: AtomicBool,
}

impl Orders {
    fn now(&self) -> Order {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, order: Order) {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = order;
        self.changed.notify_all();
    }

    fn wait_while_quiet(&self) {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(order, |order| *order == Order::Quiet));
    }

    fn listen(&self) {
        for line in std::io::stdin().lock().lines() {
            match line.as_deref() {
                Ok("quiet") => self.set(Order::Quiet),
                Ok("go") => self.set(Order::Go),
                Ok("fault") => self.fault.store(true, Ordering::Relaxed),
                _ => break,
            }
        }
        self.set(Order::End);
    }
}

/// Which step is under way, and for how long, on a clock that stands still while this process is stopped.
#[derive(Debug, Default)]
struct Step {
    name: Mutex<String>,
    number: AtomicU64,
}

impl Step {
    fn begin(&self, name: impl Into<String>) {
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name.into();
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells that this process lives, and if a step does not end.
    fn watch(&self, desk: &Desk) {
        let (mut number, mut age, mut since_pulse) = (0, Duration::ZERO, Duration::ZERO);
        let mut last = Instant::now();
        loop {
            std::thread::sleep(TICK);
            let tick = last.elapsed().min(2 * TICK);
            last = Instant::now();
            let now = self.number.load(Ordering::Relaxed);
            if now != number {
                (number, age) = (now, Duration::ZERO);
            }
            let was = age;
            age += tick;
            if was < PATIENCE && age >= PATIENCE {
                let name = self.name.lock().unwrap_or_else(PoisonError::into_inner).clone();
                desk.tell(&Report::Hang(format!("no end of {name} after {PATIENCE:?}")));
            }
            since_pulse += tick;
            if since_pulse >= Duration::from_secs(1) {
                since_pulse = Duration::ZERO;
                desk.tell(&Report::Pulse);
            }
        }
    }
}

/// `ndpool stress-supervisor`, which the soak starts.
pub fn run(args: &SupervisorArgs) -> Result<(), Failure> {
    // It goes with the director, however that ends.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    if nix::unistd::getppid().as_raw() as u32 != args.director {
        return Ok(());
    }
    let orders = Arc::new(Orders {
        order: Mutex::new(Order::Go),
        changed: Condvar::new(),
        fault: AtomicBool::new(false),
    });
    let (desk, step) = (Arc::new(Desk::default()), Arc::new(Step::default()));
    {
        let orders = Arc::clone(&orders);
        std::thread::spawn(move || orders.listen());
        let (desk, step) = (Arc::clone(&desk), Arc::clone(&step));
        std::thread::spawn(move || step.watch(&desk));
    }
    let chance = Chance::new(args.seed, &[1, args.index, args.start]);
    Supervisor { args, orders: &orders, desk: &desk, step: &step, chance, baseline: None, n_forgotten: 0 }
        .live();
    Ok(())
}

struct Supervisor<'s> {
    args: &'s SupervisorArgs,
    orders: &'s Orders,
    desk: &'s Desk,
    step: &'s Step,
    chance: Chance,
    /// Holdings after a pool.
    baseline: Option<Holdings>,
    n_forgotten: u32,
}

impl Supervisor<'_> {
    fn live(&mut self) {
        let mut is_first = true;
        while self.n_forgotten < MAX_FORGOTTEN {
            match self.orders.now() {
                Order::End => return,
                Order::Quiet => {
                    self.desk.tell(&Report::Quiet);
                    self.orders.wait_while_quiet();
                }
                Order::Go => {
                    self.step.begin("the start of a pool");
                    if let Some(pool) = self.build() {
                        let pool = Arc::new(pool);
                        if std::mem::take(&mut is_first) {
                            self.look_at_saved(&pool);
                        }
                        self.use_up(pool);
                    }
                    self.step.begin("waiting");
                }
            }
        }
    }

    fn build(&mut self) -> Option<Pool> {
        let segments = self.segments();
        let chance = &mut self.chance;
        let backing = match chance.within(0..5) {
            0 | 1 => Backing::Named,
            2 => Backing::Memfd,
            3 => Backing::File(segments),
            _ => Backing::Auto,
        };
        let mut builder = Pool::builder()
            .workers(chance.index(1..5))
            .backing(backing)
            // What workers say as they die is not of interest here.
            .stderr(Stderr::Keep)
            .shutdown_grace(chance.millis(20..500));
        if chance.one_in(4) {
            builder = builder.max_tasks_per_worker(chance.within(1..60));
        }
        match builder.build() {
            Ok(pool) => {
                // The run's digits are the second part of a name.
                let name = pool.zeros::<u8, _>(1).map(|byte| byte.segment_name()).unwrap_or_default();
                self.desk.tell(&Report::Pool(name.split('.').nth(1).unwrap_or_default().into()));
                Some(pool)
            }
            Err(error) => {
                self.desk.job("pool built", 0, self.weather_or_wrong(&error));
                std::thread::sleep(Duration::from_millis(20));
                None
            }
        }
    }

    fn weather_or_wrong(&self, error: &Error) -> Verdict {
        if is_weather(error, self.args.pressure) {
            Verdict::error(error, 0)
        } else {
            Verdict::wrong(format!("an error that nothing explains: {:?}: {error}", error.kind()))
        }
    }

    fn directory(&self) -> PathBuf {
        self.args.directory.join(self.args.index.to_string())
    }

    fn segments(&self) -> PathBuf {
        self.args.directory.join("segments")
    }

    fn look_at_saved(&self, pool: &Pool) {
        match check_saved(pool, &self.directory()) {
            Some(Verdict::Right) => self.desk.tell(&Report::Held(Held::Saved)),
            Some(verdict) => self.desk.job("saved before a kill", 0, verdict),
            None => {}
        }
    }

    /// Gives a pool some jobs, then ends it.
    fn use_up(&mut self, pool: Arc<Pool>) {
        self.desk.job("pool built", 0, Verdict::Right);
        let has_forgotten = AtomicBool::new(false);
        let mut counted = Stats::default();
        for _ in 0..self.chance.within(2..25) {
            if self.orders.now() != Order::Go {
                break;
            }
            self.turn(&pool, &has_forgotten);
            self.count(&mut counted, pool.stats());
        }
        self.look_at_workers(&pool);
        let directory = self.directory();
        if self.chance.one_in(2) {
            self.step.begin("the end of a pool with jobs in flight");
            let chance = Chance::new(self.chance.next(), &[]);
            pool_dropped(self.scene(chance, &directory, &has_forgotten), pool);
        } else {
            self.step.begin("the end of a pool");
            drop(pool);
        }
        if has_forgotten.into_inner() {
            self.n_forgotten += 1;
            self.baseline = None;
        } else {
            self.look_at_holdings();
        }
    }

    fn scene<'s>(&'s self, chance: Chance, directory: &'s Path, has_forgotten: &'s AtomicBool) -> Scene<'s> {
        let Self { desk, args, orders, .. } = self;
        let has_pressure = args.pressure;
        Scene { chance, desk, directory, has_pressure, fault: &orders.fault, has_forgotten }
    }

    /// One job, or several from several threads.
    fn turn(&mut self, pool: &Arc<Pool>, has_forgotten: &AtomicBool) {
        let n_threads = if self.chance.one_in(5) { 3 } else { 1 };
        let plays: Vec<Vec<usize>> = (0..n_threads)
            .map(|_| (0..n_threads).map(|_| self.chance.index(0..PLAYS.len())).collect())
            .collect();
        self.step.begin(format!("jobs {plays:?}"));
        let directory = self.directory();
        let chances: Vec<_> = plays.iter().map(|_| Chance::new(self.chance.next(), &[])).collect();
        let this = &*self;
        std::thread::scope(|scope| {
            for (plays, chance) in plays.into_iter().zip(chances) {
                let directory = &directory;
                scope.spawn(move || {
                    let mut scene = this.scene(chance, directory, has_forgotten);
                    plays.into_iter().for_each(|play| PLAYS[play](&mut scene, pool));
                });
            }
        });
    }

    fn count(&self, counted: &mut Stats, now: Stats) {
        self.desk.tell(&Report::Counts(Counts {
            workers_started: now.workers_started - counted.workers_started,
            workers_lost: now.workers_lost - counted.workers_lost,
            blocks_redone: now.blocks_redone - counted.blocks_redone,
            blocks_finished: now.blocks_finished - counted.blocks_finished,
        }));
        *counted = now;
    }

    fn look_at_workers(&self, pool: &Pool) {
        for pid in pool.worker_pids() {
            // One that was just killed is not to be seen.
            let Ok(holdings) = Holdings::of(pid) else { continue };
            if holdings.is_within(&Holdings { descriptors: 0, mappings: 0, rss_kib: 0 }, &WORKER_LIMIT) {
                self.desk.tell(&Report::Held(Held::Worker));
            } else {
                self.desk.tell(&Report::Leak(format!("a worker holds {holdings}")));
            }
        }
    }

    fn look_at_holdings(&mut self) {
        let Ok(now) = Holdings::of(std::process::id()) else { return };
        let before = *self.baseline.get_or_insert(now);
        if now.is_within(&before, &SLACK) {
            self.desk.tell(&Report::Held(Held::Supervisor));
        } else {
            self.desk
                .tell(&Report::Leak(format!("a supervisor without a pool held {before}, and now {now}")));
            // Told once.
            self.baseline = Some(now);
        }
    }
}
