//! How long does it take until a frame of 1 MB, which one process has, is published and summed by another?
//!
//! The time begins with the frame in private memory of the publisher, and ends when it sees the sum. Both sides look without
//! sleeping, and the reader of the side whose turn it is not is stopped. On every side the frame is copied once, into shared memory, and summed there where that is possible: ndpool's reader is lent the
//! buffer, and so is iceoryx2's. Answers come back through a word of memory that is the same for all but Python.
//!
//! The bare program copies into two plain buffers in turns: its publisher waits for the answer before it writes again, which
//! ndpool's does not have to. What a double buffer is for, a publisher that never waits, it cannot do. With one buffer it takes half the time, as
//! source and buffer then stay in the second-level cache of 2 MiB.
//!
//! Python's scheme is a `SharedMemory` with a lock and a version: the publisher copies in under the lock, the reader looks at the version,
//! copies out under the lock and sums the copy, so that it holds the lock no longer than it must.

use super::name;
use crate::bare::{Bare, Role, Shared, die_with_parent, spin_until};
use crate::measure::{Pair, in_turns, timed};
use crate::python::Python;
use crate::row::{Goal, Question, Skipped, Unit};
use ndarray::{Array1, Ix1};
use ndpool::shared::DoubleBuffer;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) const QUESTION: Question = Question {
    name: "frame_1mb",
    peer_name: "memcpy into two shared buffers in turns, a word that says so, a child that sums",
    goal: Goal::Ratio(1.2),
    unit: Unit::Microseconds,
    measure: || beside(BareSide::start),
};

pub(crate) const VS_SHARED_MEMORY: Question = Question {
    name: "frame_1mb_vs_shared_memory",
    peer_name: "multiprocessing.shared_memory with a lock and a version",
    goal: Goal::Ratio(0.5),
    measure: against_python,
    ..QUESTION
};

#[cfg(feature = "iceoryx2")]
pub(crate) const VS_ICEORYX: Question = Question {
    name: "frame_1mb_vs_iceoryx2",
    peer_name: "iceoryx2 publish-subscribe, loaned slices",
    goal: Goal::Ratio(1.0),
    measure: || beside(super::iceoryx::Side::start),
    ..QUESTION
};

/// Sums each frame of a double buffer; arguments: the memory for answers, the name.
pub(crate) const SUM_FRAMES: Role = Role { name: "sum-frames", play: sum_frames };
/// Sums each frame of two plain buffers; arguments: the memory for answers, that of the buffers, numbers in a frame.
pub(crate) const SUM_BUFFER: Role = Role { name: "sum-buffer", play: sum_buffer };

/// 1 MB.
pub(super) const N: usize = 125_000;
const N_RUNS: usize = 31;
const FRAMES_PER_RUN: usize = 200;

/// Word in which the publisher of the bare program says that there is a frame.
const FRAME: usize = 0;
/// Word in which a reader says which frame it has summed.
const ANSWER: usize = 1;

/// A way to publish frames to a process that sums them.
pub(super) trait Side {
    /// Publishes a frame; returns the sum that the other process found, once that is known.
    fn publish(&mut self, frame: &Array1<f64>) -> Result<f64, Skipped>;

    /// The process that sums.
    fn reader_pid(&self) -> u32;
}

/// A process that is stopped when this is dropped, and runs until then. A reader that looks without sleeping would take a core from the
/// other side in its turn.
struct Running(u32);

impl Running {
    fn new(pid: u32) -> Self {
        resume(pid);
        Self(pid)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        signal(self.0, libc::SIGSTOP);
    }
}

/// Has a process go on that was stopped.
pub(super) fn resume(pid: u32) {
    signal(pid, libc::SIGCONT);
}

fn signal(pid: u32, signal: libc::c_int) {
    // SAFETY: the call takes numbers; the process is a child that was not waited for, so nobody else has its number.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// What a reader answers through: the number of its sum, and the sum.
pub(super) struct Answers(Shared);

impl Answers {
    pub(super) fn new() -> Result<Self, Skipped> {
        Ok(Self(Shared::new(8)?))
    }

    pub(super) fn open(path: &str) -> Result<Self, Skipped> {
        Ok(Self(Shared::open(path)?))
    }

    pub(super) fn path(&self) -> String {
        self.0.path()
    }

    pub(super) fn answer(&self, n: u32, sum: f64) {
        self.0.words()[0].store(sum.to_bits(), Ordering::Relaxed);
        self.0.word(ANSWER).store(n, Ordering::Release);
    }

    pub(super) fn wait(&self, n: u32) -> f64 {
        spin_until(|| self.0.word(ANSWER).load(Ordering::Acquire) == n);
        f64::from_bits(self.0.words()[0].load(Ordering::Relaxed))
    }
}

struct Ours {
    /// Dropped first: the last one who is attached takes the file away, and who is killed cannot.
    reader: Bare,
    writer: ndpool::shared::double_buffer::Writer<f64, Ix1>,
    answers: Answers,
}

impl Ours {
    fn start(n: usize) -> Result<Self, Skipped> {
        let name = name("frame");
        let buffer = DoubleBuffer::<f64, Ix1>::create(&name, n)?;
        let answers = Answers::new()?;
        let mut reader = Bare::start(SUM_FRAMES, &[answers.path(), name])?;
        reader.wait_for_answer()?;
        Ok(Self { writer: buffer.writer()?, answers, reader })
    }
}

impl Side for Ours {
    fn publish(&mut self, frame: &Array1<f64>) -> Result<f64, Skipped> {
        let number = self.writer.assign(frame);
        Ok(self.answers.wait(number as u32))
    }

    fn reader_pid(&self) -> u32 {
        self.reader.pid()
    }
}

struct BareSide {
    memory: Shared,
    answers: Answers,
    n: u32,
    reader: Bare,
}

impl BareSide {
    fn start(n: usize) -> Result<Self, Skipped> {
        let memory = Shared::new(2 * 8 * n)?;
        let answers = Answers::new()?;
        let reader = Bare::start(SUM_BUFFER, &[answers.path(), memory.path(), n.to_string()])?;
        Ok(Self { memory, answers, n: 0, reader })
    }
}

impl Side for BareSide {
    fn publish(&mut self, frame: &Array1<f64>) -> Result<f64, Skipped> {
        self.n += 1;
        // SAFETY: the reader has answered for the frame before, and reads nothing until the word says that there is another.
        let target = unsafe { self.memory.numbers_mut(buffer(self.n, frame.len())) };
        target.copy_from_slice(frame.as_slice().expect("one axis, as it was made"));
        self.memory.word(FRAME).store(self.n, Ordering::Release);
        Ok(self.answers.wait(self.n))
    }

    fn reader_pid(&self) -> u32 {
        self.reader.pid()
    }
}

/// Publishes so many frames as are told for one run, and has each of them summed.
fn publish_all(side: &mut impl Side, frame: &Array1<f64>) -> Result<Duration, Skipped> {
    let expected = frame.sum();
    let _running = Running::new(side.reader_pid());
    // The reader is awake when the time begins.
    side.publish(frame)?;
    timed(&true, || {
        (0..FRAMES_PER_RUN).try_fold(true, |is_right, _| Ok(is_right && side.publish(frame)? == expected))
    })
}

fn beside<S: Side>(start: impl FnOnce(usize) -> Result<S, Skipped>) -> Result<Pair, Skipped> {
    let frame = frame();
    let (mut ours, mut peer) = (Ours::start(N)?, start(N)?);
    let pair = in_turns(N_RUNS, || publish_all(&mut ours, &frame), || publish_all(&mut peer, &frame))?;
    Ok(pair.per_item(FRAMES_PER_RUN, FRAMES_PER_RUN))
}

fn against_python() -> Result<Pair, Skipped> {
    let frame = frame();
    let expected = frame.sum();
    let mut ours = Ours::start(frame.len())?;
    let arguments = [N.to_string(), FRAMES_PER_RUN.to_string()];
    let mut peer = Python::start("publish_frames.py", &["numpy"], &arguments)?;
    let pair = in_turns(
        N_RUNS,
        || publish_all(&mut ours, &frame),
        || {
            let (took, sum) = peer.run::<f64>()?;
            assert_eq!(sum, expected, "publish_frames.py gives the wrong answer");
            Ok(took)
        },
    )?;
    Ok(pair.per_item(FRAMES_PER_RUN, FRAMES_PER_RUN))
}

/// Where the bare program has frame `number`, of `n` numbers.
fn buffer(number: u32, n: usize) -> std::ops::Range<usize> {
    let start = number as usize % 2 * n;
    start..start + n
}

/// Whole numbers, whose sum is the same in any order.
fn frame() -> Array1<f64> {
    Array1::from_shape_fn(N, |i| (i % 1000) as f64)
}

fn sum_frames(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let [answers, name] = args else { return Err(Skipped("two arguments are wanted".into())) };
    let answers = Answers::open(answers)?;
    let buffer = DoubleBuffer::<f64, Ix1>::attach(name)?;
    let mut reader = buffer.reader();
    crate::bare::Parent::new()?.answer()?;
    loop {
        spin_until(|| buffer.number() > reader.number());
        let sum = reader.read_with(|frame| frame.sum())?;
        answers.answer(reader.number() as u32, sum);
    }
}

fn sum_buffer(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let [answers, memory, n] = args else { return Err(Skipped("three arguments are wanted".into())) };
    let (answers, memory) = (Answers::open(answers)?, Shared::open(memory)?);
    let n = n.parse().map_err(|_| Skipped("a number is wanted".into()))?;
    let mut seen = 0;
    loop {
        spin_until(|| memory.word(FRAME).load(Ordering::Acquire) != seen);
        seen = memory.word(FRAME).load(Ordering::Acquire);
        // SAFETY: the word says that the frame is written, and it is not written again before the answer.
        let frame = unsafe { memory.numbers(buffer(seen, n)) };
        answers.answer(seen, ndarray::ArrayView1::from(frame).sum());
    }
}
