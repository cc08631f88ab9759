//! Aliases of views are marked; constants, paths and borrowed values are taken as they stand.
#![deny(warnings)]

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::task;
use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

type Img<'a> = ArrayView2<'a, f32>;
type ImgMut<'a, T = f32> = ndarray::ArrayViewMut2<'a, T>;
const N: usize = 3;

#[task]
fn blur(
    #[rows] x: Img,
    #[rows_mut] mut y: ImgMut,
    #[out] mut z: ImgMut<'_, u8>,
    #[whole] kernel: Img<'_>,
) -> Option<Sum<f32>> {
    y.assign(&x);
    z.fill(1);
    Some(Sum(kernel.sum()))
}

#[task]
fn values(
    a: [u8; N],
    path: &Path,
    opts: &[f64],
    tag: Cow<'static, str>,
    pause: Duration,
) -> std::io::Result<usize> {
    Ok(a.len() + opts.len() + tag.len() + path.components().count() + pause.subsec_nanos() as usize)
}

#[task]
fn ranks(
    x: ArrayViewD<f64>,
    y: ArrayView<f64, Ix3>,
    z: ndarray::ArrayView<'_, bool, ndarray::IxDyn>,
) -> Sum<u64> {
    Sum((x.len() + y.len() + z.len()) as u64)
}

#[task]
fn sized<const K: usize>(x: [u8; 3], #[flat] y: &[u8]) -> Sum<u64> {
    Sum((K + x.len() + y.len()) as u64)
}

fn main() {
    drop(values([0; N], Path::new("/tmp"), &[1.0], "x".into(), Duration::ZERO));
    let _ = |pool: &ndpool::Pool,
             m: &ndpool::SharedArray<f32, Ix2>,
             n: &mut ndpool::SharedArray<f32, Ix2>,
             o: &mut ndpool::SharedArray<u8, Ix2>| { pool.run(blur(m, n, o, m)) };
    let _ = |pool: &ndpool::Pool, x: &ndpool::SharedArray<f64, Ix3>, z: &ndpool::SharedArray<bool, Ix2>| {
        pool.run(ranks(x, x, z))
    };
    let _ = |pool: &ndpool::Pool, y: &ndpool::SharedArray<u8, IxDyn>| pool.run(sized::<7>([0; 3], y));
}
