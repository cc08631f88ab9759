//! Goal: whatever becomes of a job's handle, nobody sees or changes an array while a worker may still write it, and
//! nothing of a caller's is used after it is gone.
//!
//! Method: tasks wait at a gate while the test drops, forgets, awaits, cancels and outlives handles, pools and arrays.
//! What has to wait is called while the gate is closed, and a thread opens it only when the task is known to be
//! there: if it returned too early, the rows would not have been written yet, or the gate not be open.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{ErrorKind, Job, Pool, SharedArray, task};
use ndpool_tests::{Gate, Random, Run, wait_until, watchdog};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Adds one to every element, once the gate is open.
#[task]
fn add_behind(gate: &str, mut x: ArrayViewMut1<i64>) {
    Gate::pass(gate);
    x += 1;
}

/// Writes in place, so that a write after the end would be seen.
#[task]
fn fill_behind(gate: &str, value: i64, #[out] mut x: ArrayViewMut1<i64>) {
    Gate::pass(gate);
    x.fill(value);
}

#[task]
fn read_behind(gate: &str, x: ArrayView1<i64>) -> Sum<i64> {
    Gate::pass(gate);
    Sum(x.sum())
}

#[task]
fn add(mut x: ArrayViewMut1<i64>) {
    x += 1;
}

#[task]
fn total(x: ArrayView1<i64>) -> Sum<i64> {
    Sum(x.sum())
}

fn pool() -> Pool {
    Pool::builder().workers(2).build().unwrap()
}

/// Forgets a job that waits at a gate, calls `wants` while another thread opens the gate, and gives what it returned.
fn after_a_forgotten_job<R>(
    pool: &Pool,
    x: &mut SharedArray<i64, Ix1>,
    wants: impl FnOnce(&mut SharedArray<i64, Ix1>) -> R,
) -> R {
    let gate = Gate::new();
    std::mem::forget(pool.submit(add_behind(gate.name(), &mut *x).block_rows(8)).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            gate.wait_for(2);
            gate.open();
        });
        let result = wants(x);
        assert!(gate.is_open(), "it returned while the task was waiting");
        result
    })
}

#[ndpool::test]
fn everything_waits_for_a_forgotten_job() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(32).unwrap();
    let path = std::env::temp_dir().join(format!("ndpool-forgotten.{}.npy", std::process::id()));

    let sum = after_a_forgotten_job(&pool, &mut x, |x| x.view().sum());
    assert_eq!(sum, 32, "view");
    let sum = after_a_forgotten_job(&pool, &mut x, |x| x.view_mut().sum());
    assert_eq!(sum, 64, "view_mut");
    after_a_forgotten_job(&pool, &mut x, |x| x.save_npy(&path).unwrap());
    assert_eq!(pool.load_npy::<i64, Ix1>(&path).unwrap().view().sum(), 96, "save_npy");
    std::fs::remove_file(&path).unwrap();
    let sum = after_a_forgotten_job(&pool, &mut x, |x| pool.run(total(&*x)).unwrap().0);
    assert_eq!(sum, 128, "a job that reads");
    after_a_forgotten_job(&pool, &mut x, |x| pool.run(add(x)).unwrap());
    assert_eq!(x.view().sum(), 192, "a job that writes");
    let sum = after_a_forgotten_job(&pool, &mut x, |x| x.rows(3..5).view().sum());
    assert_eq!(sum, 14, "rows");
}

#[ndpool::test]
fn readers_of_a_forgotten_reader_do_not_wait() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.full(4, 1_i64).unwrap();
    let gate = Gate::new();
    std::mem::forget(pool.submit(read_behind(gate.name(), &x)).unwrap());
    gate.wait_for(1);
    // With the gate closed: each would hang if it waited.
    assert_eq!(x.view().sum(), 4);
    let (low, _high) = x.rows(..).split_at(2);
    assert_eq!(low.view().sum(), 2);
    gate.open();
    x.view_mut()[0] = 5;
    assert_eq!(x.view().sum(), 8);
}

#[ndpool::test]
fn rows_that_a_forgotten_job_does_not_have_are_free() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(8).unwrap();
    let gate = Gate::new();
    std::mem::forget(pool.submit(add_behind(gate.name(), x.rows_mut(..4)).block_rows(4)).unwrap());
    gate.wait_for(1);
    pool.run(add(x.rows_mut(4..))).unwrap();
    assert_eq!(x.rows(4..).view().to_vec(), [1; 4]);
    gate.open();
    assert_eq!(x.view().to_vec(), [1; 8]);
}

#[ndpool::test]
fn memory_of_a_dropped_array_is_not_given_on_while_a_job_has_it() {
    let _watchdog = watchdog();
    let pool = Pool::builder().workers(1).build().unwrap();
    for _ in 0..20 {
        let gate = Gate::new();
        let mut x = pool.zeros::<i64, _>(1 << 16).unwrap();
        std::mem::forget(pool.submit(fill_behind(gate.name(), 7, &mut x).block_rows(1 << 16)).unwrap());
        gate.wait_for(1);
        drop(x);
        let mut others: Vec<_> = (0..4).map(|_| pool.zeros::<i64, _>(1 << 16).unwrap()).collect();
        gate.open();
        // The only worker is done with the first job when it comes to this one.
        others.iter_mut().for_each(|other| pool.run(add(other)).unwrap());
        assert!(others.iter().all(|other| other.view().iter().all(|&v| v == 1)));
    }
}

#[ndpool::test]
fn dropping_a_handle_cancels_and_does_not_wait() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(64).unwrap();
    let gate = Gate::new();
    let job = pool.submit(add_behind(gate.name(), &mut x).block_rows(1)).unwrap();
    gate.wait_for(2);
    drop(job);
    // Had it waited for the two tasks, the gate would still be closed.
    gate.open();
    let sum = x.view().sum();
    assert_eq!(sum, 2, "two blocks were begun, the others cancelled");
    assert_eq!(gate.n_arrived(), 2);
}

#[ndpool::test]
fn cancelling_races_with_completion() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut random = Random::new(11);
    let mut n_cancelled = 0;
    for round in 0..300 {
        let mut x = pool.zeros::<i64, _>(64).unwrap();
        let job = pool.submit(add(&mut x).block_rows(1)).unwrap();
        for _ in 0..random.below(0..20_000) {
            std::hint::spin_loop();
        }
        job.cancel();
        match job.join() {
            Ok(()) => assert_eq!(x.view().to_vec(), [1; 64], "round {round}"),
            Err(error) => {
                n_cancelled += 1;
                assert_eq!(error.kind(), ErrorKind::Cancelled, "round {round}: {error}");
                let not_applied = error.failed_blocks().not_applied();
                assert!(error.failed_blocks().failed.is_empty(), "round {round}: {error:#?}");
                for (i, &v) in x.view().iter().enumerate() {
                    assert_eq!(v, i64::from(!not_applied.contains(&i)), "round {round}, block {i}");
                }
            }
        }
    }
    println!("{n_cancelled} of 300 were cancelled");
}

/// Waits for a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            // Parked without a limit: a wake-up that is missing hangs the test.
            Poll::Pending => thread::park(),
        }
    }
}

/// Gives the number of the first job to end, with its result.
struct First<'j, 'a, R>(&'j mut Vec<(usize, Job<'a, R>)>);

impl<'a, R: 'a> Future for First<'_, 'a, R> {
    type Output = (usize, ndpool::Result<R>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        for at in 0..self.0.len() {
            if let Poll::Ready(result) = Pin::new(&mut self.0[at].1).poll(context) {
                let (number, _) = self.0.remove(at);
                return Poll::Ready((number, result));
            }
        }
        Poll::Pending
    }
}

#[ndpool::test]
fn jobs_are_awaited_in_any_order() {
    let _watchdog = watchdog();
    let pool = pool();
    let arrays: Vec<_> = (0..100_i64).map(|i| pool.full(10, i).unwrap()).collect();
    // From the last to the first.
    let jobs: Vec<_> = arrays.iter().map(|x| pool.submit(total(x)).unwrap()).collect();
    for (i, job) in jobs.into_iter().enumerate().rev() {
        assert_eq!(block_on(job).unwrap().0, 10 * i as i64);
    }
    // Whichever ends first, and some by other means.
    let mut jobs: Vec<_> = arrays.iter().map(|x| pool.submit(total(x)).unwrap()).enumerate().collect();
    let (_, dropped) = jobs.swap_remove(3);
    drop(dropped);
    let (number, joined) = jobs.swap_remove(50);
    assert_eq!(joined.join().unwrap().0, 10 * number as i64);
    let mut seen = vec![];
    while !jobs.is_empty() {
        let (number, result) = block_on(First(&mut jobs));
        assert_eq!(result.unwrap().0, 10 * number as i64);
        seen.push(number);
    }
    seen.sort_unstable();
    assert_eq!(seen.len(), 98);
    seen.dedup();
    assert_eq!(seen.len(), 98);
}

#[ndpool::test]
fn a_job_is_tried_until_it_has_ended() {
    let _watchdog = watchdog();
    let pool = pool();
    let x = pool.full(10, 3_i64).unwrap();
    let gate = Gate::new();
    let job = pool.submit(read_behind(gate.name(), &x)).unwrap();
    gate.wait_for(1);
    let job = job.try_join().expect_err("the gate is closed");
    assert!(!job.is_finished());
    gate.open();
    wait_until(|| job.is_finished());
    assert_eq!(job.try_join().unwrap().unwrap().0, 30);
}

#[ndpool::test]
fn a_progress_function_that_panics_ends_the_borrow_first() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(16).unwrap();
    let gate = Gate::new();
    let call = add_behind(gate.name(), &mut x).block_rows(1).on_progress(|progress| {
        assert_eq!(progress.n_blocks, 16);
        gate.wait_for(2);
        gate.open();
        panic!("enough");
    });
    let panic = catch_unwind(AssertUnwindSafe(|| pool.run(call))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"enough"));
    // Nobody writes any more, so two looks see the same; whole blocks only.
    let seen = x.view().to_owned();
    assert!(seen.iter().all(|&v| v == 0 || v == 1) && seen.sum() >= 2, "{seen}");
    pool.run(add(&mut x)).unwrap();
    assert_eq!(x.view(), seen + 1);
}

#[ndpool::test]
fn a_continuation_that_panics_leaves_the_pool_whole() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(16).unwrap();
    for _ in 0..100 {
        let call = add(&mut x).then(|()| panic!("not that"));
        let result = catch_unwind(AssertUnwindSafe(|| pool.run(call)));
        assert!(result.is_err());
    }
    assert_eq!(x.view().to_vec(), [100; 16]);
}

#[ndpool::test]
fn an_iterator_that_panics_midway_ends_the_borrows_first() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut x = pool.zeros::<i64, _>(40).unwrap();
    let calls = x.row_chunks_mut(2).enumerate().map(|(i, rows)| {
        assert!(i < 13, "no more chunks");
        add(rows)
    });
    let result = catch_unwind(AssertUnwindSafe(|| pool.map(calls).for_each(|result| result.unwrap())));
    assert!(result.is_err());
    let seen = x.view().to_owned();
    assert!(seen.iter().all(|&v| v == 0 || v == 1));
    assert_eq!(seen.slice(s![26..]).sum(), 0);
    pool.run(add(&mut x)).unwrap();
    assert_eq!(x.view(), seen + 1);
}

#[ndpool::test]
fn a_job_may_outlive_its_pool() {
    let _watchdog = watchdog();
    let gate = Gate::new();
    let pool = Pool::builder().workers(1).shutdown_grace(std::time::Duration::ZERO).build().unwrap();
    let run = Run::of(&pool);
    let mut x = pool.zeros::<i64, _>(4).unwrap();
    let mut y = pool.zeros::<i64, _>(4).unwrap();
    let running = pool.submit(add_behind(gate.name(), &mut x).block_rows(2)).unwrap();
    let waiting = pool.submit(add(&mut y)).unwrap();
    gate.wait_for(1);
    drop(pool);
    let error = running.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shutdown, "{error}");
    assert_eq!(error.failed_blocks().not_applied(), [0, 1]);
    assert_eq!(block_on(waiting).unwrap_err().kind(), ErrorKind::Shutdown);
    assert_eq!((x.view().sum(), y.view().sum()), (0, 0));
    assert_eq!(run.processes(), [0; 0]);
    drop((x, y));
    run.assert_gone();
}

#[ndpool::test]
fn an_array_may_outlive_its_pool_and_serve_another() {
    let _watchdog = watchdog();
    let first = pool();
    let run = Run::of(&first);
    let mut x = first.from_shape_fn(1000, |i| i as i64).unwrap();
    drop(first);
    assert_eq!(run.processes(), [0; 0]);
    let second = pool();
    second.run(add(&mut x)).unwrap();
    let third = pool();
    assert_eq!(third.run(total(&x)).unwrap().0, 1000 * 999 / 2 + 1000);
    // Two pools at once, on rows of one array.
    let (low, high) = x.split_at_mut(300);
    let low = second.submit(add(low)).unwrap();
    let high = third.submit(add(high)).unwrap();
    low.join().unwrap();
    high.join().unwrap();
    assert_eq!(second.run(total(&x)).unwrap().0, 1000 * 999 / 2 + 2000);
    drop(x);
    run.assert_gone();
}

#[ndpool::test]
fn shared_ownership_travels_with_the_call() {
    let _watchdog = watchdog();
    let pool = Arc::new(pool());
    let threads: Vec<_> = (0..4_i64)
        .map(|i| {
            let x = Arc::new(pool.full(100, i).unwrap());
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let jobs: Vec<_> = (0..10).map(|_| pool.submit(total(Arc::clone(&x))).unwrap()).collect();
                drop(x);
                jobs.into_iter().map(|job| job.join().unwrap().0).sum::<i64>()
            })
        })
        .collect();
    for (i, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), 1000 * i as i64);
    }
}
