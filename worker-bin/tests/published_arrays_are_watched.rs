//! Goal: `watch` follows what a server publishes: a line for each array and look, with the figures of that very version; it goes on
//! while items come and go and while servers end and begin, ends at SIGINT, and tells Prometheus the same.
//!
//! Method: real processes, lines of JSON, and figures that the test knows. The exporter is scraped by a plain HTTP request over an address
//! of the loopback network that no other test has.

mod support;

use std::io::Read;
#[cfg(feature = "prometheus")]
use std::io::Write;
#[cfg(feature = "prometheus")]
use std::net::TcpStream;

use ndpool::ndarray::prelude::*;
use ndpool::server::DataClient;
use ndpool::shared::Schema;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::server::{Ended, Running, new_name};
use support::{Files, keys, ndpool, run, stderr, stdout};

const EVERY: [&str; 2] = ["--every", "10ms"];

/// The next line about an item that fits.
fn next(watch: &mut Running, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line: Value = serde_json::from_str(&watch.line()).expect("each line is a JSON object");
        if line["name"] == name && fits(&line) {
            return line;
        }
    }
}

fn figures(line: &Value) -> Value {
    let figures = ["version", "dtype", "shape", "count", "nan_count", "mean", "std", "min", "max"];
    figures.iter().map(|key| line[*key].clone()).collect()
}

#[test]
fn every_version_has_its_own_figures() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &array![[1.0, 2.0], [3.0, 6.0]]);
    let mut server = Running::serve(&name, &[&x]);
    let item = format!("{name}/x");
    let mut watch = Running::start(&[&["watch", &name, "--json"][..], &EVERY].concat());
    let first = next(&mut watch, &item, |_| true);
    assert_eq!(figures(&first), json!([1, "float64", [2, 2], 4, 0, 3.0, 3.5_f64.sqrt(), 1.0, 6.0]));
    let mut known = [
        "age_seconds",
        "column",
        "count",
        "dtype",
        "max",
        "mean",
        "min",
        "name",
        "nan_count",
        "rate",
        "shape",
        "std",
        "time",
        "version",
    ];
    known.sort_unstable();
    assert_eq!(keys(&first), known);
    assert_eq!(first["rate"], Value::Null, "there was no look before");
    assert!(first["age_seconds"].as_f64() >= Some(0.0) && first["time"].as_f64() > Some(1.7e9));

    let client = DataClient::connect(&name).unwrap();
    client.put("x", &array![[1.0, f64::NAN], [3.0, 6.0]]).unwrap();
    let second = next(&mut watch, &item, |line| line["version"] == 2);
    assert_eq!(figures(&second), json!([2, "float64", [2, 2], 4, 1, "nan", "nan", "nan", "nan"]));
    assert!(second["rate"].as_f64() > Some(0.0), "{second}");
    // Swapped for another type, removed, and another one created.
    client.put("x", &array![u64::MAX, 1]).unwrap();
    let third = next(&mut watch, &item, |line| line["dtype"] == "uint64");
    assert_eq!((&third["max"], &third["rate"]), (&json!(u64::MAX), &Value::Null));
    client.remove("x").unwrap();
    client.put("y", &Array1::<bool>::from_elem(5, true)).unwrap();
    let other = next(&mut watch, &format!("{name}/y"), |_| true);
    assert_eq!(figures(&other), json!([1, "bool", [5], 5, 0, 1.0, 0.0, true, true]));
    // The columns of a frame.
    let schema = Schema::new(3).column::<f32>("price").column::<i16>("size");
    let trades = client.create_frame("trades", &schema).unwrap();
    trades.write(|frame| frame.assign("size", aview1(&[-1_i16, 0, 4]))).unwrap();
    let column =
        next(&mut watch, &format!("{name}/trades"), |line| line["column"] == "size" && line["version"] == 2);
    assert_eq!((&column["mean"], &column["min"], &column["max"]), (&json!(1.0), &json!(-1), &json!(4)));

    // A server that ends, and another one with its name.
    drop(trades);
    server.end();
    let mut server = Running::serve(&name, &[&x]);
    let again = next(&mut watch, &item, |line| line["dtype"] == "float64");
    assert_eq!(figures(&again), figures(&first));
    watch.signal(Signal::SIGINT);
    assert_eq!((watch.wait().code(), watch.stderr().as_str()), (Some(0), ""));
    server.end();
}

#[test]
fn a_table_is_printed_for_people() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &array![1.0, 2.0, 6.0]);
    let mut server = Running::serve(&name, &[&x, &format!("y={x}")]);
    let output = run(&["watch", &name, "--count", "2", "--every", "1ms"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    let looks: Vec<&str> = stdout(&output).split("\n\n").filter(|look| !look.is_empty()).collect();
    assert_eq!(looks.len(), 2, "{looks:?}");
    for look in looks {
        let lines: Vec<Vec<&str>> = look.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAME", "MEAN", "STD", "MIN", "MAX", "VERSION", "RATE", "AGE", "ARRAY"]);
        assert_eq!(lines[1][..6], [&format!("{name}/x"), "3", "2.16025", "1", "6", "1"]);
        assert_eq!(lines.len(), 3);
    }
    let output = run(&["watch", &format!("{name}/y"), "--count", "1"]);
    assert_eq!(stdout(&output).lines().filter(|line| line.contains(&name)).count(), 1);
    assert!(!stdout(&output).contains('\x1b'), "stdout is no terminal");
    server.end();
}

/// What a terminal of endless size shows after this output of `watch`.
fn screen(output: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0, 0);
    let mut rest = output;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\x1b[2J") {
            (lines, rest) = (vec![Vec::new(); row + 1], after);
        } else if let Some(after) = rest.strip_prefix("\x1b[H") {
            (row, column, rest) = (0, 0, after);
        } else if let Some(after) = rest.strip_prefix("\x1b[J") {
            lines.truncate(row + 1);
            lines[row].truncate(column);
            rest = after;
        } else {
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' => column = 0,
                '\n' => row += 1,
                _ => {
                    let line: &mut Vec<char> = &mut lines[row];
                    line.resize(line.len().max(column + 1), ' ');
                    line[column] = c;
                    column += 1;
                }
            }
            lines.resize(lines.len().max(row + 1), Vec::new());
        }
    }
    lines.iter().map(|line| line.iter().collect()).collect()
}

#[test]
fn a_table_on_a_terminal_is_drawn_over_the_one_before() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &array![1.0, 2.0, 6.0]);
    let mut server = Running::serve(&name, &[&x, &format!("a_longer_name={x}")]);
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    let watch = ndpool().args(["watch", &name, EVERY[0], EVERY[1]]).stdout(terminal.slave).spawn();
    let mut watch = Ended(watch.unwrap());
    let mut shown = std::fs::File::from(terminal.master);
    let mut output = String::new();
    // Reads on until the newest whole look fits.
    let mut look = |fits: &dyn Fn(&str) -> bool| loop {
        let mut bytes = [0; 4096];
        let n = shown.read(&mut bytes).expect("it goes on");
        output += std::str::from_utf8(&bytes[..n]).expect("names and numbers are ASCII");
        let looks: Vec<&str> = output.split("\x1b[H").collect();
        if looks.len() > 2 && fits(looks[looks.len() - 2]) {
            let end = output.rfind("\x1b[H").expect("there are looks");
            return screen(&output[..end]);
        }
    };
    let both = look(&|look| look.contains("a_longer_name"));
    assert_eq!(both.len(), 4, "{both:?}");
    DataClient::connect(&name).unwrap().remove("a_longer_name").unwrap();
    let one = look(&|look| !look.contains("a_longer_name"));
    assert_eq!(one.len(), 3, "{one:?}");
    assert!(
        one[0].starts_with("NAME ") && one[1].starts_with(&format!("{name}/x ")) && one[2].is_empty(),
        "{one:?}"
    );
    assert!(!one[1].contains("a_longer_name"), "{one:?}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(watch.0.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
    server.end();
}

#[test]
fn a_table_fits_its_terminal() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &array![1.0]);
    let items = ["a", "b", "c", "d"].map(|item| format!("{item}={x}"));
    let mut server = Running::serve(&name, &items.each_ref().map(String::as_str));
    let size = nix::pty::Winsize { ws_row: 4, ws_col: 20, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = nix::pty::openpty(&size, None).expect("a terminal");
    let watch = ndpool().args(["watch", &name, "--count", "1"]).stdout(terminal.slave).spawn();
    let mut watch = Ended(watch.unwrap());
    let mut shown = Vec::new();
    // That nobody has the other end any more is an error here, and the end of the output.
    let _ = std::fs::File::from(terminal.master).read_to_end(&mut shown);
    let screen = screen(std::str::from_utf8(&shown).unwrap());
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
    assert_eq!(screen.len(), 4, "{screen:?}");
    assert!(screen.iter().all(|line| line.chars().count() <= 20), "{screen:?}");
    assert_eq!(screen[2..], ["… and 3 more", ""]);
    server.end();
}

#[test]
fn a_look_without_arrays_says_why() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &array![1.0]);
    let mut server = Running::serve(&name, &[&x, &format!("up={x}")]);
    let mut watch = Running::start(&["watch", &format!("{name}/x"), EVERY[0], EVERY[1]]);
    let client = DataClient::connect(&name).unwrap();
    assert!(watch.line().starts_with("NAME "));
    client.remove("x").unwrap();
    watch.lines_to(&format!("{name}/x: not published"));
    // A bool that is none, there from the moment that the name is.
    client.put("up", &array![true]).unwrap();
    let path = |item: &str| format!("/dev/shm/ndpool.{name}.{item}");
    let mut bytes = std::fs::read(path("up")).unwrap();
    bytes[4096] = 7;
    std::fs::write(path("x.new"), bytes).unwrap();
    std::fs::set_permissions(path("x.new"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(path("x.new"), path("x")).unwrap();
    watch.lines_to(&format!("{name}/x: cannot be read"));
    server.end();
    watch.lines_to(&format!("{name}/x: no server"));
    watch.end();
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &array![1.0]);
    let mut server = Running::serve(&name, &[&x]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    // Without --count: it ends for want of a reader, or never.
    let output = ndpool().args(["watch", &name, "--json", "--every", "1ms"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    server.end();
}

#[cfg(feature = "prometheus")]
/// What a scrape of the metrics at an address gives.
fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the exporter listens");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

#[cfg(feature = "prometheus")]
/// The value of a metric with these labels.
fn value(metrics: &str, name: &str, labels: &[String]) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(feature = "prometheus")]
#[test]
fn prometheus_is_told_the_same() {
    let (files, name) = (Files::new(), new_name());
    let x = files.npy("x.npy", &array![[1_i32, 2], [3, 6]]);
    let mut server = Running::serve(&name, &[&x]);
    let [.., a, b] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{a}.{b}:9464", 1 + name.len());
    let option = format!("--prometheus={address}");
    let args = [&["watch", &name, "--json", &option][..], &EVERY].concat();
    let mut watch = Running::start(&args);
    let item = format!("{name}/x");
    next(&mut watch, &item, |line| line["version"] == 1);

    let labels = [format!("server=\"{name}\""), "array=\"x\"".to_owned()];
    let metrics = scrape(&address);
    let found = ["mean", "std", "min", "max", "nans", "elements", "version"]
        .map(|figure| value(&metrics, &format!("ndpool_array_{figure}"), &labels));
    let wanted = [3.0, 3.5_f64.sqrt(), 1.0, 6.0, 0.0, 4.0, 1.0].map(Some);
    assert_eq!(found, wanted, "{metrics}");
    assert_eq!(value(&metrics, "ndpool_server_up", &labels[..1]), Some(1.0));
    assert!(value(&metrics, "ndpool_analytics_passes_total", &labels[..1]) > Some(0.0));
    assert!(metrics.contains("# HELP ndpool_array_mean Mean of the elements\n"), "{metrics}");
    assert!(metrics.contains("# TYPE ndpool_array_mean gauge\n"), "{metrics}");

    DataClient::connect(&name).unwrap().put("x", &array![[10_i32, 20], [30, 60]]).unwrap();
    next(&mut watch, &item, |line| line["version"] == 2);
    assert_eq!(value(&scrape(&address), "ndpool_array_mean", &labels), Some(30.0));

    // The address is taken.
    let output = run(&args);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot serve metrics") && stderr(&output).contains("(hint: "),
        "{}",
        stderr(&output)
    );
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.wait().code(), Some(0));
    server.end();
}
