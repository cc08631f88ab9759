//! Goal: a file that cannot be used ends the program with exit code 1, says what was found, and what to do.
//!
//! Method: one file for each way to be wrong, read by the real binary.

mod support;

use support::{Files, npy_bytes, run, stderr, stdout};

/// Both subcommands fail on the file, with these words on the first line and a hint on the second.
fn assert_fails(path: &str, words: &str) {
    for args in [&["describe", path, "--json"][..], &["reduce", path, "--op", "sum", "--workers", "1"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert_eq!(stdout(&output), "");
        let lines: Vec<&str> = stderr(&output).lines().collect();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(
            lines[0].starts_with("error: ") && lines[0].contains(words),
            "`{words}` is not in {lines:#?}"
        );
        assert!(lines[1].starts_with("(hint: ") && lines[1].ends_with(')'), "{lines:#?}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let files = Files::new();
    assert_fails(&files.text("missing.npy"), "No such file");
    assert_fails(&files.text(""), "Is a directory");
}

#[test]
fn files_of_another_format() {
    let files = Files::new();
    assert_fails(&files.bytes("empty.npy", b""), "not a .npy file");
    assert_fails(&files.bytes("text.npy", b"1,2,3\n4,5,6\n"), "not a .npy file");
    assert_fails(&files.bytes("version.npy", b"\x93NUMPY\x09\x00\x00\x00"), "version 9.0");
    assert_fails(&files.bytes("cut.npy", b"\x93NUMPY\x01\x00\xff\x00{"), "promises");
    assert_fails(&files.bytes("garbage.npy", &npy_bytes("{'descr': ", b"")), "damaged");
}

#[test]
fn arrays_that_are_not_for_us() {
    let files = Files::new();
    let header = |descr: &str, fortran: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}")
    };
    let data = [0_u8; 32];
    let cases = [
        ("'>f8'", "False", "(4,)", "byte order"),
        ("'<f8'", "True", "(2, 2)", "Fortran order"),
        ("'|O'", "False", "(4,)", "Python objects"),
        ("'<U2'", "False", "(4,)", "<U2"),
        ("[('x', '<f8')]", "False", "(4,)", "elements of type"),
        ("'<f8'", "False", "(5,)", "bytes where the header promises"),
        ("'<f8'", "False", "(9223372036854775807, 8)", "overflows"),
    ];
    for (i, (descr, fortran, shape, words)) in cases.into_iter().enumerate() {
        let path = files.bytes(&format!("{i}.npy"), &npy_bytes(&header(descr, fortran, shape), &data));
        assert_fails(&path, words);
    }
    assert_fails(
        &files.bytes("bool.npy", &npy_bytes(&header("'|b1'", "False", "(3,)"), &[0, 1, 2])),
        "no bool",
    );
}

#[test]
fn reductions_that_do_not_exist() {
    let files = Files::new();
    let x = files.npy("x.npy", &ndpool::ndarray::Array2::<f64>::zeros((2, 3)));
    let y = files.npy("y.npy", &ndpool::ndarray::Array2::<f32>::zeros((2, 3)));
    let none = files.npy("none.npy", &ndpool::ndarray::Array1::<f64>::zeros(0));
    let cases: &[(&[&str], &str)] = &[
        (&["reduce", &x, "--op", "sum", "--axis", "2"], "axis 2 of an array that has 2 axes"),
        (&["reduce", &x, "--op", "sum", "--axis", "-3"], "axis -3 of an array that has 2 axes"),
        (&["reduce", &x, "--op", "bincount"], "float64"),
        (&["reduce", &x, "--op", "dot", "--with", &y], "float64 and of float32"),
        (&["reduce", &none, "--op", "max"], "without elements"),
        (&["describe", &none], "without elements"),
        (&["reduce", &x, "--op", "histogram", "--range", "1", "-1"], "goes down"),
        (&["reduce", &x, "--op", "sum", "-o", "/missing/out.npy"], "cannot save"),
    ];
    for (args, words) in cases {
        let output = run(&[args, &["--workers", "1"][..]].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let text = stderr(&output);
        assert!(text.contains(words) && text.contains("\n(hint: "), "{args:?}: {text}");
    }
}
