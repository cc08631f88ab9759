//! Where the columns of a frame lie: within a record, which holds one version of everything.
//!
//! ```text
//!   columns   | price: n_rows × 8 | pad | volume: n_rows × 8 | pad |     each begins at a multiple of 64 bytes
//!   matrix    | row 0 | row 1 | …                            |           no padding: NumPy has none between the parts of an array
//! ```
//!
//! The file has one record for each buffer, one behind the other.

use std::ops::Range;

use super::schema::{Form, Schema};
use crate::sys::view::checked_len_bytes;

/// Columns begin at a multiple of it: a cache line, what streaming stores want, and what Arrow recommends.
pub(super) const ALIGN_BYTES: usize = 64;

/// NumPy keeps the size of a record, and that of each field, in a C `int`.
const MAX_RECORD_BYTES: usize = i32::MAX as usize;

/// Where the columns lie. A matrix is a single one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The bytes of each column within a record, without the padding behind them.
    pub(super) columns: Vec<Range<usize>>,
    pub(super) record_bytes: usize,
}

impl Layout {
    /// The layout of a schema in so many buffers; in words, why there is none.
    pub(super) fn new(schema: &Schema, n_buffers: usize) -> Result<Self, String> {
        let overflows = || format!("{n_buffers} buffers of {} rows overflow", schema.n_rows());
        let layout = match schema.form() {
            Form::Matrix { dtype, n_cols } => {
                let len = checked_len_bytes(&[schema.n_rows(), *n_cols], dtype.size_bytes());
                let len = len.ok_or_else(overflows)?;
                Self { columns: vec![Range { start: 0, end: len }], record_bytes: len }
            }
            Form::Columns(columns) => {
                let mut ranges = Vec::with_capacity(columns.len());
                let mut start = 0_usize;
                for column in columns {
                    let len = schema.n_rows().checked_mul(column.dtype().size_bytes());
                    let end = len.and_then(|len| start.checked_add(len)).ok_or_else(overflows)?;
                    ranges.push(start..end);
                    start = end.checked_next_multiple_of(ALIGN_BYTES).ok_or_else(overflows)?;
                }
                if start > MAX_RECORD_BYTES {
                    return Err(format!(
                        "named columns of {start} bytes together; NumPy can open {MAX_RECORD_BYTES}, or a matrix of any size"
                    ));
                }
                Self { columns: ranges, record_bytes: start }
            }
        };
        match layout.record_bytes.checked_mul(n_buffers) {
            Some(len) if isize::try_from(len).is_ok() => Ok(layout),
            _ => Err(overflows()),
        }
    }

    /// Bytes of padding behind a column.
    pub(super) fn padding_behind(&self, column: usize) -> usize {
        let next = self.columns.get(column + 1).map_or(self.record_bytes, |next| next.start);
        next - self.columns[column].end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_begin_at_lines() {
        let schema = Schema::new(10).column::<f64>("a").column::<bool>("b").column::<u64>("c");
        let layout = Layout::new(&schema, 3).unwrap();
        assert_eq!(layout.columns, [0..80, 128..138, 192..272]);
        assert_eq!(layout.record_bytes, 320);
        assert_eq!((0..3).map(|c| layout.padding_behind(c)).collect::<Vec<_>>(), [48, 54, 48]);
    }

    #[test]
    fn a_matrix_has_no_gaps() {
        let layout = Layout::new(&Schema::matrix::<f32>(3, 5), 3).unwrap();
        assert_eq!((&layout.columns[0], layout.columns.len(), layout.record_bytes), (&(0..60), 1, 60));
    }

    #[test]
    fn what_is_too_large_is_told() {
        for (schema, n_buffers) in [
            (Schema::new(usize::MAX).column::<f64>("a"), 3),
            (Schema::new(usize::MAX).column::<u8>("a"), 1),
            (Schema::matrix::<f64>(1 << 40, 1 << 40), 3),
            (Schema::matrix::<f64>(1 << 30, 1 << 28), 4),
        ] {
            assert!(Layout::new(&schema, n_buffers).unwrap_err().contains("overflow"));
        }
        let wide = Schema::new(1 << 28).column::<f64>("a");
        assert!(Layout::new(&wide, 3).unwrap_err().contains("NumPy"));
        Layout::new(&Schema::matrix::<f64>(1 << 28, 1), 3).unwrap();
    }
}
