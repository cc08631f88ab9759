//! Goal: a task that writes where it must not dies of it, and what it would have damaged is as it was: inputs, the rows
//! behind a staged copy, what lies before and behind an array. A child that a task forks has none of the pool's memory.
//!
//! Method: tasks with such bugs, by raw pointers. Data, headers and control pages are looked at afterwards, and the next
//! job must work on the same arrays. A write to other rows of the same `#[out]` array is not caught, and not promised to be.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Backing, Block, ErrorKind, Pool, Stderr, WorkerExit, task};
use ndpool_tests::{Run, watchdog};
use std::hint::black_box;

/// Writes one byte at a distance from a pointer that it has no right to write to.
fn poke<T>(pointer: *const T, bytes: isize) {
    let place = black_box(pointer.cast::<u8>().cast_mut()).wrapping_offset(bytes);
    // SAFETY: there is none: this is the native code with a bug that a pool is for. The process must die here.
    unsafe { place.write_volatile(0xee) };
}

#[task]
fn write_input(#[flat] x: &[f64], at: isize) -> Sum<f64> {
    poke(x.as_ptr(), at);
    Sum(x[0])
}

#[task]
fn write_whole(
    #[whole]
    #[flat]
    x: &[f64],
    at: isize,
) -> f64 {
    poke(x.as_ptr(), at);
    x[0]
}

/// Writes outside of an output: before its first row, or behind its last.
#[task]
fn write_around_output(
    block: &Block,
    behind: bool,
    #[flat]
    #[out]
    x: &mut [f64],
) {
    x.fill(5.0);
    match (behind, block.index()) {
        (false, 0) => poke(x.as_ptr(), -1),
        (true, 1) => poke(x.as_ptr(), size_of_val(x) as isize),
        _ => {}
    }
}

/// Writes outside of a staged copy, far enough to leave the buffer.
#[task]
fn write_around_staged(at: isize, #[flat] x: &mut [f64]) {
    x.fill(5.0);
    poke(x.as_ptr(), at);
}

/// Forks a child that touches the arrays; the signal that ends it.
#[task]
fn touch_in_a_child(
    #[flat] input: &[f64],
    #[flat] staged: &mut [f64],
    #[flat]
    #[out]
    output: &mut [f64],
) -> Sum<i64> {
    output.fill(1.0);
    let mut n_faults = 0;
    for pointer in [input.as_ptr(), staged.as_ptr(), output.as_ptr()] {
        // SAFETY: the child reads and writes one place, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: there is none: the mapping is not there in a child, which dies.
            let value = unsafe { black_box(pointer).read_volatile() };
            // SAFETY: ends the process.
            unsafe { libc::_exit((value as i32) & 0x3f) };
        }
        let mut status = 0;
        // SAFETY: the child of above; the status is this function's.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        n_faults += i64::from(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV);
    }
    Sum(n_faults)
}

#[task]
fn add(mut x: ArrayViewMut1<f64>) -> Sum<f64> {
    x += 1.0;
    Sum(x.sum())
}

/// Whole pages: behind the last element comes the page that is guarded.
const N: usize = 8 * 4096 / 8;

#[track_caller]
fn dies<R: std::fmt::Debug>(result: ndpool::Result<R>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let signal = error.worker_exit().and_then(WorkerExit::signal_name);
    assert!(matches!(signal, Some("SIGSEGV" | "SIGBUS")), "{error}");
}

fn on_both_backings(test: impl Fn(&Pool)) {
    for backing in [Backing::Named, Backing::Memfd] {
        let pool = Pool::builder().workers(2).backing(backing).stderr(Stderr::Keep).build().unwrap();
        let run = Run::of(&pool);
        test(&pool);
        drop(pool);
        run.assert_gone();
    }
}

#[ndpool::test]
fn a_write_to_an_input_kills_the_writer_and_changes_nothing() {
    let _watchdog = watchdog();
    on_both_backings(|pool| {
        let mut x = pool.full(N, 2.0).unwrap();
        // An element of the block, one of another block, header, control page.
        for at in [0, 64, N as isize * 4, -4096, N as isize * 8] {
            dies(pool.run(write_input(&x, at).block_rows(N / 2).attempts(1)));
            dies(pool.run(write_whole(&x, at).attempts(1)));
            assert!(x.view().iter().all(|&v| v == 2.0), "at {at}");
        }
        assert_eq!(pool.run(add(&mut x)).unwrap().0, 3.0 * N as f64);
    });
}

#[ndpool::test]
fn a_write_before_or_behind_an_output_hits_a_guard() {
    let _watchdog = watchdog();
    on_both_backings(|pool| {
        for behind in [false, true] {
            let mut x = pool.zeros(N).unwrap();
            let error =
                pool.run(write_around_output(behind, &mut x).block_rows(N / 2).attempts(1)).unwrap_err();
            assert_eq!(error.failed_blocks().not_applied(), [usize::from(behind)], "{error}");
            assert_eq!(error.failed_blocks().torn.len(), 1, "{error}");
            dies::<()>(Err(error));
            // Header and control page are whole: workers that are new attach it, and so does a reader of the file.
            assert_eq!(pool.run(add(&mut x)).unwrap().0, 6.0 * N as f64);
            let path = std::env::temp_dir().join(format!("ndpool-guard.{}.npy", std::process::id()));
            std::fs::copy(x.path(), &path).unwrap();
            assert_eq!(pool.load_npy::<f64, Ix1>(&path).unwrap().view(), x.view());
            std::fs::remove_file(path).unwrap();
        }
    });
}

#[ndpool::test]
fn a_write_beyond_a_staged_copy_leaves_the_array_as_it_was() {
    let _watchdog = watchdog();
    on_both_backings(|pool| {
        // The largest block first: the buffer ends with it.
        let mut x = pool.full(N, 2.0).unwrap();
        pool.run(add(&mut x).block_rows(N)).unwrap();
        for at in [-1, N as isize * 8] {
            dies(pool.run(write_around_staged(at, &mut x).block_rows(N).attempts(1)));
            assert!(x.view().iter().all(|&v| v == 3.0), "at {at}");
        }
        assert_eq!(pool.run(add(&mut x)).unwrap().0, 4.0 * N as f64);
    });
}

#[ndpool::test]
fn a_child_of_a_task_has_none_of_the_memory() {
    let _watchdog = watchdog();
    on_both_backings(|pool| {
        let x = pool.full(N, 2.0).unwrap();
        let mut y = pool.full(N, 3.0).unwrap();
        let mut z = pool.zeros(N).unwrap();
        assert_eq!(pool.run(touch_in_a_child(&x, &mut y, &mut z).block_rows(N)).unwrap().0, 3);
        assert_eq!(pool.stats().workers_lost, 0);
    });
}
