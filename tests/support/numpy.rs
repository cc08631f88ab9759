use std::process::Command;

/// The Python that tests are to use: `NDPOOL_TEST_PYTHON`, or the one on the path.
pub fn python() -> Command {
    Command::new(std::env::var("NDPOOL_TEST_PYTHON").unwrap_or_else(|_| "python3".into()))
}

/// Whether that Python has NumPy; says why not.
///
/// # Panics
///
/// If it has not, and `NDPOOL_TEST_REQUIRE_NUMPY` says that it must.
pub fn has_numpy() -> bool {
    let found = match python().args(["-c", "import numpy"]).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("NDPOOL_TEST_REQUIRE_NUMPY").is_none(), "NumPy is required: {found}");
    println!("skipped, there is no NumPy: {found}");
    false
}
