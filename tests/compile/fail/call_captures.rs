//! A closure that captures does not travel to another process.

use ndpool::{Pool, call};

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let factor = 3u64;
    Pool::new()?.run(call(|i: u64| i * factor, 1))?;
    Ok(())
}
