use crate::shared;
use crate::tasks::*;
use ndarray::prelude::*;
use ndpool::{Backing, Error, ErrorKind, Pool, SharedArray, Stderr};
use ndpool_tests::{Gate, wait_until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// One program.
pub struct Scenario {
    pub name: &'static str,
    play: fn(),
    /// Whether its processes are no pool's: whoever passes a point dies.
    pub is_shared: bool,
    /// Points at which it has processes killed of its own accord, as `NDPOOL_KILL` has them, without the files.
    pub prelude: &'static [&'static str],
    pub end: End,
}

/// How a player ends if nobody kills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    WithSuccess,
    BySignal(i32),
}

/// All there are, the cheapest first: each point is tried in the first that passes it.
pub const ALL: &[Scenario] = &[
    Scenario { name: "arrays", play: arrays, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario { name: "single", play: single, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario { name: "memfd", play: memfd, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario { name: "file", play: file, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario {
        name: "deaths",
        play: deaths,
        is_shared: false,
        prelude: &["commit.array_half_written:1:worker", "spill.written:1:worker"],
        end: End::WithSuccess,
    },
    Scenario { name: "retirement", play: retirement, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario { name: "limits", play: limits, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario {
        name: "condemnation",
        play: condemnation,
        is_shared: false,
        prelude: &["condemn.word:1:until=block.condemned"],
        end: End::WithSuccess,
    },
    Scenario { name: "room", play: room, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario { name: "way", play: way, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario { name: "queue", play: queue, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario { name: "exit", play: exit, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario {
        name: "signal",
        play: signal,
        is_shared: false,
        prelude: &[],
        end: End::BySignal(libc::SIGTERM),
    },
    Scenario { name: "reaper", play: reaper, is_shared: false, prelude: &[], end: End::WithSuccess },
    Scenario {
        name: "poison",
        play: poison,
        is_shared: false,
        prelude: &["task.during:every:worker"],
        end: End::WithSuccess,
    },
    Scenario {
        name: "staged",
        play: staged,
        is_shared: false,
        prelude: &["commit.staged:every:worker"],
        end: End::WithSuccess,
    },
    Scenario {
        name: "late-reaper",
        play: late_reaper,
        // The second manifest that is opened is the one at home.
        is_shared: false,
        prelude: &["reap.opened:2:until="],
        end: End::WithSuccess,
    },
    Scenario {
        name: "orphans",
        play: orphans,
        is_shared: false,
        prelude: &["task.running:1:supervisor"],
        end: End::BySignal(libc::SIGKILL),
    },
    Scenario {
        name: "shared-lives",
        play: shared::lives,
        is_shared: true,
        prelude: &[],
        end: End::WithSuccess,
    },
    Scenario {
        name: "shared-buffers",
        play: shared::buffers,
        is_shared: true,
        prelude: &[],
        end: End::WithSuccess,
    },
    Scenario {
        name: "shared-frames",
        play: shared::frames,
        is_shared: true,
        prelude: &[],
        end: End::WithSuccess,
    },
    Scenario {
        name: "shared-mutexes",
        play: shared::mutexes,
        is_shared: true,
        prelude: &[],
        end: End::WithSuccess,
    },
    Scenario {
        name: "shared-events",
        play: shared::events,
        is_shared: true,
        prelude: &[],
        end: End::WithSuccess,
    },
    Scenario {
        name: "shared-heirs",
        play: shared::heirs,
        is_shared: true,
        prelude: &[
            "shared.pin.taken:2:self",
            "shared.pin.taken:3:until=shared.commit.done",
            "shared.write.stamped:4:self",
        ],
        end: End::WithSuccess,
    },
    Scenario {
        name: "shared-bequests",
        play: shared::bequests,
        is_shared: true,
        prelude: &["shared.lock.taken:3:self", "shared.lock.taken:5:self"],
        end: End::WithSuccess,
    },
    Scenario {
        name: "shared-queues",
        play: shared::queues,
        is_shared: true,
        prelude: &["shared.wait.sleep:1:until=shared.lock.give_back"],
        end: End::WithSuccess,
    },
    Scenario { name: "server", play: shared::servers, is_shared: true, prelude: &[], end: End::WithSuccess },
    Scenario {
        name: "server-successors",
        play: shared::successors,
        is_shared: true,
        prelude: &["server.item.published:1:self", "shared.swap.waiting:1:self"],
        end: End::WithSuccess,
    },
];

impl Scenario {
    /// Whether its workers die so often that no more deaths are tried in it.
    pub fn is_deadly(&self) -> bool {
        self.prelude.iter().any(|point| point.contains(":every:"))
    }
}

pub fn find(name: &str) -> &'static Scenario {
    ALL.iter().find(|scenario| scenario.name == name).unwrap_or_else(|| panic!("no scenario {name}"))
}

/// Plays one, and checks in the end that this process holds nothing of it any more.
pub fn play(name: &str) {
    if name == "corpse" {
        return corpse();
    }
    if shared::play_part(name) {
        return;
    }
    let scenario = find(name);
    let before = holdings();
    (scenario.play)();
    // A thread that waited for the hello of a worker that then died may still be about to end.
    let start = Instant::now();
    while holdings() != before && start.elapsed() < Duration::from_secs(10) {
        std::thread::yield_now();
    }
    assert_eq!(holdings(), before, "descriptors and mappings of segments after the pool");
}

/// Descriptors of this process, and its mappings of segments.
fn holdings() -> (Vec<String>, Vec<String>) {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    let descriptors = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    // The one by which the directory is read is gone by now, but its number and name are not.
    let own = format!("/proc/{}/fd", std::process::id());
    let mut descriptors: Vec<_> =
        descriptors.map(|path| path.display().to_string()).filter(|path| *path != own).collect();
    descriptors.sort();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    (descriptors, maps.lines().filter(|line| line.contains("ndpool.")).map(str::to_owned).collect())
}

/// Two workers that go to sleep soon: others run at the same time.
fn pool(backing: Backing) -> Pool {
    builder(2).backing(backing).build().unwrap()
}

fn builder(workers: usize) -> ndpool::Builder {
    Pool::builder().workers(workers).stderr(Stderr::Keep).idle_spin(Duration::from_micros(50))
}

/// Where named segments lie.
pub const SHARED_MEMORY: &str = "/dev/shm";
/// How much of it a run has to itself, where it may.
pub const ROOM_BYTES: usize = 32 << 20;

/// Directory of this run.
pub fn directory() -> PathBuf {
    std::env::temp_dir()
}

const SHAPE: (usize, usize) = (12, 8);

/// Two steps on two arrays, checked bit for bit.
pub fn steps(pool: &Pool) -> SharedArray<u64, Ix2> {
    let start = Array2::from_shape_fn(SHAPE, |(i, j)| (i * 31 + j) as u64);
    let (mut x_here, mut y_here) = (start.clone(), Array2::zeros(SHAPE));
    let mut x = pool.from_array(&start).unwrap();
    let mut y = pool.zeros::<u64, _>(SHAPE).unwrap();
    // The second job's blocks are larger: staging buffers grow.
    for (k, block_rows) in [(7, 2), (11, 3)] {
        let sum = pool.run(step(k, &mut x, &mut y).block_rows(block_rows)).unwrap();
        assert_eq!(sum.0, step_here(k, &mut x_here, &mut y_here), "sum of step {k}");
        assert_eq!(x.view(), x_here, "first array after step {k}");
        assert_eq!(y.view(), y_here, "second array after step {k}");
    }
    y
}

/// Results that lie in their slots, and results that do not.
fn maps(pool: &Pool) {
    let lengths = [1, 4000, 2, 3, 5000, 0];
    let results: Vec<_> = pool.map(lengths.map(numbers)).collect::<Result<_, _>>().unwrap();
    for (result, n) in results.into_iter().zip(lengths) {
        assert_eq!(result, (0..n as u64).map(|i| i * i).collect::<Vec<_>>());
    }
    assert_eq!(pool.run(numbers(4500)).unwrap().len(), 4500);
}

/// The whole life of an array, and its jobs.
fn arrays() {
    let pool = pool(Backing::Named);
    let y = steps(&pool);
    let mut z = pool.full(SHAPE, 9_u64).unwrap();
    pool.run(square(&y, &mut z).block_rows(3)).unwrap();
    assert_eq!(z.view(), y.view().mapv(|y| y * y + 1));
    assert_eq!(pool.run(total(&z).block_rows(2)).unwrap().0, z.view().sum());
    let path = directory().join("saved.npy");
    std::fs::write(&path, OLD_FILE).unwrap();
    z.save_npy(&path).unwrap();
    assert_eq!(pool.load_npy::<u64, Ix2>(&path).unwrap().view(), z.view());
    drop(z);
    // Many results that are spilled, and taken only when all are there.
    let expected: Vec<u64> =
        (0..6).flat_map(|b| (0..2000).map(move |i| (b, i))).map(|(b, i)| i ^ y.view()[[2 * b, 1]]).collect();
    assert!(pool.run(many(&y).block_rows(2)).unwrap().0 == expected);
    // The memory of the one that was dropped.
    assert_eq!(pool.zeros::<u64, _>(SHAPE).unwrap().view().sum(), 0);
}

/// A pool of one.
fn single() {
    let pool = builder(1).build().unwrap();
    drop(steps(&pool));
}

/// What is saved over.
pub const OLD_FILE: &[u8] = b"old";

fn memfd() {
    let pool = pool(Backing::Memfd);
    drop(steps(&pool));
    maps(&pool);
}

fn file() {
    let arrays = directory().join("arrays");
    std::fs::create_dir_all(&arrays).unwrap();
    drop(steps(&pool(Backing::File(arrays))));
}

/// A worker dies while it writes back, and one with a result that was spilled.
fn deaths() {
    let pool = pool(Backing::Named);
    drop(steps(&pool));
    maps(&pool);
    assert!(pool.stats().blocks_finished > 0);
}

/// A block that was the end of its worker, and no worker left that is fresh: one is replaced.
fn retirement() {
    let gate = Gate::new();
    let pool = builder(1).build().unwrap();
    let mut x = pool.zeros::<u64, _>(3).unwrap();
    let mut y = pool.zeros::<u64, _>(1).unwrap();
    let first = pool.submit(increment(gate.name(), &mut x).block_rows(1)).unwrap();
    let second = pool.submit(increment_at_second_attempt(&mut y)).unwrap();
    gate.open();
    first.join().unwrap();
    second.join().unwrap();
    assert_eq!((x.view().sum(), y.view().sum()), (3, 1));
}

/// Jobs that do not end well say exactly which blocks were applied.
fn limits() {
    let pool = pool(Backing::Named);
    let limit = Duration::from_millis(40);

    let mut x = pool.zeros::<u64, _>(4).unwrap();
    // On a busy machine a block that does not hang may run past the limit too.
    let call = increment_or_hang(1, 1, &mut x).block_rows(1).attempts(31);
    pool.run(call.block_timeout(limit)).unwrap();
    assert_eq!(x.view(), array![1, 1, 1, 1], "after a block that hung once");

    let error = pool.run(increment_or_hang(2, u32::MAX, &mut x).block_rows(1).deadline(limit)).unwrap_err();
    assert!(applied_as_said(&x, 1, &error, ErrorKind::Deadline).contains(&2));

    let mut x = pool.zeros::<u64, _>(4).unwrap();
    let error = pool.run(increment_or_fail(3, &mut x).block_rows(1)).unwrap_err();
    assert_eq!(applied_as_said(&x, 0, &error, ErrorKind::Task), [3]);

    let gate = Gate::new();
    let mut x = pool.zeros::<u64, _>(6).unwrap();
    let job = pool.submit(increment(gate.name(), &mut x).block_rows(1)).unwrap();
    gate.wait_for(2);
    job.cancel();
    gate.open();
    let error = job.join().unwrap_err();
    // Those at the gate were begun, unless a worker died there: then they were not.
    assert!(applied_as_said(&x, 0, &error, ErrorKind::Cancelled).len() >= 4);

    // A handle that is dropped: what was not begun is not run, and the array waits for what was.
    let mut x = pool.zeros::<u64, _>(4).unwrap();
    drop(pool.submit(increment("", &mut x).block_rows(1)).unwrap());
    assert!(x.view().iter().all(|x| [0, 1].contains(x)), "{x:?}");

    // A job that does not end, and a pool that does.
    let never = Gate::new();
    let short = builder(1).shutdown_grace(Duration::ZERO).build().unwrap();
    let mut x = short.zeros::<u64, _>(2).unwrap();
    let job = short.submit(increment(never.name(), &mut x).block_rows(1)).unwrap();
    never.wait_for(1);
    drop(short);
    let error = job.join().unwrap_err();
    assert_eq!(applied_as_said(&x, 0, &error, ErrorKind::Shutdown), [0, 1]);
}

/// Checks that the blocks of one row that an error calls not applied have their old value, and that all others have one more.
fn applied_as_said(x: &SharedArray<u64, Ix1>, old: u64, error: &Error, kind: ErrorKind) -> Vec<usize> {
    assert_eq!(error.kind(), kind, "{error}");
    let blocks = error.failed_blocks();
    assert!(blocks.torn.is_empty() && blocks.n_blocks == x.len(), "{blocks:?}");
    let missing = blocks.not_applied();
    let expected: Array1<u64> = (0..x.len()).map(|i| old + u64::from(!missing.contains(&i))).collect();
    assert_eq!(x.view(), expected, "{error}, {blocks:?}");
    missing
}

/// A block that is condemned as its task ends: too late, since its worker will be killed.
fn condemnation() {
    let pool = pool(Backing::Named);
    let mut x = pool.zeros::<u64, _>(1).unwrap();
    // The monitor has condemned the block when it passes the point at which it has to wait.
    let condemned = prelude_file(0);
    let call = increment_after(condemned.to_str().unwrap(), &mut x);
    pool.run(call.attempts(31).block_timeout(Duration::from_millis(40))).unwrap();
    assert_eq!(x.view(), array![1]);
}

/// Where the hits of a point of the prelude are counted.
pub fn prelude_file(index: usize) -> PathBuf {
    prelude_file_in(&directory(), index)
}

/// As [`prelude_file`], in the directory of another run.
pub fn prelude_file_in(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("prelude{index}"))
}

/// A task that is the end of every worker, from outside: given up in the end, and nothing of it is applied.
fn poison() {
    let pool = pool(Backing::Named);
    let mut x = pool.full(SHAPE, 3_u64).unwrap();
    let mut y = pool.full(SHAPE, 4_u64).unwrap();
    let error = pool.run(step(1, &mut x, &mut y).block_rows(SHAPE.0 / 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let blocks = error.failed_blocks();
    assert!(blocks.failed.iter().cloned().flatten().eq(0..2) && blocks.not_applied() == [0, 1], "{blocks:?}");
    assert!(x.view().iter().all(|x| *x == 3) && y.view().iter().all(|y| *y == 4), "{x:?}\n{y:?}");
    pool.run(square(&x, &mut y)).unwrap();
    assert!(y.view().iter().all(|y| *y == 10), "{y:?}");
}

/// Workers that all die with a staged block: each is finished by the supervisor, and none is run twice.
fn staged() {
    let pool = pool(Backing::Named);
    drop(steps(&pool));
    assert_eq!((pool.stats().blocks_finished, pool.stats().blocks_redone), (10, 0));
}

/// A result that finds no room while another block is held: its block is given back until there is some.
fn room() {
    let pool = pool(Backing::Named);
    let gate = Gate::new();
    let mut x = pool.zeros::<u64, _>(2).unwrap();
    let mut other = pool.zeros::<u64, _>(1).unwrap();
    // Once, for all that it needs to be there.
    pool.run(increment("", &mut other)).unwrap();
    let filler = filler();
    let job = pool.submit(increment_with_result(gate.name(), ROOM_BYTES / 2, &mut x).block_rows(1)).unwrap();
    gate.wait_for(1);
    // The other worker has no block in hand any more, else it could not run this.
    pool.run(increment("", &mut other)).unwrap();
    drop(filler);
    gate.open();
    let result = job.join().unwrap().0;
    assert_eq!(result.iter().map(String::len).collect::<Vec<_>>(), [ROOM_BYTES / 2, 0]);
    assert_eq!((x.view(), other.view()[0]), (array![1, 1].view(), 2));
}

/// A file without a name that leaves less room than [`room`]'s result takes.
fn filler() -> std::fs::File {
    let path = Path::new(SHARED_MEMORY).join("filler");
    let file = std::fs::File::create_new(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let free = nix::sys::statvfs::fstatvfs(&file).unwrap();
    let free_bytes = free.blocks_free() as usize * free.fragment_size() as usize;
    assert!(free_bytes <= ROOM_BYTES, "this scenario wants shared memory of its own, of {ROOM_BYTES} bytes");
    nix::fcntl::posix_fallocate(&file, 0, (free_bytes - ROOM_BYTES / 4) as i64).unwrap();
    file
}

/// A worker whose address space a task has used up makes way for a fresh one.
fn way() {
    // Arenas of their own, which the C library makes for threads, take and give back far more than the array.
    let pool = builder(1).env("MALLOC_ARENA_MAX", "1").build().unwrap();
    pool.run(use_up_address_space()).unwrap();
    let mut x = pool.zeros::<u64, _>(LARGE_BYTES / 8).unwrap();
    pool.run(increment("", &mut x).block_rows(LARGE_BYTES / 32)).unwrap();
    assert!(x.view().iter().all(|x| *x == 1));
}

/// More jobs than can be open at a time.
fn queue() {
    let gate = Gate::new();
    let pool = pool(Backing::Named);
    let mut arrays: Vec<_> = (0..67).map(|_| pool.zeros::<u64, _>(1).unwrap()).collect();
    let mut jobs: Vec<_> =
        arrays.iter_mut().map(|x| pool.submit(increment(gate.name(), x)).unwrap()).collect();
    let last = jobs.pop().unwrap();
    last.cancel();
    gate.open();
    assert_eq!(last.join().unwrap_err().kind(), ErrorKind::Cancelled);
    jobs.into_iter().for_each(|job| job.join().unwrap());
    let values: Vec<u64> = arrays.iter().map(|x| x.view()[0]).collect();
    assert_eq!((values[..66].iter().sum(), values[66]), (66, 0));
}

/// A program that ends with a job, an array and its pool forgotten.
fn exit() {
    let pool = pool(Backing::Named);
    let mut x = pool.zeros::<u64, _>(4).unwrap();
    std::mem::forget(pool.submit(increment("", &mut x).block_rows(1)).unwrap());
    assert_eq!(x.view(), array![1, 1, 1, 1], "after a forgotten job");
    std::mem::forget(steps(&pool));
    std::mem::forget(pool);
    std::process::exit(0);
}

/// A program that is asked to end.
fn signal() {
    let pool = builder(2).handle_signals(true).build().unwrap();
    let _kept = steps(&pool);
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
    loop {
        std::thread::park();
    }
}

/// A program that removes what another left, which died before it had workers.
fn reaper() {
    let pool = pool(Backing::Named);
    make_corpse();
    let reaped = ndpool::reap(false).unwrap();
    assert_eq!(reaped.len(), 2, "{reaped:?}");
    assert_eq!(ndpool::list().unwrap().len(), 1, "the living stay");
    drop(steps(&pool));
}

/// As [`reaper`], but somebody looks at one of the manifests of the dead meanwhile, so that it seems alive at first.
fn late_reaper() {
    let pool = pool(Backing::Named);
    make_corpse();
    let looked_at = names_of_manifests(&directory().join("arrays")).pop().unwrap();
    let file = std::fs::File::open(looked_at).unwrap();
    file.lock_shared().unwrap();
    let looker = std::thread::spawn(move || {
        let hits = prelude_file(0);
        wait_until(|| std::fs::metadata(&hits).is_ok_and(|found| found.len() >= 2));
        drop(file);
        std::fs::write(hits.with_extension("go"), "").unwrap();
    });
    let reaped = ndpool::reap(false).unwrap();
    looker.join().unwrap();
    assert_eq!(reaped.len(), 1, "{reaped:?}");
    assert_eq!(ndpool::list().unwrap().len(), 1, "the living stay");
    drop(steps(&pool));
}

fn names_of_manifests(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().is_some_and(|path| path.ends_with("manifest"))).collect()
}

/// Starts a program that dies before it has workers.
fn make_corpse() {
    let mut corpse = Command::new("/proc/self/exe");
    corpse.args(["play", "corpse"]).env_remove("NDPOOL_KILL_TRACE");
    let hits = directory().join("corpse.hits");
    corpse.env("NDPOOL_KILL", format!("start_pool.memory_made:1:supervisor:{}", hits.display()));
    assert!(!corpse.status().unwrap().success());
}

fn corpse() {
    let arrays = directory().join("arrays");
    std::fs::create_dir_all(&arrays).unwrap();
    drop(steps(&pool(Backing::File(arrays))));
    unreachable!("it dies");
}

/// A program that is killed, and whose workers clean up.
fn orphans() {
    let arrays = directory().join("arrays");
    std::fs::create_dir_all(&arrays).unwrap();
    drop(steps(&pool(Backing::File(arrays))));
    // The signal is on its way.
    loop {
        std::thread::park();
    }
}
