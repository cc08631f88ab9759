//! Goal: a reader of a double buffer never sees parts of two frames, however slow it is, however fast the writer, and whoever of them is
//! killed at whichever instruction.
//!
//! Method: every word of a frame is the frame's number, so that a mixture shows. A writer publishes frames as fast as it can; readers of
//! several paces, each a process, look at every word of what they get. All are killed at random moments and started again. What they
//! counted lies in a file that all have mapped, so that the killed lose nothing. The same actors, with the same checks, use the plain
//! scheme of two buffers first: its mixtures are found within a fraction of a second, so the check can fail.
//!
//! `NDPOOL_TEST_LARGE=1` makes it 10⁸ reads, which should be a release build:
//! `NDPOOL_TEST_LARGE=1 cargo test --release --test frames_are_never_mixed -- --nocapture`

use std::fs::OpenOptions;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use ndarray::{Array1, Ix1};
use ndpool::ErrorKind;
use ndpool::shared::double_buffer::{Reader, Writer};
use ndpool::shared::{DoubleBuffer, Options};
use ndpool_tests::{Actor, Random, role, watchdog};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// One copy after the other.
    Fast,
    /// One copy after the other, through a handle that may only read.
    ReadOnly,
    /// Looks at what it is lent, lets others run, and looks again.
    Lingering,
    /// Sleeps until there is a new frame.
    Waiting,
    /// Lets others run after each.
    Slow,
}

const PACES: [Pace; 5] = [Pace::Fast, Pace::ReadOnly, Pace::Lingering, Pace::Waiting, Pace::Slow];

/// What an actor counts. Its words are only its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// Frames that were read and looked at.
    n_reads: u64,
    /// Frames with a word that was not the frame's number.
    n_mixtures: u64,
    /// Frames older than one that the same process has read before.
    n_backwards: u64,
    /// Reads that ended with [`ErrorKind::TooSlow`].
    n_too_slow: u64,
    /// Frames that were written between those read.
    n_missed: u64,
}

const N_COUNTS: usize = 5;

impl Counts {
    fn words(self) -> [u64; N_COUNTS] {
        [self.n_reads, self.n_mixtures, self.n_backwards, self.n_too_slow, self.n_missed]
    }

    fn of([n_reads, n_mixtures, n_backwards, n_too_slow, n_missed]: [u64; N_COUNTS]) -> Self {
        Self { n_reads, n_mixtures, n_backwards, n_too_slow, n_missed }
    }
}

/// Words of a file that all actors have mapped.
fn shared_words(path: &Path) -> &'static [AtomicU64] {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    let length = NonZeroUsize::new(len).unwrap();
    // SAFETY: no address is asked for, so nothing is replaced.
    let start = unsafe {
        mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &file, 0)
    };
    let start = start.unwrap().as_ptr().cast_const().cast::<AtomicU64>();
    // SAFETY: it was just mapped, is never unmapped, and begins with a page; every access to it is atomic.
    unsafe { std::slice::from_raw_parts(start, len / 8) }
}

/// What is under test, or is compared with it.
trait Scheme {
    fn create(directory: &Path, n_words: usize, n_buffers: usize) -> Self;
    fn attach(directory: &Path, pace: Option<Pace>) -> Self;
    /// Publishes the next frame.
    fn publish(&mut self);
    /// Reads a frame and calls `look`, perhaps more than once, with its number and its words.
    fn read(&mut self, pace: Pace, look: &mut dyn FnMut(u64, &[u64])) -> Result<(), ErrorKind>;
    /// Frames that were missed between the two last ones.
    fn missed(&self) -> u64;
}

/// The double buffer of the crate.
struct Ours {
    buffer: DoubleBuffer<u64, Ix1>,
    writer: Option<Writer<u64, Ix1>>,
    reader: Reader<u64, Ix1>,
    target: Array1<u64>,
}

impl Ours {
    fn new(buffer: DoubleBuffer<u64, Ix1>) -> Self {
        Self { reader: buffer.reader(), target: Array1::zeros(buffer.raw_dim()), writer: None, buffer }
    }
}

impl Scheme for Ours {
    fn create(directory: &Path, n_words: usize, n_buffers: usize) -> Self {
        let builder =
            DoubleBuffer::builder().buffers(n_buffers).options(&Options::new().directory(directory));
        Self::new(builder.create("ours", n_words).unwrap())
    }

    fn attach(directory: &Path, pace: Option<Pace>) -> Self {
        let options = Options::new().directory(directory).read_only(pace == Some(Pace::ReadOnly));
        Self::new(DoubleBuffer::attach_with(&options, "ours").unwrap())
    }

    fn publish(&mut self) {
        // The last one was waited for, so nobody else is the writer.
        let writer = self.writer.get_or_insert_with(|| self.buffer.writer().unwrap());
        let number = writer.number() + 1;
        let mut n_written = 0;
        writer.write(|mut frame| {
            // Forwards and backwards in turn: readers go forwards.
            let words = frame.as_slice_mut().unwrap();
            let fill = |word: &mut u64| *word = number;
            if number.is_multiple_of(2) {
                words.iter_mut().for_each(fill)
            } else {
                words.iter_mut().rev().for_each(fill)
            }
            n_written = words.len();
        });
        assert_eq!((writer.number(), n_written), (number, self.target.len()));
    }

    fn read(&mut self, pace: Pace, look: &mut dyn FnMut(u64, &[u64])) -> Result<(), ErrorKind> {
        let Self { reader, target, .. } = self;
        if pace == Pace::Lingering {
            let mut first = 0;
            let read = reader.read_with(|frame| {
                let words = frame.as_slice().unwrap();
                first = words[0];
                std::thread::yield_now();
                look(first, words);
            });
            read.map_err(|error| error.kind())?;
            if reader.number() != first {
                look(reader.number(), &[first]);
            }
            return Ok(());
        }
        if pace == Pace::Waiting {
            reader.wait_newer(reader.number(), Duration::from_millis(100));
        }
        let number = reader.read_into(target).map_err(|error| error.kind())?;
        look(number, target.as_slice().unwrap());
        Ok(())
    }

    fn missed(&self) -> u64 {
        self.reader.missed()
    }
}

/// Two buffers and the number of the last frame: the reader copies the one, the writer fills the other. Every access is atomic, and
/// as ordered as they can be.
struct Plain {
    words: &'static [AtomicU64],
    target: Vec<u64>,
}

impl Plain {
    fn attach(directory: &Path) -> Self {
        let words = shared_words(&directory.join("plain"));
        Self { words, target: vec![0; (words.len() - 1) / 2] }
    }

    fn frame(&self, number: u64) -> &'static [AtomicU64] {
        &self.words[1 + number as usize % 2 * self.target.len()..][..self.target.len()]
    }
}

impl Scheme for Plain {
    fn create(directory: &Path, n_words: usize, n_buffers: usize) -> Self {
        std::fs::write(directory.join("plain"), vec![0; 8 * (1 + n_buffers * n_words)]).unwrap();
        Self::attach(directory)
    }

    fn attach(directory: &Path, _pace: Option<Pace>) -> Self {
        Self::attach(directory)
    }

    fn publish(&mut self) {
        let number = self.words[0].load(Ordering::SeqCst) + 1;
        self.frame(number).iter().for_each(|word| word.store(number, Ordering::Release));
        self.words[0].store(number, Ordering::SeqCst);
    }

    fn read(&mut self, pace: Pace, look: &mut dyn FnMut(u64, &[u64])) -> Result<(), ErrorKind> {
        let number = self.words[0].load(Ordering::SeqCst);
        if pace != Pace::Fast {
            std::thread::yield_now();
        }
        let frame = self.frame(number);
        for (target, word) in self.target.iter_mut().zip(frame) {
            *target = word.load(Ordering::Acquire);
        }
        fence(Ordering::SeqCst);
        look(number, &self.target);
        Ok(())
    }

    fn missed(&self) -> u64 {
        0
    }
}

/// A reader's life.
fn read_for_ever<S: Scheme>(directory: &Path, slot: usize, pace: Pace) -> ! {
    let board = &shared_words(&directory.join("board"))[slot * N_COUNTS..][..N_COUNTS];
    let mut counts = Counts::of(std::array::from_fn(|i| board[i].load(Ordering::Relaxed)));
    let mut scheme = S::attach(directory, Some(pace));
    let mut last = 0;
    loop {
        let mut look = |number: u64, words: &[u64]| {
            counts.n_reads += 1;
            counts.n_backwards += u64::from(number < last);
            last = number;
            // No branch for each word: most of the time goes into the reading.
            counts.n_mixtures += u64::from(words.iter().fold(0, |or, word| or | (word ^ number)) != 0);
        };
        match scheme.read(pace, &mut look) {
            Ok(()) => counts.n_missed += scheme.missed(),
            Err(ErrorKind::TooSlow) => counts.n_too_slow += 1,
            Err(kind) => panic!("{kind:?}"),
        }
        if pace == Pace::Slow {
            std::thread::yield_now();
        }
        for (cell, count) in board.iter().zip(counts.words()) {
            cell.store(count, Ordering::Relaxed);
        }
    }
}

fn play<S: Scheme>(role: &str) -> ! {
    let mut parts = role.split('|');
    let (who, directory) = (parts.next().unwrap(), PathBuf::from(parts.next().unwrap()));
    let panics = &shared_words(&directory.join("board"))[N_COUNTS * PACES.len()];
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        panics.fetch_add(1, Ordering::Relaxed);
        hook(info);
    }));
    if who == "writer" {
        let mut scheme = S::attach(&directory, None);
        loop {
            scheme.publish();
        }
    }
    let slot: usize = parts.next().unwrap().parse().unwrap();
    read_for_ever::<S>(&directory, slot, PACES[slot % PACES.len()])
}

/// What came out of a run.
#[derive(Debug)]
struct Outcome {
    readers: Vec<Counts>,
    n_readers_killed: u64,
    n_writers_killed: u64,
    n_frames: u64,
    seconds: f64,
}

impl Outcome {
    fn sum(&self, count: impl Fn(&Counts) -> u64) -> u64 {
        self.readers.iter().map(count).sum()
    }
}

/// Has a writer and readers run, and kills them every few milliseconds, until it is enough.
fn direct<S: Scheme>(
    test: &str,
    n_words: usize,
    n_buffers: usize,
    longest_pause: Duration,
    is_enough: impl Fn(&Outcome) -> bool,
) -> Outcome {
    let directory = scratch_directory(test);
    std::fs::write(directory.join("board"), [0; 8 * (N_COUNTS * PACES.len() + 1)]).unwrap();
    let board = shared_words(&directory.join("board"));
    let (board, panics) = board.split_at(N_COUNTS * PACES.len());
    let mut watching = S::create(&directory, n_words, n_buffers);
    let writer = || Actor::start(test, &format!("writer|{}", directory.display()));
    let reader = |slot: usize| Actor::start(test, &format!("reader|{}|{slot}", directory.display()));
    let mut writing = writer();
    let mut reading: Vec<Actor> = (0..PACES.len()).map(reader).collect();
    let mut random = Random::new(n_words as u64);
    let start = Instant::now();
    let (mut n_readers_killed, mut n_writers_killed) = (0, 0);
    loop {
        std::thread::sleep(longest_pause.mul_f64(random.unit()));
        let readers: Vec<Counts> = board
            .chunks(N_COUNTS)
            .map(|words| Counts::of(std::array::from_fn(|i| words[i].load(Ordering::Relaxed))))
            .collect();
        assert_eq!(panics[0].load(Ordering::Relaxed), 0, "actors end by being killed alone");
        let mut n_frames = 0;
        let _ = watching.read(Pace::Fast, &mut |number, _| n_frames = number);
        let seconds = start.elapsed().as_secs_f64();
        let outcome = Outcome { readers, n_readers_killed, n_writers_killed, n_frames, seconds };
        if is_enough(&outcome) {
            drop((writing, reading));
            std::fs::remove_dir_all(directory).unwrap();
            return outcome;
        }
        // Killed and waited for, then started again.
        if random.below(0..3) == 0 {
            drop(writing);
            writing = writer();
            n_writers_killed += 1;
        } else {
            let slot = random.below(0..PACES.len() as u64) as usize;
            drop(std::mem::replace(&mut reading[slot], reader(slot)));
            n_readers_killed += 1;
        }
    }
}

/// A new directory in shared memory.
fn scratch_directory(test: &str) -> PathBuf {
    let directory = PathBuf::from(format!("/dev/shm/ndpool-test.{test}.{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    directory
}

#[test]
fn two_plain_buffers_are_mixed() {
    if let Some(role) = role() {
        play::<Plain>(&role);
    }
    let _watchdog = watchdog();
    let pause = Duration::from_millis(20);
    let outcome = direct::<Plain>("two_plain_buffers_are_mixed", 64, 2, pause, |outcome| {
        outcome.sum(|counts| counts.n_mixtures) > 0
    });
    println!(
        "two plain buffers: the first mixture after {:.2} s, in one of {} reads",
        outcome.seconds,
        outcome.sum(|counts| counts.n_reads)
    );
}

#[test]
fn frames_are_never_mixed() {
    const TEST: &str = "frames_are_never_mixed";
    if let Some(role) = role() {
        play::<Ours>(&role);
    }
    let is_large = std::env::var_os("NDPOOL_TEST_LARGE").is_some();
    let _watchdog = (!is_large).then(watchdog);
    // Words of a frame, how many buffers (two: nothing can be lent), and how many reads.
    let sizes = if is_large {
        [(8, 4, 50_000_000), (16, 3, 30_000_000), (64, 2, 25_000_000), (16_384, 3, 200_000)]
    } else {
        [(8, 4, 100_000), (16, 3, 100_000), (64, 2, 100_000), (16_384, 3, 1000)]
    };
    let (n_killed, pause) = if is_large { (100, 100) } else { (12, 20) };
    let mut n_reads = 0;
    for (n_words, n_buffers, wanted) in sizes {
        let outcome = direct::<Ours>(TEST, n_words, n_buffers, Duration::from_millis(pause), |outcome| {
            outcome.sum(|counts| counts.n_reads) >= wanted
                && outcome.readers.iter().all(|counts| counts.n_reads > 0)
                && outcome.n_readers_killed >= n_killed
                && outcome.n_writers_killed >= n_killed / 2
        });
        println!(
            "frames of {} bytes in {n_buffers} buffers: {} reads ({:?} by pace) of {} frames in {:.1} s, {} mixtures, {} went backwards, {} were told that they \
             were too slow, {} frames missed; {} readers and {} writers killed",
            8 * n_words,
            outcome.sum(|counts| counts.n_reads),
            outcome.readers.iter().map(|counts| counts.n_reads).collect::<Vec<_>>(),
            outcome.n_frames,
            outcome.seconds,
            outcome.sum(|counts| counts.n_mixtures),
            outcome.sum(|counts| counts.n_backwards),
            outcome.sum(|counts| counts.n_too_slow),
            outcome.sum(|counts| counts.n_missed),
            outcome.n_readers_killed,
            outcome.n_writers_killed,
        );
        assert_eq!(outcome.sum(|counts| counts.n_mixtures), 0);
        assert_eq!(outcome.sum(|counts| counts.n_backwards), 0);
        n_reads += outcome.sum(|counts| counts.n_reads);
    }
    println!("{n_reads} reads in all, without a mixture");
}
