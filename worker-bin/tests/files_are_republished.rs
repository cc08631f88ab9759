//! Goal: `serve --watch` publishes a file again whenever it is written or replaced, and never one that is half written.
//!
//! Method: the test writes, and reads from the tool's own lines which versions it published. That something was *not* published is
//! seen when a file is that changed later: files are looked at in their order.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;

use ndarray_npy::read_npy;
use ndpool::ndarray::prelude::*;
use ndpool::server::DataClient;
use support::server::{Running, files_of, new_name};
use support::{Files, json};

fn full(value: i32) -> Array1<i32> {
    Array1::from_elem(10_000, value)
}

fn published(name: &str, files: &Files) -> Array1<i32> {
    let out = files.text("out.npy");
    json(&["get", &format!("{name}/x"), "-o", &out, "--json"]);
    read_npy(out).unwrap()
}

#[test]
fn written_and_replaced_files_are_published_again() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &full(1));
    let mut server = Running::serve(&name, &["--watch", &x]);
    // In place.
    files.npy("x.npy", &full(2));
    assert_eq!(server.line(), format!("updated {name}/x: version 2, (10000,) int32"));
    assert_eq!(published(&name, &files), full(2));
    // Replaced by a rename.
    let new = files.npy("new", &full(3));
    fs::rename(new, &x).unwrap();
    assert_eq!(server.line(), format!("updated {name}/x: version 3, (10000,) int32"));
    assert_eq!(published(&name, &files), full(3));
    // Removed and written anew, in another shape.
    fs::remove_file(&x).unwrap();
    files.npy("x.npy", &array![1_i32, 2]);
    assert_eq!(server.line(), format!("swapped {name}/x: version 1, (2,) int32"));
    // By way of a link that is turned.
    fs::remove_file(&x).unwrap();
    let [one, two] = [4, 5].map(|value| files.npy(&format!("{value}.npy"), &full(value)));
    std::os::unix::fs::symlink(&one, files.path("link")).unwrap();
    fs::rename(files.path("link"), &x).unwrap();
    assert_eq!(server.line(), format!("swapped {name}/x: version 1, (10000,) int32"));
    std::os::unix::fs::symlink(&two, files.path("link")).unwrap();
    fs::rename(files.path("link"), &x).unwrap();
    assert_eq!(server.line(), format!("updated {name}/x: version 2, (10000,) int32"));
    assert_eq!(published(&name, &files), full(5));
    server.end();
    assert!(files_of(&name).is_empty());
}

#[test]
fn a_half_written_file_is_not_published() {
    let (files, name) = (Files::new(), new_name());
    let (x, y) = (files.npy("x.npy", &full(1)), files.npy("y.npy", &full(1)));
    let bytes = fs::read(files.npy("new", &full(2))).unwrap();
    let mut server = Running::serve(&name, &["--watch", &x, &y]);
    // Over the old elements, so that the file is a whole array at each moment, and a mixture.
    let mut writer = OpenOptions::new().write(true).open(&x).unwrap();
    writer.write_all(&bytes[..bytes.len() / 2]).unwrap();
    files.npy("y.npy", &full(7));
    assert_eq!(server.line(), format!("updated {name}/y: version 2, (10000,) int32"));
    assert_eq!(published(&name, &files), full(1));
    writer.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(writer);
    assert_eq!(server.line(), format!("updated {name}/x: version 2, (10000,) int32"));
    assert_eq!(published(&name, &files), full(2));
    server.end();
}

#[test]
fn a_file_that_cannot_be_read_leaves_what_is_published() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &full(1));
    let mut server = Running::serve(&name, &["--watch", &x]);
    files.bytes("x.npy", b"no array");
    let y = files.npy("x.new", &full(3));
    // Both changes may be noticed at once, or one after the other.
    assert_eq!(published(&name, &files), full(1));
    fs::rename(y, &x).unwrap();
    assert_eq!(server.line(), format!("updated {name}/x: version 2, (10000,) int32"));
    assert_eq!(published(&name, &files), full(3));
    server.end();
}

#[test]
fn a_file_waits_for_a_writer_that_stays() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &full(1));
    let mut server = Running::serve(&name, &["--watch", &x]);
    let item = DataClient::connect(&name).unwrap().double_buffer::<i32, Ix1>("x").unwrap();
    let mut writer = item.writer().unwrap();
    writer.assign(&full(5));
    files.npy("x.npy", &full(2));
    let said = server.error_line();
    assert!(said.contains(&format!("another process writes `{name}/x`")), "{said}");
    drop(writer);
    // The file has not changed since.
    assert_eq!(server.line(), format!("updated {name}/x: version 3, (10000,) int32"));
    assert_eq!(published(&name, &files), full(2));
    server.end();
}
