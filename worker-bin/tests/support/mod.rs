//! Running the real binary, and files for it to read.

#![allow(dead_code, reason = "every test program uses its part")]

pub mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray_npy::WritableElement;
use ndpool::ndarray::{ArrayBase, Data, Dimension};
use serde_json::Value;
use tempfile::TempDir;

/// The binary, ready for arguments.
pub fn ndpool() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ndpool"))
}

pub fn run(args: &[&str]) -> Output {
    ndpool().args(args).output().expect("the binary starts")
}

pub fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("stdout is UTF-8")
}

pub fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("stderr is UTF-8")
}

/// What the arguments print, as JSON; they must succeed and print nothing else.
pub fn json(args: &[&str]) -> Value {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    assert_eq!(stderr(&output), "", "stderr is no terminal, so there is no bar");
    assert_eq!(stdout(&output).lines().count(), 1);
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

/// The names of an object's members.
pub fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A directory for one test, which goes with it.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("the temporary directory is UTF-8").to_owned()
    }

    /// Writes an array with the writer of `ndarray-npy`, and returns its path.
    pub fn npy<S, D>(&self, name: &str, array: &ArrayBase<S, D>) -> String
    where
        S: Data<Elem: WritableElement>,
        D: Dimension,
    {
        ndarray_npy::write_npy(self.path(name), array).expect("the file is written");
        self.text(name)
    }

    /// Writes bytes, and returns their path.
    pub fn bytes(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).expect("the file is written");
        self.text(name)
    }
}

/// A `.npy` file with this dictionary and these data.
pub fn npy_bytes(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len() + 1).expect("a short header").to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

pub fn exists(path: impl AsRef<Path>) -> bool {
    path.as_ref().exists()
}
