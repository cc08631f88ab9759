//! The worker against a server of this process, and metrics against a recorder that keeps them.

use std::collections::HashMap;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use ndarray::array;
use num_complex::Complex;

use super::*;
use crate::ops::dynamic::Number;
use crate::server::{DataClient, DataServer};
use crate::shared::{Event, Schema};

fn name(what: &str) -> String {
    format!("analytics-{what}-{}", std::process::id())
}

/// Item, column, version and mean of all that a pass has seen.
fn means(pass: &Pass) -> Vec<(&str, Option<&str>, u64, Option<Number>)> {
    let mean = |seen: &Seen| seen.figures.map(|figures| figures.mean);
    pass.seen.iter().map(|s| (s.item.as_str(), s.column.as_deref(), s.version, mean(s))).collect()
}

#[test]
fn a_worker_follows_what_is_published() {
    let name = name("follows");
    let mut worker = {
        let server = DataServer::new(&name).unwrap();
        let mut worker = Analytics::new(DataClient::connect(&name).unwrap());
        assert_eq!(means(&worker.pass().unwrap()), []);
        server.put("b", &array![1.0, 3.0]).unwrap();
        let schema = Schema::new(2).column::<i32>("x").column::<f32>("y");
        let frame = server.create_frame("a", &schema).unwrap();
        let camera = server.create_double_buffer::<u8, ndarray::Ix2>("c", (2, 2)).unwrap();
        let [zero, two] = [0.0, 2.0].map(|x| Some(Number::Float(x)));
        let found = worker.pass().unwrap();
        let columns = [("a", Some("x"), 1, zero), ("a", Some("y"), 1, Some(Number::Float32(0.0)))];
        // Nothing was written to the double buffer yet.
        assert_eq!(means(&found), [columns[0], columns[1], ("b", None, 1, two), ("c", None, 0, None)]);
        assert!(found.is_alive && found.failed.is_empty());

        frame.write(|frame| frame.assign("x", array![3, 5].view())).unwrap();
        camera.writer().unwrap().write(|mut frame| frame.fill(9));
        server.put("b", &array![[1_u8, 2]]).unwrap();
        let found = worker.pass().unwrap();
        assert_eq!(means(&found)[0], ("a", Some("x"), 2, Some(Number::Float(4.0))));
        assert_eq!(
            means(&found)[2..],
            [("b", None, 1, Some(Number::Float(1.5))), ("c", None, 1, Some(Number::Float(9.0)))]
        );
        server.remove("b").unwrap();
        assert_eq!(worker.pass().unwrap().seen.len(), 3);
        worker
    };
    let found = worker.pass().unwrap();
    assert!(!found.is_alive && found.seen.is_empty() && found.failed.is_empty());
    let server = DataServer::new(&name).unwrap();
    server.put("b", &array![7.0]).unwrap();
    assert_eq!(means(&worker.pass().unwrap()), [("b", None, 1, Some(Number::Float(7.0)))]);
}

#[test]
fn what_has_not_changed_is_not_computed_again() {
    let name = name("unchanged");
    let server = DataServer::new(&name).unwrap();
    let buffer = server.create_double_buffer::<f64, ndarray::Ix1>("x", 1_000).unwrap();
    let mut writer = buffer.writer().unwrap();
    writer.write(|mut x| x.fill(1.0));
    let mut worker = Analytics::new(server.client().clone()).only("x");
    let first = worker.pass().unwrap();
    let second = worker.pass().unwrap();
    assert_eq!((first.n_computed, second.n_computed), (1, 0));
    assert_eq!(second.seen, first.seen);
    writer.write(|mut x| x.fill(2.0));
    assert_eq!(worker.pass().unwrap().n_computed, 1);
}

#[test]
fn the_event_wakes_a_worker_that_sleeps() {
    let name = name("stop");
    let server = DataServer::new(&name).unwrap();
    server.put("x", &array![1.0]).unwrap();
    let stop = Event::create(&format!("{name}-event")).unwrap();
    let (told, hear) = std::sync::mpsc::channel();
    let worker = std::thread::spawn({
        let client = server.client().clone();
        let stop = Event::attach(&format!("{name}-event")).unwrap();
        move || {
            Analytics::new(client).run(Duration::from_secs(3600), &stop, |pass| {
                told.send(pass.seen.len()).unwrap();
            })
        }
    });
    assert_eq!(hear.recv().unwrap(), 1);
    stop.set();
    assert_eq!(worker.join().unwrap().unwrap(), 1, "it would sleep for an hour");
}

#[test]
fn metrics_say_what_was_seen() {
    let name = name("metrics");
    let server = DataServer::new(&name).unwrap();
    server.put("x", &array![1_i8, 3]).unwrap();
    server.put("z", &array![Complex::new(1.0_f64, 2.0)]).unwrap();
    let frame = server.create_frame("t", &Schema::new(1).column::<f64>("price")).unwrap();
    frame.write(|frame| frame.assign("price", array![f64::NAN].view())).unwrap();
    let mut worker = Analytics::new(server.client().clone());
    let recorder = DebuggingRecorder::new();
    ::metrics::with_local_recorder(&recorder, || {
        describe_metrics();
        worker.pass().unwrap().publish();
        worker.pass().unwrap().publish();
    });
    let mut found = HashMap::new();
    for (key, _, description, value) in recorder.snapshotter().snapshot().into_vec() {
        assert!(description.is_some(), "{key:?}");
        let labels: Vec<&str> = key.key().labels().map(::metrics::Label::value).collect();
        assert_eq!(labels[0], name);
        found.insert((key.key().name().to_owned(), labels[1..].join(".")), value);
    }
    let gauge = |what: &str, array: &str| match found.get(&(format!("ndpool_array_{what}"), array.to_owned()))
    {
        Some(DebugValue::Gauge(value)) => Some(value.0),
        None => None,
        Some(other) => panic!("{other:?}"),
    };
    let all = ["mean", "std", "min", "max", "nans", "elements", "version"];
    assert_eq!(all.map(|what| gauge(what, "x")), [2.0, 1.0, 1.0, 3.0, 0.0, 2.0, 1.0].map(Some));
    assert_eq!(all.map(|what| gauge(what, "z"))[..4], [None, Some(0.0), None, None]);
    assert!(gauge("mean", "t.price").is_some_and(f64::is_nan));
    assert_eq!((gauge("nans", "t.price"), gauge("version", "t.price")), (Some(1.0), Some(2.0)));
    assert!(gauge("age_seconds", "x").is_some());
    let passes = &found[&("ndpool_analytics_passes_total".to_owned(), String::new())];
    assert_eq!(*passes, DebugValue::Counter(2));
    assert_eq!(found[&("ndpool_analytics_errors_total".to_owned(), String::new())], DebugValue::Counter(0));
    assert!(
        matches!(&found[&("ndpool_analytics_pass_seconds".to_owned(), String::new())], DebugValue::Histogram(times) if times.len() == 2)
    );
}
