//! Goal: programs can rely on the JSON: its members, and that every number reads back to the same bits.
//!
//! Method: arrays of chosen and of random bits through the real binary. The largest element along an axis of length 1
//! is the element itself, so that one run carries thousands of bit patterns from a file to JSON.

mod support;

use std::fmt::Debug;
use std::str::FromStr;

use ndarray_npy::{ReadableElement, WritableElement, read_npy};
use ndpool::ndarray::{Array1, Array2, ArrayD, array};
use ndpool::num_complex::Complex;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::{Files, json, keys, run, stderr, stdout};

#[test]
fn describe_has_its_members() {
    let files = Files::new();
    let x = files.npy("x.npy", &array![[1.5_f64, -2.0], [4.0, 0.5]]);
    let mut found = json(&["describe", &x, "--json", "--workers", "2", "--repeat", "2"]);
    let all = [
        "argmax",
        "argmin",
        "bytes_per_second",
        "count",
        "dtype",
        "file",
        "max",
        "mean",
        "min",
        "nan_count",
        "seconds",
        "shape",
        "std",
        "sum",
        "workers",
    ];
    assert_eq!(keys(&found), all);
    let object = found.as_object_mut().unwrap();
    assert!(object.remove("seconds").unwrap().as_f64().unwrap() > 0.0);
    assert!(object.remove("bytes_per_second").unwrap().as_f64().unwrap() > 0.0);
    assert!(object.remove("std").unwrap().as_f64().unwrap() > 0.0);
    assert_eq!(
        found,
        json!({
            "file": x, "shape": [2, 2], "dtype": "float64", "count": 4, "nan_count": 0, "sum": 4.0, "mean": 1.0,
            "min": -2.0, "argmin": 1, "max": 4.0, "argmax": 2, "workers": 2,
        })
    );
}

#[test]
fn describe_prints_a_table_for_people() {
    let files = Files::new();
    let x = files.npy("x.npy", &array![[1_i32, -2], [4, 0]]);
    let output = run(&["describe", &x, "--workers", "1"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    for line in
        ["shape      (2, 2)", "dtype      int32", "min        -2", "argmin     1  (0, 1)", "sum        3"]
    {
        assert!(stdout(&output).lines().any(|found| found == line), "no `{line}` in\n{}", stdout(&output));
    }
}

#[test]
fn what_is_not_finite_or_not_real_has_a_form() {
    let files = Files::new();
    let x = files.npy("x.npy", &array![f64::NAN, 1.0, f64::NEG_INFINITY]);
    let found = json(&["describe", &x, "--json", "--workers", "1"]);
    assert_eq!(
        (&found["nan_count"], &found["sum"], &found["max"]),
        (&json!(1), &json!("nan"), &json!("nan"))
    );
    let low = json(&["reduce", &x, "--op", "nanmin", "--json", "--workers", "1"]);
    assert_eq!(low["value"], "-inf");
    let z = files.npy("z.npy", &array![Complex::new(0.1_f32, f32::INFINITY), Complex::new(0.2, 0.0)]);
    let found = json(&["reduce", &z, "--op", "sum", "--json", "--workers", "1"]);
    assert_eq!(found["value"], json!({"re": 0.3, "im": "inf"}));
    let b = files.npy("b.npy", &array![true, false]);
    assert_eq!(json(&["reduce", &b, "--op", "any", "--json", "--workers", "1"])["value"], true);
}

#[test]
fn reduce_has_its_members() {
    let files = Files::new();
    let x = files.npy("x.npy", &array![[1_i64, 2, 3], [4, 5, 6]]);
    let found =
        json(&["reduce", &x, "--op", "sum", "--axis", "-2", "--json", "--workers", "2", "--attempts", "5"]);
    let all = [
        "axis",
        "blocks_redone",
        "bytes_per_second",
        "deaths",
        "op",
        "seconds",
        "shape",
        "value",
        "workers",
        "workers_lost",
    ];
    assert_eq!(keys(&found), all);
    assert_eq!((&found["op"], &found["axis"], &found["shape"]), (&json!("sum"), &json!(0), &json!([3])));
    assert_eq!(found["value"], json!([5, 7, 9]));
    assert_eq!(
        (&found["workers"], &found["workers_lost"], &found["blocks_redone"]),
        (&json!(2), &json!(0), &json!(0))
    );
    let whole = json(&["reduce", &x, "--op", "sum", "--json", "--workers", "1"]);
    assert_eq!((&whole["axis"], &whole["shape"], &whole["value"]), (&Value::Null, &json!([]), &json!(21)));
    let nested = files.npy("nested.npy", &ndpool::ndarray::Array3::<u8>::ones((2, 3, 2)));
    let nested = json(&["reduce", &nested, "--op", "max", "--axis", "1", "--json", "--workers", "1"]);
    assert_eq!(nested["value"], json!([[1, 1], [1, 1]]));
}

#[test]
fn options_reach_their_operations() {
    let files = Files::new();
    let x = files.npy("x.npy", &array![3.0_f64, -4.0]);
    let n = files.npy("n.npy", &array![0_u8, 2, 2]);
    let value = |args: &[&str]| {
        json(&[&["reduce"], args, &["--json", "--workers", "1"][..]].concat())["value"].clone()
    };
    assert_eq!(value(&[&x, "--op", "var", "--ddof", "1"]), 24.5);
    assert_eq!(value(&[&x, "--op", "norm"]), 5.0);
    assert_eq!(value(&[&x, "--op", "norm", "--ord", "1"]), 7.0);
    assert_eq!(value(&[&x, "--op", "norm1"]), 7.0);
    assert_eq!(value(&[&x, "--op", "norminf"]), 4.0);
    assert_eq!(value(&[&x, "--op", "dot", "--with", &x]), 25.0);
    assert_eq!(
        value(&[&x, "--op", "histogram", "--bins", "2", "--range", "-5", "5"]),
        json!({"counts": [1, 1], "edges": [-5.0, 0.0, 5.0]})
    );
    assert_eq!(value(&[&n, "--op", "bincount", "--minlength", "5"]), json!([1, 0, 2, 0, 0]));
    assert_eq!(value(&[&n, "--op", "unique_counts"]), json!({"values": [0, 2], "counts": [1, 2]}));
    let output = run(&["reduce", &n, "--op", "unique_counts", "--limit", "1", "--workers", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
}

/// The largest elements along the first axis of length 1, as texts in JSON.
fn through_json<T: WritableElement + Clone>(files: &Files, x: &[T]) -> Vec<String> {
    let row = Array2::from_shape_vec((1, x.len()), x.to_vec()).unwrap();
    let path = files.npy("row.npy", &row);
    let output = run(&["reduce", &path, "--op", "max", "--axis", "0", "--json", "--workers", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The text itself: what a parser of JSON makes of a number is not the question.
    let text = stdout(&output);
    let (_, rest) = text.split_once(r#""value":["#).expect("a list");
    let (list, _) = rest.split_once(']').expect("a list");
    list.split(',').map(|number| number.trim_matches('"').to_owned()).collect()
}

fn assert_same<T: FromStr<Err: Debug>, B: PartialEq + Debug>(texts: &[String], x: &[T], bits: fn(&T) -> B) {
    assert_eq!(texts.len(), x.len());
    for (text, x) in texts.iter().zip(x) {
        assert_eq!(bits(&text.parse::<T>().unwrap()), bits(x), "{text}");
    }
}

/// Random values of a strategy.
fn random<S: Strategy>(n: usize, strategy: S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..n).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn floats_read_back_to_the_same_bits() {
    const N: usize = 20_000;
    let files = Files::new();
    let mut x: Vec<f64> =
        random(N, any::<u64>()).into_iter().map(f64::from_bits).filter(|x| !x.is_nan()).collect();
    x.extend([
        0.0,
        -0.0,
        f64::MIN_POSITIVE,
        5e-324,
        f64::MAX,
        f64::INFINITY,
        -f64::INFINITY,
        0.1,
        1e15,
        1e16,
        1e23,
    ]);
    assert_same(&through_json(&files, &x), &x, |x| x.to_bits());

    let mut x: Vec<f32> =
        random(N, any::<u32>()).into_iter().map(f32::from_bits).filter(|x| !x.is_nan()).collect();
    x.extend([0.0, -0.0, f32::MIN_POSITIVE, 1e-45, f32::MAX, f32::INFINITY, 0.1, 16_777_216.0, 3.4e38]);
    let texts = through_json(&files, &x);
    assert_same(&texts, &x, |x| x.to_bits());
    // The digits are those of an f32, not of its widening.
    assert!(texts.iter().any(|text| text == "0.1"));
    assert!(texts.iter().all(|text| text.len() <= 16), "{:?}", texts.iter().max_by_key(|text| text.len()));
}

#[test]
fn integers_keep_all_digits() {
    let files = Files::new();
    let mut x: Vec<i64> = random(1_000, any::<i64>());
    x.extend([0, i64::MIN, i64::MAX, (1 << 53) + 1]);
    assert_same(&through_json(&files, &x), &x, |x| *x);
    let mut x: Vec<u64> = random(1_000, any::<u64>());
    x.extend([0, u64::MAX, (1 << 53) + 1]);
    assert_same(&through_json(&files, &x), &x, |x| *x);
}

#[test]
fn saved_results_are_read_by_others() {
    fn saved<T: ReadableElement>(files: &Files, args: &[&str], name: &str) -> ArrayD<T> {
        let out = files.text("out.npy");
        let output = run(&[&["reduce"], args, &["-o", &out, "--workers", "1"][..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains(&files.text(name)), "{}", stdout(&output));
        read_npy(files.path(name)).unwrap()
    }
    let files = Files::new();
    let x = files.npy("x.npy", &array![[0.1_f32, 0.2, 0.3], [1.0, f32::NAN, -0.0]]);
    let sums: ArrayD<f32> = saved(&files, &[&x, "--op", "nansum", "--axis", "0"], "out.npy");
    assert_eq!(sums, array![1.1_f32, 0.2, 0.3].into_dyn());
    let places: ArrayD<u64> = saved(&files, &[&x, "--op", "argmax", "--axis", "-1"], "out.npy");
    assert_eq!(places, array![2_u64, 1].into_dyn());
    let total: ArrayD<f32> = saved(&files, &[&x, "--op", "nanmax"], "out.npy");
    assert_eq!((total.shape(), total.first()), (&[][..], Some(&1.0)));
    let n = files.npy("n.npy", &Array1::from_iter(0..100_u16));
    let counts: ArrayD<u64> = saved(&files, &[&n, "--op", "histogram", "--bins", "4"], "out.counts.npy");
    assert_eq!(counts, array![25_u64, 25, 25, 25].into_dyn());
    let edges: ArrayD<f64> = read_npy(files.path("out.edges.npy")).unwrap();
    assert_eq!(edges.len(), 5);
}
