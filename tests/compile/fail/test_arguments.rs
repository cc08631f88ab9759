//! The test harness has no arguments to give.

#[ndpool::test]
fn runs(n: usize) {
    let _ = n;
}

fn main() {}
