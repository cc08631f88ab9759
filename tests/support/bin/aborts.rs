//! A program whose panics abort, if it is built so (`panic = "abort"`): a task of it panics, and it prints what became of that,
//! and whether the next job works.

use ndpool::{Pool, Stderr, task};

#[task]
fn refuse(n: u64) -> u64 {
    if n == 9 {
        panic!("{n} is too much for me");
    }
    n
}

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build()?;
    let error = pool.run(refuse(9)).expect_err("it panics");
    let signal = error.worker_exit().and_then(ndpool::WorkerExit::signal_name);
    println!("{}", if cfg!(panic = "abort") { "aborts" } else { "unwinds" });
    println!("{:?} {signal:?} {}", error.kind(), pool.run(refuse(8))?);
    println!("{error}");
    Ok(())
}
