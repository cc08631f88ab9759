//! Goal: foreign headers are understood or refused, never misread; ours are read by others. Method: cases by hand, NumPy's own
//! bytes, `ndarray-npy` as an independent reader and writer, and random and damaged bytes.

use super::*;
use ndarray::{ArrayD, Dimension, IxDyn};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use proptest::prelude::*;

fn file(version: u8, text: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    if version == 1 {
        bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    } else {
        bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    }
    bytes.extend(text.as_bytes());
    bytes
}

fn read(bytes: &[u8]) -> Result<Header, NpyError> {
    Header::read(&mut &bytes[..])
}

fn read_text(text: &str) -> Result<Header, NpyError> {
    read(&file(1, text))
}

#[test]
fn all_versions_are_read() {
    let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }  \n";
    for (version, start) in [(1, 10), (2, 12), (3, 12)] {
        let header = read(&file(version, text)).unwrap();
        assert_eq!(header, Header { dtype: DType::F64, shape: vec![3, 4], data_offset: start + text.len() });
    }
    assert!(matches!(read(&file(4, text)), Err(NpyError::Version { major: 4, minor: 0 })));
}

#[test]
fn what_python_may_write() {
    for (text, shape) in [
        ("{'shape':(),'fortran_order':False,'descr':'<f8'}", vec![]),
        ("{\"descr\": \"<f8\", \"fortran_order\": False, \"shape\": (5,)}", vec![5]),
        (" { 'descr' : '<f8' , 'fortran_order' : False , 'shape' : ( 3L , 4L ) , } \n", vec![3, 4]),
        ("{'descr': '<f8', 'fortran_order': True, 'shape': (7,), }", vec![7]),
        ("{'descr': '<f8', 'fortran_order': True, 'shape': (1, 7, 1), }", vec![1, 7, 1]),
        ("{'descr': '=f8', 'fortran_order': False, 'shape': (0, 3), }", vec![0, 3]),
    ] {
        assert_eq!(read_text(text).unwrap().shape, shape, "{text}");
    }
}

#[test]
fn other_arrays_are_refused_by_name() {
    let with =
        |descr: &str| read_text(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (2,), }}"));
    assert!(matches!(with("'|O'"), Err(NpyError::Objects)));
    assert!(matches!(with("'O'"), Err(NpyError::Objects)));
    assert!(matches!(with("'>f8'"), Err(NpyError::ByteOrder { .. })));
    for descr in ["'<f2'", "'<U3'", "'<M8[ns]'", "'<f16'", "''", "[('x', '<f8'), ('y', [('z', '<i4')])]"] {
        assert!(matches!(with(descr), Err(NpyError::DType { .. })), "{descr}");
    }
    let fortran = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }";
    let error = read_text(fortran).unwrap_err();
    assert!(matches!(&error, NpyError::FortranOrder { shape } if *shape == [2, 3]));
    assert!(error.hint().unwrap().contains("np.ascontiguousarray"));
}

#[test]
fn other_types_and_ranks_are_refused_with_both() {
    let header = read_text("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }").unwrap();
    let error = header.expect(DType::F64, None).unwrap_err();
    assert_eq!(error.to_string(), "elements of type float32, wanted float64");
    assert!(error.hint().unwrap().contains("a.astype(np.float64)"));
    let error = header.expect(DType::F32, Some(1)).unwrap_err();
    assert_eq!(error.to_string(), "an array of 2 axes with shape [2, 3], wanted 1 axes");
    header.expect(DType::F32, Some(2)).unwrap();
}

#[test]
fn damaged_and_hostile_headers_are_refused() {
    for text in [
        "",
        "{",
        "{}",
        "{'descr': '<f8'}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)} x",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3 4)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1e9,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
        "{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}",
        "{'descr': '<f8, 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f8\\'', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'extra': 1}",
        "{'descr': [[[[[[[[[[[[[[[[[[[[[[[['",
        "__import__('os').system('true')",
    ] {
        assert!(matches!(read_text(text), Err(NpyError::Header { .. })), "{text}: {:?}", read_text(text));
    }
    let axes = "1,".repeat(65);
    let many = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({axes}), }}");
    assert!(matches!(read_text(&many), Err(NpyError::Header { .. })));
    let deep = format!("{{'descr': {}", "[".repeat(60_000));
    assert!(matches!(read_text(&deep), Err(NpyError::Header { .. })));
    for shape in ["(4294967296, 4294967296)", "(0, 4294967296, 4294967296)", "(9223372036854775807,)"] {
        let large = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
        assert!(matches!(read_text(&large), Err(NpyError::TooLarge { .. })), "{shape}");
    }
}

#[test]
fn the_length_is_bounded_before_memory_is_taken() {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([2, 0]);
    bytes.extend(u32::MAX.to_le_bytes());
    assert!(matches!(read(&bytes), Err(NpyError::Header { .. })));
}

#[test]
fn short_files_say_how_short() {
    assert!(matches!(read(b""), Err(NpyError::NotNpy { .. })));
    assert!(matches!(read(b"PK\x03\x04 a zip file"), Err(NpyError::NotNpy { .. })));
    let whole = file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n");
    for len in 6..whole.len() {
        assert!(matches!(read(&whole[..len]), Err(NpyError::Truncated { .. })), "{len}");
    }
}

#[test]
fn our_headers_are_numpys_to_the_letter() {
    let text = |shape: &[usize]| {
        let bytes = write_header(DType::F64, shape, 64);
        assert_eq!(bytes.len() % 64, 0);
        assert_eq!(bytes.last(), Some(&b'\n'));
        String::from_utf8_lossy(&bytes[10..]).trim_end().to_owned()
    };
    assert_eq!(text(&[]), "{'descr': '<f8', 'fortran_order': False, 'shape': (), }");
    assert_eq!(text(&[3]), "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }");
    assert_eq!(text(&[3, 4]), "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }");
}

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0_usize..5, 0..6)
}

proptest! {
    #[test]
    fn what_we_write_we_read(which in 0..DType::ALL.len(), shape in shapes(), shift in 0_u32..8) {
        let dtype = DType::ALL[which];
        let align = 64 << shift;
        let bytes = write_header(dtype, &shape, align);
        prop_assert_eq!(bytes.len() % align, 0);
        prop_assert_eq!(read(&bytes).unwrap(), Header { dtype, shape, data_offset: bytes.len() });
    }

    #[test]
    fn others_read_what_we_write(shape in shapes()) {
        let array = ArrayD::from_shape_fn(IxDyn(&shape), |i| i.as_array_view().iter().fold(1.0, |a, &b| a * 7.0 + b as f64));
        let mut bytes = write_header(DType::F64, &shape, 4096);
        bytes.extend(crate::sys::view::bytes_of(array.as_slice().unwrap()));
        prop_assert_eq!(ArrayD::<f64>::read_npy(&bytes[..]).unwrap(), array);
    }

    #[test]
    fn we_read_what_others_write(shape in shapes()) {
        let array = ArrayD::<i32>::zeros(IxDyn(&shape));
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        let header = read(&bytes).unwrap();
        prop_assert_eq!(header.data_offset + header.data_len(), bytes.len());
        prop_assert_eq!((header.dtype, header.shape), (DType::I32, shape));
    }

    #[test]
    fn random_text_is_refused_or_read_but_never_panics(text in "[{}()\\[\\]'\",:0-9L <>|=fiubcOTrueFalsdhpotn_]{0,200}") {
        let _ = read_text(&text);
    }

    #[test]
    fn damage_is_refused_or_still_a_header(at in 0_usize..128, byte: u8) {
        let mut bytes = write_header(DType::F64, &[3, 4], 64);
        bytes[at % 128] = byte;
        if let Ok(header) = read(&bytes) {
            prop_assert!(header.data_len() <= isize::MAX as usize);
        }
    }
}
