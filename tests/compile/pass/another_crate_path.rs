//! `crate = path` finds ndpool under another name.
#![deny(warnings)]

mod engine {
    pub use ndpool::*;
}

#[engine::task(crate = crate::engine)]
fn total(#[flat] x: &[f64]) -> engine::merge::Sum<f64> {
    engine::merge::Sum(x.iter().sum())
}

#[derive(engine::Merge)]
#[merge(crate = engine)]
struct Pair(engine::merge::Sum<u8>, Option<engine::merge::Sum<u8>>);

#[engine::main(crate = crate::engine)]
fn main() {
    let _ = |x: &engine::SharedArray<f64, ndarray::IxDyn>| drop(total(x));
    let mut pair = Pair(engine::merge::Sum(1), None);
    engine::Merge::merge(&mut pair, Pair(engine::merge::Sum(2), Some(engine::merge::Sum(3))));
    assert_eq!((pair.0.0, pair.1.map(|sum| sum.0)), (3, Some(3)));
}
