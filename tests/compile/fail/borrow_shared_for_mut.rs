//! An array to write is borrowed mutably.

use ndarray::prelude::*;
use ndpool::{Pool, task};

#[task]
fn saxpy(a: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) {
    y.scaled_add(a, &x);
}

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let pool = Pool::new()?;
    let x = pool.zeros::<f64, _>(9)?;
    let mut y = pool.zeros::<f64, _>(9)?;
    pool.run(saxpy(1.0, &x, &y))?;
    Ok(())
}
