//! All refusals of a signature are reported together.

use ndpool::task;

#[task]
fn f<'a>(
    x: &'a mut u32,
    y: impl Copy,
    #[whole]
    #[out]
    z: ndarray::ArrayViewMut1<f64>,
) -> &'a str {
    ""
}

fn main() {}
