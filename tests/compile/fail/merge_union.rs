//! A union does not say which field it holds.

use ndpool::Merge;

#[derive(Merge)]
union Bits {
    a: u32,
    b: f32,
}

fn main() {}
