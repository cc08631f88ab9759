//! The `.npy` header of a frame: a structured type with a subarray for each column, or that of a plain array for a matrix.
//!
//! ```text
//!   {'descr': [('price', '<f8', (1000,)), ('volume', '<u8', (1000,)), …], 'fortran_order': False, 'shape': (buffers,), }
//!   {'descr': '<f4', 'fortran_order': False, 'shape': (buffers, 1000, 4), }
//! ```
//!
//! Between columns stand fields without a name, `('', '|V48')`, which NumPy takes for padding. So
//! `np.load(path, mmap_mode="r")["price"][k]` is the column in buffer `k`.
//!
//! What another process wrote is taken for hostile: see [`Dictionary`]. Beyond that, columns are counted before they are kept, and
//! must lie where those of our own frames lie.

use std::io::Read;

use super::layout::Layout;
use super::schema::{Form, MAX_COLUMNS, Schema};
use crate::segment::{DType, Descr, Dictionary, NpyError, Parser, native_dtype, problem, write_dictionary};

/// What a frame's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) schema: Schema,
    pub(crate) n_buffers: usize,
    /// Offset of the first record from the start of the file.
    pub(crate) data_offset: usize,
}

impl FrameHeader {
    /// Reads the header of a frame; the reader is left at the first record.
    pub(crate) fn read(reader: &mut impl Read) -> Result<Self, NpyError> {
        let dictionary = Dictionary::read(reader)?;
        if matches!(dictionary.descr, Descr::Simple(_)) {
            return Self::of_matrix(dictionary);
        }
        let Dictionary { descr: Descr::Structured(text), shape, data_offset, .. } = dictionary else {
            unreachable!("a type is simple or structured");
        };
        let &[n_buffers] = &shape[..] else {
            return Err(NpyError::Rank { found: shape.len(), wanted: 1, shape });
        };
        let fields = fields(&text)?;
        let Some(Field::Column { n_rows, .. }) = fields.first() else {
            return Err(problem(0, "a frame whose first field is no column"));
        };
        let mut schema = Schema::new(*n_rows);
        for field in &fields {
            if let Field::Column { name, dtype, n_rows } = field {
                if *n_rows != schema.n_rows() {
                    let text = format!("column `{name}` of {n_rows} rows, others of {}", schema.n_rows());
                    return Err(problem(0, text));
                }
                schema = schema.column_of(*dtype, name);
            }
        }
        schema.check().map_err(|text| problem(0, text))?;
        let layout = Layout::new(&schema, n_buffers).map_err(|text| problem(0, text))?;
        check_paddings(&fields, &layout)?;
        Ok(Self { schema, n_buffers, data_offset })
    }

    /// The bytes of the header, padded to a multiple of `align_to`.
    ///
    /// # Panics
    ///
    /// If the schema was not checked, or overflows.
    pub(crate) fn to_bytes(&self, align_to: usize) -> Vec<u8> {
        let (schema, n_buffers) = (&self.schema, self.n_buffers);
        let layout = Layout::new(schema, n_buffers).expect("sizes were checked");
        match schema.form() {
            Form::Matrix { dtype, n_cols } => {
                let descr = format!("'{}'", dtype.descr());
                write_dictionary(&descr, &[n_buffers, schema.n_rows(), *n_cols], align_to)
            }
            Form::Columns(columns) => {
                let n_rows = schema.n_rows();
                let mut fields = Vec::with_capacity(2 * columns.len());
                for (i, column) in columns.iter().enumerate() {
                    fields.push(format!("('{}', '{}', ({n_rows},))", column.name(), column.dtype().descr()));
                    match layout.padding_behind(i) {
                        0 => {}
                        padding => fields.push(format!("('', '|V{padding}')")),
                    }
                }
                write_dictionary(&format!("[{}]", fields.join(", ")), &[n_buffers], align_to)
            }
        }
    }

    fn of_matrix(dictionary: Dictionary) -> Result<Self, NpyError> {
        let header = dictionary.plain()?;
        let &[n_buffers, n_rows, n_cols] = &header.shape[..] else {
            return Err(NpyError::Rank { found: header.shape.len(), wanted: 3, shape: header.shape });
        };
        let schema = Schema::matrix_of(header.dtype, n_rows, n_cols);
        schema.check().map_err(|text| problem(0, text))?;
        Ok(Self { schema, n_buffers, data_offset: header.data_offset })
    }
}

/// A field of the structured type.
enum Field {
    Column { name: String, dtype: DType, n_rows: usize },
    Padding(usize),
}

/// The fields in the text of a list.
fn fields(text: &[u8]) -> Result<Vec<Field>, NpyError> {
    let mut parser = Parser::new(text);
    let mut fields = Vec::new();
    parser.expect(b'[')?;
    while !parser.take(b']') {
        if fields.len() == 2 * MAX_COLUMNS {
            return Err(problem(parser.at(), format!("more than {MAX_COLUMNS} columns")));
        }
        fields.push(field(&mut parser)?);
        if !parser.take(b',') {
            parser.expect(b']')?;
            break;
        }
    }
    parser.end("nothing after the fields")?;
    Ok(fields)
}

fn field(parser: &mut Parser<'_>) -> Result<Field, NpyError> {
    parser.expect(b'(')?;
    let name_at = parser.at();
    let name = parser.string()?;
    parser.expect(b',')?;
    let descr = parser.string()?;
    if name.is_empty() {
        let len = descr.strip_prefix("|V").and_then(|digits| digits.parse().ok());
        let len = len.ok_or_else(|| problem(name_at, format!("a field of type {descr:?} without a name")))?;
        parser.expect(b')')?;
        return Ok(Field::Padding(len));
    }
    parser.expect(b',')?;
    let shape = parser.tuple()?;
    parser.expect(b')')?;
    match shape[..] {
        [n_rows] => Ok(Field::Column { name, dtype: native_dtype(descr)?, n_rows }),
        _ => Err(NpyError::Rank { found: shape.len(), wanted: 1, shape }),
    }
}

/// Refuses columns that do not lie where ours would.
fn check_paddings(fields: &[Field], layout: &Layout) -> Result<(), NpyError> {
    let mut fields = fields.iter().peekable();
    for column in 0..layout.columns.len() {
        let Some(Field::Column { name, .. }) = fields.next() else {
            return Err(problem(0, "two paddings in a row"));
        };
        let wanted = layout.padding_behind(column);
        let found = match fields.peek() {
            Some(Field::Padding(len)) => {
                fields.next();
                *len
            }
            _ => 0,
        };
        if found != wanted {
            let text = format!("{found} bytes of padding behind column `{name}`, wanted {wanted}");
            return Err(problem(0, text));
        }
    }
    match fields.next() {
        None => Ok(()),
        Some(_) => Err(problem(0, "a field behind the last padding")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(schema: &Schema, n_buffers: usize) -> Vec<u8> {
        FrameHeader { schema: schema.clone(), n_buffers, data_offset: 0 }.to_bytes(4096)
    }

    fn read(bytes: &[u8]) -> Result<FrameHeader, NpyError> {
        FrameHeader::read(&mut &bytes[..])
    }

    fn read_text(descr: &str, shape: &str) -> Result<FrameHeader, NpyError> {
        let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.as_bytes());
        read(&bytes)
    }

    #[test]
    fn the_text_is_what_numpy_reads() {
        let schema = Schema::new(10).column::<f64>("price").column::<bool>("up").column::<u64>("full");
        let text = String::from_utf8_lossy(&written(&schema, 4)[10..]).trim_end().to_owned();
        assert_eq!(
            text,
            "{'descr': [('price', '<f8', (10,)), ('', '|V48'), ('up', '|b1', (10,)), ('', '|V54'), \
             ('full', '<u8', (10,)), ('', '|V48')], 'fortran_order': False, 'shape': (4,), }"
        );
        let exact = Schema::new(8).column::<f64>("a").column::<f64>("b");
        let text = String::from_utf8_lossy(&written(&exact, 3)[10..]).into_owned();
        assert!(text.starts_with("{'descr': [('a', '<f8', (8,)), ('b', '<f8', (8,))]"), "{text}");
        let matrix = Schema::matrix::<f32>(3, 5);
        let text = String::from_utf8_lossy(&written(&matrix, 4)[10..]).into_owned();
        assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3, 5), }"), "{text}");
    }

    #[test]
    fn the_longest_header_is_read() {
        let schema = (0..MAX_COLUMNS).fold(Schema::new(usize::pow(2, 20)), |schema, i| {
            schema.column::<u8>(format!("{i:_>width$}", width = super::super::schema::MAX_NAME_LEN))
        });
        let bytes = written(&schema, 99);
        assert_eq!(read(&bytes).unwrap(), FrameHeader { schema, n_buffers: 99, data_offset: bytes.len() });
    }

    #[test]
    fn what_is_no_frame_of_ours_is_refused() {
        for (descr, shape) in [
            ("[]", "(4,)"),
            ("[('', '|V64')]", "(4,)"),
            ("[('a', '<f8', (8,)), ('a', '<f8', (8,))]", "(4,)"),
            ("[('a b', '<f8', (8,))]", "(4,)"),
            ("[('a', '<f8', (8,)), ('', '|V64')]", "(4,)"),
            ("[('a', '<f8', (9,))]", "(4,)"),
            ("[('a', '<f8', (9,)), ('', '|V55')]", "(4,)"),
            ("[('a', '<f8', (9,)), ('', '|V56'), ('', '|V0')]", "(4,)"),
            ("[('a', '<f8', (8,)), ('b', '<f8', (16,))]", "(4,)"),
            ("[('a', '<f8', (0,))]", "(4,)"),
            ("[('a', '<f8', (18446744073709551615,))]", "(4,)"),
            ("[('a', '<f8', (8,))]", "(18446744073709551615,)"),
            ("[('a', '<f8', (8,)) ('b', '<f8', (8,))]", "(4,)"),
            ("[('a', '<f8', (8,))] 1", "(4,)"),
            ("[('a', [('b', '<f8', (8,))])]", "(4,)"),
            ("[('', 'V8')]", "(4,)"),
            ("[('', '|V-8')]", "(4,)"),
            ("[[['a', '<f8', (8,)]]]", "(4,)"),
            ("'<f8'", "(4, 0, 3)"),
        ] {
            let read = read_text(descr, shape);
            assert!(matches!(read, Err(NpyError::Header { .. })), "{descr} {shape}: {read:?}");
        }
        let rank =
            |descr, shape| assert!(matches!(read_text(descr, shape), Err(NpyError::Rank { .. })), "{shape}");
        rank("[('a', '<f8', (8,))]", "(4, 2)");
        rank("[('a', '<f8', (8,))]", "()");
        rank("[('a', '<f8', (4, 2))]", "(4,)");
        rank("'<f8'", "(4, 2)");
        assert!(matches!(read_text("[('a', '<f2', (32,))]", "(4,)"), Err(NpyError::DType { .. })));
        assert!(matches!(read_text("[('a', '|O', (8,))]", "(4,)"), Err(NpyError::Objects)));
        assert!(matches!(read_text("[('a', '>f8', (8,))]", "(4,)"), Err(NpyError::ByteOrder { .. })));
        let wide = (0..=2 * MAX_COLUMNS).map(|_| "('', '|V1')").collect::<Vec<_>>().join(",");
        let error = read_text(&format!("[{wide}]"), "(4,)").unwrap_err();
        assert!(error.to_string().contains("more than 512 columns"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            n_rows in 1_usize..100_000,
            dtypes in proptest::collection::vec(0..DType::ALL.len(), 1..40),
            n_buffers in 1_usize..40,
        ) {
            let schema = dtypes.iter().enumerate().fold(Schema::new(n_rows), |schema, (i, &dtype)| {
                schema.column_of(DType::ALL[dtype], format!("c{i}"))
            });
            let bytes = written(&schema, n_buffers);
            prop_assert_eq!(read(&bytes).unwrap(), FrameHeader { schema, n_buffers, data_offset: bytes.len() });
            let matrix = Schema::matrix_of(DType::ALL[dtypes[0]], n_rows, dtypes.len());
            let bytes = written(&matrix, n_buffers);
            let wanted = FrameHeader { schema: matrix, n_buffers, data_offset: bytes.len() };
            prop_assert_eq!(read(&bytes).unwrap(), wanted);
        }

        #[test]
        fn random_lists_are_refused_or_read(text in "[()\\[\\]'\",:0-9 <|=fiubcV]{0,200}") {
            let _ = read_text(&format!("[{text}]"), "(4,)");
        }
    }
}
