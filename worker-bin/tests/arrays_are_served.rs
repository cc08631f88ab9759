//! Goal: what `serve` publishes is what `get` saves, bit by bit; `put` is seen by both; a signal ends a server with all that it has; a
//! killed one is taken over, or reaped; and what cannot be done is explained.
//!
//! Method: real processes of the tool, each test with a server's name of its own.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use ndarray_npy::read_npy;
use ndpool::ndarray::prelude::*;
use ndpool::server::DataClient;
use ndpool::shared::Schema;
use nix::sys::signal::Signal;
use support::server::{Ended, Running, files_of, new_name};
use support::{Files, json, ndpool, run, stderr, stdout};

fn ramp(start: f64) -> Array2<f64> {
    Array2::from_shape_fn((30, 7), |(i, j)| start + (7 * i + j) as f64 / 3.0)
}

/// Both are `.npy` files with the same elements, shape and type.
fn assert_same(path: impl AsRef<Path>, array: &Array2<f64>) {
    let found: Array2<f64> = read_npy(path).expect("it is an array of this type");
    assert_eq!(found.map(|x| x.to_bits()), array.map(|x| x.to_bits()));
}

/// What fails, with these words, and a hint.
fn assert_fails(args: &[&str], words: &str) {
    let output = run(args);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{args:?}");
    let said = stderr(&output);
    assert!(said.starts_with("error: ") && said.contains(words), "{args:?}: no `{words}` in {said}");
    assert!(said.contains("(hint: "), "{args:?}: {said}");
}

#[test]
fn what_is_served_is_saved_to_the_bit() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &ramp(1.0));
    let small = files.npy("y.npy", &Array1::from_vec(vec![1_u8, 2, 3]));
    let mut server = Running::serve(&name, &[&x, &format!("counts={small}")]);

    let (from, to) = (format!("{name}/x"), files.text("out.npy"));
    let got = json(&["get", &from, "-o", &to, "--json"]);
    assert_same(&to, &ramp(1.0));
    assert_eq!(
        (&got["name"], &got["version"], &got["dtype"]),
        (&from.as_str().into(), &1.into(), &"float64".into())
    );
    assert_eq!(got["shape"], serde_json::json!([30, 7]));

    // The same shape and type: the next version. Another one: another item under the name.
    let next = files.npy("x.npy", &ramp(9.0));
    let put = json(&["put", &name, &next, "--json"]);
    assert_eq!((&put["version"], &put["how"]), (&2.into(), &"updated".into()));
    json(&["get", &from, "-o", &to, "--json"]);
    assert_same(&to, &ramp(9.0));
    let put = json(&["put", &from, &small, "--json"]);
    assert_eq!((&put["how"], &put["dtype"]), (&"swapped".into(), &"uint8".into()));
    let output = run(&["get", &from, "-o", &to]);
    assert!(
        stdout(&output).starts_with(&format!("{from}: version 1, (3,) uint8, saved to")),
        "{}",
        stdout(&output)
    );
    let put = json(&["put", &format!("{name}/new"), &next, "--json"]);
    assert_eq!((&put["version"], &put["how"]), (&1.into(), &"created".into()));
    server.end();
}

#[test]
fn a_signal_ends_a_server_and_all_that_it_has() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let (files, name) = (Files::new(), new_name());
        let x = files.npy("x.npy", &ramp(0.0));
        for watch in [&["--watch"][..], &[]] {
            let mut server = Running::serve(&name, &[&[x.as_str()], watch].concat());
            assert_eq!(files_of(&name).len(), 2);
            server.signal(signal);
            let status = server.wait();
            assert_eq!(status.signal(), Some(signal as i32), "{status}");
            assert_eq!((server.stderr().as_str(), files_of(&name)), ("", vec![]));
        }
    }
}

#[test]
fn a_killed_server_is_taken_over_by_the_next() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &ramp(4.0));
    let mut server = Running::serve(&name, &[&x]);
    server.signal(Signal::SIGKILL);
    server.wait();

    // What it had is readable all the while.
    let (from, to) = (format!("{name}/x"), files.text("out.npy"));
    json(&["get", &from, "-o", &to, "--json"]);
    assert_same(&to, &ramp(4.0));
    assert_fails(&["put", &format!("{name}/new"), &x], "no server");
    let mut server = Running::start(&["serve", "--name", &name]);
    assert_eq!(server.line(), format!("recovered {name}/x"));
    assert_eq!(server.line(), format!("serving {name}"));
    assert_eq!(json(&["put", &from, &x, "--json"])["version"], 2);
    server.end();
    assert_eq!(files_of(&name), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_server_that_cannot_begin_leaves_what_it_has_found() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &ramp(4.0));
    let mut server = Running::serve(&name, &[&x]);
    server.signal(Signal::SIGKILL);
    server.wait();
    let output = run(&["serve", "--name", &name, &files.text("missing.npy")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), format!("recovered {name}/x\n"));
    let mut server = Running::start(&["serve", "--name", &name]);
    assert_eq!(server.line(), format!("recovered {name}/x"));
    server.end();
}

#[test]
fn a_server_goes_on_when_nobody_reads_what_it_prints() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &ramp(4.0));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let server = ndpool().args(["serve", "--name", &name, "--watch", &x]).stdout(writer).spawn();
    let mut server = Ended(server.unwrap());
    let wait = std::time::Duration::from_secs(60);
    let client = DataClient::connect_when_there(&ndpool::shared::Options::new(), &name, wait).unwrap();
    // A change of what there is: the item is created, and swapped for one of another shape.
    while client.items().unwrap().is_empty() {
        client.wait_changes(client.changes().unwrap(), Some(std::time::Duration::from_millis(50))).unwrap();
    }
    let item = client.any_array("x").unwrap();
    files.npy("x.npy", &array![1.0]);
    assert_eq!(item.wait(1, Some(wait)), ndpool::server::Change::Replaced);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(server.0.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn what_a_killed_server_had_is_reaped_if_it_says_so() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &ramp(4.0));
    let mut server = Running::serve(&name, &["--after-kill", "remove", &x]);
    let names = |list: &serde_json::Value| -> Vec<String> {
        let names =
            list.as_array().expect("a list").iter().map(|info| info["name"].as_str().unwrap().to_owned());
        names.filter(|found| found.starts_with(&name)).collect()
    };
    let listed = json(&["ls", "--json"]);
    assert_eq!(names(&listed["published"]), [name.clone(), format!("{name}/x")]);
    assert_eq!(names(&json(&["reap", "--kept", "--dry-run", "--json"])["removed_published"]), [""; 0]);
    let text = run(&["ls"]);
    for word in ["PUBLISHED", "in use", "double buffer", &format!("{name}/x")] {
        assert!(stdout(&text).contains(word), "no `{word}` in\n{}", stdout(&text));
    }

    server.signal(Signal::SIGKILL);
    server.wait();
    let dry = json(&["reap", "--dry-run", "--json"]);
    assert_eq!(names(&dry["removed_published"]), [name.clone(), format!("{name}/x")], "{dry}");
    assert_eq!(files_of(&name).len(), 2);
    // Tests that run at the same time may be the ones to reap it.
    json(&["reap", "--json"]);
    assert_eq!(files_of(&name), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_cannot_be_done_is_explained() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &ramp(4.0));
    let out = files.text("out.npy");
    let mut server = Running::serve(&name, &[&x, &format!("y={x}"), "--max-items", "4"]);
    let at = |item: &str| format!("{name}/{item}");

    assert_fails(&["serve", "--name", &name], "already");
    assert_fails(&["serve", "--name", "0123456789abcdef"], "0123456789abcdef");
    assert_fails(&["serve", "--name", &new_name(), &files.text("missing.npy")], "missing.npy");
    assert_fails(&["serve", "--name", &new_name(), &files.bytes("odd.npy", b"no array")], "odd.npy`: not a");
    let pipe = files.text("pipe.npy");
    nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_fails(&["serve", "--name", &new_name(), &pipe], "no regular file");
    let dated = files.npy("2026-01.npy", &ramp(4.0));
    assert_fails(&["serve", "--name", &new_name(), &dated], "say ITEM=FILE.npy");
    assert_fails(&["put", &name, &dated], "say SERVER/ITEM");
    assert_fails(&["get", &format!("{name}-not/x"), "-o", &out], "no server");
    assert_fails(&["watch", &format!("{name}-not"), "--count", "1"], "no server");
    assert_fails(&["get", &at("z"), "-o", &out], "no item `z`");
    assert_fails(&["watch", &at("z"), "--count", "1"], "no item `z`");
    assert_fails(&["get", &name, "-o", &out], "2 items");
    assert_fails(&["put", &at("z"), &files.text("missing.npy")], "missing.npy");
    assert_fails(&["get", &at("x"), "--column", "price", "-o", &out], "has no named columns");
    assert_fails(&["get", &at("x"), "-o", &files.text("no/folder/out.npy")], "out.npy");

    let client = DataClient::connect(&name).unwrap();
    let schema = Schema::new(3).column::<f64>("price").column::<u32>("volume");
    let trades = client.create_frame("trades", &schema).unwrap();
    trades.write(|frame| frame.assign("volume", aview1(&[5_u32, 6, 7]))).unwrap();
    assert_fails(&["get", &at("trades"), "-o", &out], "is a frame");
    assert_fails(&["get", &at("trades"), "--column", "prise", "-o", &out], "no column `prise`");
    assert_eq!(json(&["get", &at("trades"), "--column", "volume", "-o", &out, "--json"])["dtype"], "uint32");
    assert_eq!(read_npy::<_, Array1<u32>>(&out).unwrap(), array![5, 6, 7]);

    json(&["put", &at("z"), &x, "--json"]);
    assert_fails(&["put", &at("one-too-many"), &x], "items");
    server.end();
}
