//! How much longer does the sum of 1 GB take if one of two workers is killed in the middle?
//!
//! `SIGKILL` comes from another thread when half of the time of an undisturbed job is over. The dead worker's block is run again, by the
//! other one or by the process that takes its place. Between two runs the new process gets to know the array, as the
//! undisturbed ones do.

use crate::measure::{Pair, in_turns};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndpool::{Pool, ops};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::hint::spin_loop;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(crate) const QUESTION: Question = Question {
    name: "killed_midway_1gb",
    peer_name: "the same job undisturbed",
    goal: Goal::Ratio(1.1),
    unit: Unit::Milliseconds,
    measure,
};

const N: usize = 125_000_000;
const N_RUNS: usize = 15;
/// Nothing else spins while jobs run: the killer sleeps, and looks at the clock from here on.
const EARLY: Duration = Duration::from_micros(200);

fn measure() -> Result<Pair, Skipped> {
    let pool = Pool::builder().workers(2).build()?;
    let x = pool.from_shape_fn(N, numbers)?;
    let expected = x.view().iter().sum::<f64>();
    let run = || -> Result<Duration, Skipped> {
        let start = Instant::now();
        let found = pool.run(ops::sum(&x))?;
        let took = start.elapsed();
        assert_eq!(found, expected, "the sum changes with a death");
        Ok(took)
    };
    run()?;
    let undisturbed = Mutex::new(run()?);
    in_turns(
        N_RUNS,
        || {
            let n_lost = pool.stats().workers_lost;
            let victim = pool.worker_pids()[0];
            let midway = *undisturbed.lock().expect("nobody panics with it") / 2;
            let took = std::thread::scope(|scope| {
                let start = Instant::now();
                scope.spawn(move || {
                    std::thread::sleep(midway.saturating_sub(EARLY));
                    while start.elapsed() < midway {
                        spin_loop();
                    }
                    kill(Pid::from_raw(victim as i32), Signal::SIGKILL)
                });
                run()
            })?;
            // Until the slot is filled again, which the pool does by itself.
            while pool.worker_pids().len() < 2 {
                std::thread::sleep(EARLY);
            }
            assert_eq!(pool.stats().workers_lost, n_lost + 1, "nobody was killed");
            // The new process maps the array.
            run()?;
            run()?;
            Ok(took)
        },
        || {
            let took = run()?;
            *undisturbed.lock().expect("nobody panics with it") = took;
            Ok(took)
        },
    )
}
