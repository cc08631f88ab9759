//! How long does a process that runs already take to sum 100 MB that this program has?
//!
//! Programs: `running_worker*.py`. The array lies in private memory and is new to the worker. On both sides the time begins with
//! copying or sending it and ends when the sum is here. Memory is recycled where a side can: ndpool takes the segment
//! of the run before, the peers keep their `SharedMemory` or their object store.

use super::with_numbers;
use crate::measure::{Pair, in_turns, timed};
use crate::row::{Goal, Question, Skipped, Unit};
use crate::sum_shared::numbers;
use ndarray::Array1;
use ndpool::{Pool, ops};

pub(crate) const VS_QUEUE: Question = Question {
    name: "running_vs_queue",
    peer_name: "multiprocessing.Queue",
    goal: Goal::Ratio(1.0 / 6.0),
    unit: Unit::Milliseconds,
    measure: || against("running_worker.py", &["numpy"], &["queue"]),
};

/// Both sides do the same here: a copy, a message, a sum.
pub(crate) const VS_SHARED_MEMORY: Question = Question {
    name: "running_vs_shared_memory",
    peer_name: "copied into a SharedMemory that is kept",
    goal: Goal::Ratio(1.0),
    unit: Unit::Milliseconds,
    measure: || against("running_worker.py", &["numpy"], &["shared_memory"]),
};

pub(crate) const VS_JOBLIB: Question = Question {
    name: "running_vs_joblib",
    peer_name: "joblib Parallel on loky, which memmaps",
    goal: Goal::Ratio(1.0 / 3.0),
    unit: Unit::Milliseconds,
    measure: || against("running_worker_joblib.py", &["numpy", "joblib"], &[]),
};

pub(crate) const VS_RAY: Question = Question {
    name: "running_vs_ray",
    peer_name: "ray.put and a remote task",
    goal: Goal::Ratio(1.0 / 3.0),
    unit: Unit::Milliseconds,
    measure: || against("running_worker_ray.py", &["numpy", "ray"], &[]),
};

/// 100 MB.
const N: usize = 12_500_000;
const N_RUNS: usize = 21;

fn against(program: &str, modules: &[&str], args: &[&str]) -> Result<Pair, Skipped> {
    let mut peer = with_numbers(N, program, modules, args)?;
    let pool = Pool::builder().workers(1).build()?;
    let x = Array1::from_shape_fn(N, numbers);
    let expected = x.sum();
    in_turns(
        N_RUNS,
        || timed(&expected, || Ok(pool.run(ops::sum(&pool.from_array(&x)?))?)),
        || {
            let (took, total) = peer.run::<f64>()?;
            assert_eq!(total, expected, "{program} gives the wrong answer");
            Ok(took)
        },
    )
}
