//! Goal: a worker, the supervisor, or both may die at any step of any protocol, and results stay exact, errors say exactly what
//! was not applied, and nothing is left behind.
//!
//! Method: the package `ndpool-kill-points`, which is built with kill points, and alone, since cargo would otherwise build
//! everything else with them too. It prints a table of points and deaths.

use std::process::Command;

#[test]
fn death_at_any_kill_point_is_survived() {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--package", "ndpool-kill-points"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs this test");
    assert!(status.success(), "see above");
}
