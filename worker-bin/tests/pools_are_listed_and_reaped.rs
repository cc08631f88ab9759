//! Goal: `ls` tells living pools from dead ones; `reap` removes the dead, says what it removed, and spares the living; a signal
//! ends the tool like any program, and leaves nothing.
//!
//! Method: the tool itself, busy with a reduction that takes for ever, is the living pool. A copy of its files in a
//! directory of its own is what a dead pool leaves: the same bytes, but nobody holds the manifest's lock. It is found
//! through TMPDIR, so that no other pool of this machine reaps it first.

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use ndpool::ndarray::Array1;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Files, ndpool, stderr, stdout};

const ARRAY_BYTES: u64 = 1 << 20;

/// A living pool.
struct Busy {
    child: Child,
    files: Files,
}

impl Busy {
    fn start() -> Self {
        let files = Files::new();
        let x = files.npy("x.npy", &Array1::<u8>::ones(ARRAY_BYTES as usize));
        let mut command = ndpool();
        command.args(["reduce", &x, "--op", "sum", "--workers", "2", "--repeat", "1000000000"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        Self { child, files }
    }

    /// Its pool, once the array is loaded.
    fn wait_until_loaded(&mut self) -> Value {
        loop {
            assert_eq!(self.child.try_wait().expect("it is our child"), None, "it ended early");
            let pool =
                pools(self.files.path("").as_path()).into_iter().find(|pool| pool["pid"] == self.child.id());
            if let Some(pool) = pool
                && segments(&pool).iter().any(|segment| segment["bytes"].as_u64() >= Some(ARRAY_BYTES))
            {
                return pool;
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json(args: &[&str], temporary: &Path) -> Value {
    let output = ndpool().args(args).env("TMPDIR", temporary).output().expect("the binary starts");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

fn pools(temporary: &Path) -> Vec<Value> {
    json(&["ls", "--json"], temporary)["pools"].as_array().expect("a list").clone()
}

fn segments(pool: &Value) -> &[Value] {
    pool["segments"].as_array().expect("a list")
}

fn names(pool: &Value) -> Vec<(&Value, &Value)> {
    segments(pool).iter().map(|segment| (&segment["name"], &segment["bytes"])).collect()
}

/// The files of a pool.
fn files_of(pool: &Value) -> Vec<PathBuf> {
    let prefix = format!("ndpool.{}.", pool["run"].as_str().unwrap());
    let entries = fs::read_dir(pool["directory"].as_str().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&prefix)).collect()
}

fn text(args: &[&str], temporary: &Path) -> String {
    let output = ndpool().args(args).env("TMPDIR", temporary).output().expect("the binary starts");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    stdout(&output).to_owned()
}

#[test]
fn the_dead_are_removed_and_the_living_are_not() {
    let mut busy = Busy::start();
    let living = busy.wait_until_loaded();
    assert_eq!(living["alive"], true);
    assert_eq!(living["program"], env!("CARGO_BIN_EXE_ndpool"));
    assert!(living["age_seconds"].as_f64() >= Some(0.0) && living["started"].as_f64() > Some(1.7e9));
    let n_bytes: u64 = segments(&living).iter().map(|segment| segment["bytes"].as_u64().unwrap()).sum();
    assert_eq!(living["bytes"], n_bytes);

    let grave = Files::new();
    let directory = grave.path("");
    for path in files_of(&living) {
        fs::copy(&path, directory.join(path.file_name().unwrap())).unwrap();
    }
    let dead = |pool: &&Value| pool["directory"].as_str().map(Path::new) == Some(&directory);
    let all = pools(&directory);
    let found = all.iter().find(dead).expect("the dead pool is listed");
    assert_eq!(
        (&found["alive"], &found["run"], &found["pid"]),
        (&Value::Bool(false), &living["run"], &living["pid"])
    );
    assert!(all.iter().any(|pool| pool["alive"] == true && pool["run"] == living["run"]));
    let listing = text(&["ls"], &directory);
    for word in ["POOL", "alive", "dead", found["run"].as_str().unwrap(), env!("CARGO_BIN_EXE_ndpool")] {
        assert!(listing.contains(word), "no `{word}` in\n{listing}");
    }

    let dry = json(&["reap", "--dry-run", "--json"], &directory);
    assert_eq!(dry["dry_run"], true);
    assert!(dry["removed"].as_array().unwrap().iter().any(|pool| dead(&pool)));
    assert!(text(&["reap", "--dry-run"], &directory).contains("would remove"));
    assert!(files_of(found).len() > 1, "nothing was removed");

    let reaped = json(&["reap", "--json"], &directory);
    let removed = reaped["removed"].as_array().unwrap();
    let gone = removed.iter().find(dead).expect("it says what it removed");
    assert_eq!((&reaped["dry_run"], names(gone)), (&Value::Bool(false), names(found)));
    assert!(removed.iter().all(|pool| pool["pid"] != busy.child.id() || pool["alive"] == false));
    assert!(files_of(found).is_empty());
    assert!(!pools(&directory).iter().any(|pool| dead(&pool)));
    // Its segments come and go while it runs; its manifest and its array stay.
    assert!(segments(&busy.wait_until_loaded()).len() > 1);
}

#[test]
fn a_signal_ends_the_tool_as_the_signal_would_and_leaves_nothing() {
    let mut busy = Busy::start();
    let living = busy.wait_until_loaded();
    // Not SIGINT: shells ignore it in what they start in the background, and so would the tool.
    kill(Pid::from_raw(busy.child.id().cast_signed()), Signal::SIGTERM).expect("it lives");
    let status = busy.child.wait().expect("it is our child");
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{status}");
    let mut said = String::new();
    std::io::Read::read_to_string(busy.child.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(said, "");
    assert_eq!(files_of(&living), Vec::<PathBuf>::new());
}
