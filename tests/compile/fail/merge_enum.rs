//! Two variants do not merge.

use ndpool::Merge;
use ndpool::merge::Sum;

#[derive(Merge)]
enum Found {
    Nothing,
    Some(Sum<u64>),
}

fn main() {}
