//! An ordinary program with a pool, outside of any test harness: does some of everything, loses workers on the way, checks
//! its results, and exits with 0.
//!
//! `plain` does it once. `plain twice` does it, says `ready`, waits for a line, kills its workers, and does it again with
//! others.

use ndpool::merge::Sum;
use ndpool::ndarray::ArrayViewMut1;
use ndpool::{Block, Pool, task};
use std::io::{BufRead, Write};

#[task]
fn add(block: &Block, dies: bool, mut x: ArrayViewMut1<i64>) -> Sum<i64> {
    x += 1;
    if dies && block.attempt() == 0 && block.index() == 3 {
        std::process::abort();
    }
    Sum(x.sum())
}

#[task]
fn spell(n: u64) -> String {
    if n == 100 { "very ".repeat(1_000) } else { n.to_string() }
}

fn do_everything(pool: &Pool) -> ndpool::Result<()> {
    let mut x = pool.zeros::<i64, _>(100)?;
    assert_eq!(pool.run(add(false, &mut x).block_rows(10))?.0, 100);
    assert_eq!(pool.run(add(true, &mut x).block_rows(10))?.0, 200);
    assert_eq!(x.view().sum(), 200);
    for (n, text) in pool.map((0..200).map(spell)).enumerate() {
        assert_eq!(text?.len(), if n == 100 { 5_000 } else { n.to_string().len() });
    }
    Ok(())
}

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let pool = Pool::builder().workers(2).build()?;
    do_everything(&pool)?;
    if std::env::args_os().nth(1).is_some_and(|mode| mode == "twice") {
        // Without a word if nobody reads it.
        let _ = writeln!(std::io::stdout(), "ready").and_then(|()| std::io::stdout().flush());
        std::io::stdin().lock().read_line(&mut String::new()).expect("stdin is open");
        let old = pool.worker_pids();
        for &pid in &old {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), nix::sys::signal::SIGKILL)
                .expect("it is this program's child");
        }
        while pool.worker_pids().iter().any(|pid| old.contains(pid)) {
            std::thread::yield_now();
        }
        do_everything(&pool)?;
    }
    Ok(())
}
