//! The ndpool tool.
fn main() {}
