//! Goal: whoever waits for a frame hears of it, whatever other writers and waiters were killed meanwhile, and whoever waits for one that
//! does not come gets his time back.
//!
//! Method: processes wait for frames with a limit of an hour. Writers publish some frames and go on until they are killed, at any
//! instruction; waiters are killed too, asleep and awake. After each round one frame is published by who is left, and each waiter that
//! lives must say its number. What is lost is a hang, which the watchdog ends.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ndarray::Ix0;
use ndpool::shared::{DoubleBuffer, Options};
use ndpool_tests::{Actor, Random, role, say, watchdog};

const N_WAITERS: usize = 3;

fn attach(directory: &Path) -> DoubleBuffer<u64, Ix0> {
    DoubleBuffer::attach_with(&Options::new().directory(directory), "frames").unwrap()
}

fn play(role: &str) {
    let (who, directory) = role.split_once('|').unwrap();
    let buffer = attach(Path::new(directory));
    if who == "writer" {
        let mut writer = buffer.writer().unwrap();
        say("writing");
        loop {
            writer.write(|mut frame| frame[()] = 0);
        }
    }
    let mut reader = buffer.reader();
    say("waiting");
    loop {
        let number = reader.wait_newer(reader.number(), Duration::from_secs(3600)).unwrap();
        let frame = reader.read().unwrap();
        assert!(frame.number >= number);
        // The last frame of a round.
        if frame.array[()] == u64::MAX {
            say(&frame.number.to_string());
        }
    }
}

#[test]
fn waiters_hear_of_frames_whoever_is_killed() {
    const TEST: &str = "waiters_hear_of_frames_whoever_is_killed";
    if let Some(role) = role() {
        return play(&role);
    }
    let _watchdog = watchdog();
    let directory = PathBuf::from(format!("/dev/shm/ndpool-test.waiters.{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let start = |who: &str| {
        let mut actor = Actor::start(TEST, &format!("{who}|{}", directory.display()));
        actor.hear();
        actor
    };
    let options = Options::new().directory(&directory);
    let buffer = DoubleBuffer::<u64, Ix0>::create_with(&options, "frames", ()).unwrap();
    let mut random = Random::new(7);
    let mut waiters: Vec<Actor> = (0..N_WAITERS).map(|_| start("waiter")).collect();
    for _ in 0..20 {
        let writer = start("writer");
        let pause = Duration::from_millis(3).mul_f64(random.unit());
        let begin = Instant::now();
        while begin.elapsed() < pause {
            std::thread::yield_now();
        }
        // In whatever order: a waiter killed while it is being woken, a writer while it wakes.
        let victim = random.below(0..N_WAITERS as u64) as usize;
        if random.below(0..2) == 0 {
            drop(writer);
            waiters[victim] = start("waiter");
        } else {
            waiters[victim] = start("waiter");
            drop(writer);
        }
        // The writer was waited for, so its role is free.
        let last = buffer.writer().unwrap().write(|mut frame| frame[()] = u64::MAX);
        for waiter in &mut waiters {
            // A new one may have found the last frame of an earlier round first.
            while waiter.hear() != last.to_string() {}
        }
    }
    drop(waiters);
    assert_eq!(buffer.reader().wait_newer(buffer.number(), Duration::from_millis(5)), None);
    drop(buffer);
    std::fs::remove_dir(directory).unwrap();
}
