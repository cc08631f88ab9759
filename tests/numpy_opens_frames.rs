//! Goal: NumPy opens a frame by its path while it is used, reads one version of it, and knows that it did.
//!
//! Method: Python maps the file, looks at the version, copies columns, looks whether they were still those, and prints what it read: of a
//! frame at rest, and of one that is written at full speed meanwhile, whose columns must agree. Without Python or NumPy the test says so and ends; with `NDPOOL_TEST_REQUIRE_NUMPY=1` that is a
//! failure. `NDPOOL_TEST_PYTHON` names another interpreter.

use ndarray::prelude::*;
use ndpool::num_complex::Complex;
use ndpool::shared::{Schema, SharedFrame};
use ndpool_tests::{has_numpy, watchdog};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// How Python reads frames.
const LIBRARY: &str = include_str!("numpy/frame.py");

fn start(script: &str, path: &Path) -> Child {
    let script = format!("{LIBRARY}\nimport sys\npath = sys.argv[1]\n{script}");
    let mut command = ndpool_tests::python();
    command.args(["-c", &script]).arg(path).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What a script prints.
fn finish(child: Child) -> Vec<String> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn python(script: &str, path: &Path) -> Vec<String> {
    finish(start(script, path))
}

fn name(test: &str) -> String {
    format!("numpy-{test}-{}", std::process::id())
}

#[test]
fn columns_of_all_types_are_read() {
    let _watchdog = watchdog();
    if !has_numpy() {
        return;
    }
    let schema = Schema::new(5)
        .column::<f64>("price")
        .column::<bool>("up")
        .column::<Complex<f32>>("phase")
        .column::<i16>("f1")
        .column::<u64>("volume");
    let frame = SharedFrame::create(&name("types"), &schema).unwrap();
    for round in 1..4 {
        frame
            .write(|frame| {
                frame.assign("price", array![0.5, 1.5, 2.5, 3.5, f64::from(round)].view())?;
                frame.assign("up", array![true, false, true, true, round == 2].view())?;
                frame.column_mut::<Complex<f32>>("phase")?.fill(Complex::new(1.0, -2.0));
                frame.column_mut::<i16>("f1")?[0] -= 1;
                frame.column_mut::<u64>("volume")?[4] = u64::MAX;
                Ok(())
            })
            .unwrap();
    }
    let printed = python(
        "a = np.load(path, mmap_mode='r')
assert a.dtype.names == ('price', 'up', 'phase', 'f1', 'volume') and a.dtype.itemsize % 64 == 0, a.dtype
assert all(a.dtype.fields[name][1] % 64 == 0 for name in a.dtype.names)
assert not a.flags.writeable
frame = Frame(path)
version, columns = frame.read()
print(version)
for name in a.dtype.names: print(name, columns[name].dtype.str, columns[name].tolist())",
        frame.path(),
    );
    assert_eq!(
        printed,
        [
            "4",
            "price <f8 [0.5, 1.5, 2.5, 3.5, 3.0]",
            "up |b1 [True, False, True, True, False]",
            "phase <c8 [(1-2j), (1-2j), (1-2j), (1-2j), (1-2j)]",
            "f1 <i2 [-3, 0, 0, 0, 0]",
            "volume <u8 [0, 0, 0, 0, 18446744073709551615]",
        ]
    );
}

#[test]
fn a_matrix_is_one_array() {
    let _watchdog = watchdog();
    if !has_numpy() {
        return;
    }
    let frame = SharedFrame::create(&name("matrix"), &Schema::matrix::<f32>(3, 2)).unwrap();
    frame.write(|frame| frame.assign_matrix(array![[1_f32, 2.0], [3.0, 4.0], [5.0, 6.0]].view())).unwrap();
    frame.write(|frame| frame.matrix_mut::<f32>().map(|mut matrix| matrix[(2, 1)] = 7.0)).unwrap();
    let printed = python(
        "a = np.load(path, mmap_mode='r')
assert a.flags.c_contiguous and not a.flags.writeable
print(a.dtype.str, a.ndim, a.shape[1:])
version, matrix = Frame(path).read()
print(version, matrix.tolist())",
        frame.path(),
    );
    assert_eq!(printed, ["<f4 3 (3, 2)", "3 [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]"]);
}

#[test]
fn what_is_read_while_it_is_written_is_one_version() {
    let _watchdog = watchdog();
    if !has_numpy() {
        return;
    }
    let schema = Schema::new(1000).column::<u64>("a").column::<f64>("b").column::<u64>("c");
    let frame = SharedFrame::create(&name("live"), &schema).unwrap();
    // `a` and `b` are the version's number, `c` that of the last even one.
    let write = || {
        frame
            .write(|frame| {
                let version = frame.version();
                frame.column_mut::<u64>("a")?.fill(version);
                frame.column_out::<f64>("b")?.fill(version as f64);
                if version.is_multiple_of(2) {
                    frame.column_mut::<u64>("c")?.fill(version);
                }
                Ok(())
            })
            .unwrap();
    };
    write();
    let reader = start(
        "frame = Frame(path)
seen = set()
while len(seen) < 200:
    version, columns = frame.read()
    assert (columns['a'] == version).all(), (version, columns['a'])
    assert (columns['b'] == version).all(), (version, columns['b'])
    assert (columns['c'] == version // 2 * 2).all(), (version, columns['c'])
    seen.add(version)
print(len(seen))",
        frame.path(),
    );
    let is_done = AtomicBool::new(false);
    let printed = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                write();
            }
        });
        let printed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| finish(reader)));
        is_done.store(true, Ordering::Relaxed);
        printed
    });
    assert_eq!(printed.unwrap(), ["200"]);
}
