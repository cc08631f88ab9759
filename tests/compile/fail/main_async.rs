//! Workers are served before an async runtime is built.

#[ndpool::main]
async fn main() {}
