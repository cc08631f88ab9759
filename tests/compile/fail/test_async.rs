//! A worker is served before the test's body runs.

#[ndpool::test]
async fn runs() {}

fn main() {}
