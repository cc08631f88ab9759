//! Goal: what Rust forbids between threads is forbidden between processes, and a task that cannot work is refused where
//! it is written, with a text that says what to do.
//!
//! Method: every file of `compile/fail` holds one refused thing and must fail with the text beside it; every file of
//! `compile/pass` must compile, most of them with all warnings denied. `TRYBUILD=overwrite` writes the texts anew.

#[test]
fn refused_at_compile_time() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile/pass/*.rs");
    cases.compile_fail("tests/compile/fail/*.rs");
}
