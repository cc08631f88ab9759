//! Snapshots as Arrow record batches, over the same memory.
//!
//! Each column becomes an array whose buffer is the snapshot's own bytes, shared or copied, and which keeps the snapshot until the last
//! buffer is dropped, wherever Arrow passes it on. A validity bitmap there is none: frames have no missing values.
//!
//! Two types are no Arrow arrays over these bytes. Arrow packs eight `bool`s into a byte where a frame has a byte for each, so these
//! columns are copied: an eighth of their bytes is written, and the rest of the batch stays uncopied, where a refusal would leave users
//! with nothing but the same copy of their own. Complex numbers Arrow does not have at all, and every stand-in (a pair of columns, a list of
//! two) would be a choice that only the user can make: they are refused.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::schema::Schema;
use super::snapshot::Snapshot;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::DType;

impl Schema {
    /// The same as a schema of Arrow, with the feature `arrow` only: no field may be null; its metadata have the text form of this schema under `ndpool.schema`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if it is a matrix, or a column has complex numbers, which Arrow does not have.
    pub fn to_arrow(&self) -> Result<arrow_schema::Schema> {
        if self.matrix_dtype().is_some() {
            let text = format!("a matrix of {self} is no record batch: its columns have no names");
            return Err(Error::new(ErrorKind::InvalidArgument, text)
                .with_hint("give the frame named columns, or make an array of `Snapshot::matrix`"));
        }
        let field = |column: &super::Column| {
            let data_type = data_type(column.dtype()).ok_or_else(|| {
                let text =
                    format!("column `{}` of {} has no type in Arrow", column.name(), column.dtype().name());
                Error::new(ErrorKind::InvalidArgument, text)
                    .with_hint("keep the real and the imaginary parts in columns of their own")
            })?;
            Ok(Field::new(column.name(), data_type, false))
        };
        let fields = self.columns().iter().map(field).collect::<Result<Vec<_>>>()?;
        let metadata = HashMap::from([("ndpool.schema".to_owned(), self.to_string())]);
        Ok(arrow_schema::Schema::new(fields).with_metadata(metadata))
    }
}

impl Snapshot {
    /// This version as a record batch of Arrow, without a copy of the columns, but for those of `bool`. With the feature `arrow` only.
    ///
    /// The batch keeps the snapshot until its last buffer is dropped. If the snapshot [is pinned](Self::is_pinned), that is the shared
    /// memory itself, which the writer leaves alone meanwhile; to keep a batch for long, make it of a
    /// [copy](super::SharedFrame::try_copy).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if the frame is a matrix, or has complex numbers; [`ErrorKind::Segment`] if a `bool` is neither 0
    /// nor 1.
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::shared::{Options, Schema, SharedFrame};
    ///
    /// let schema = Schema::new(1_000).column::<f64>("price").column::<u64>("volume");
    /// # let options = Options::new().directory(std::env::temp_dir());
    /// let frame = SharedFrame::create_with(&options, "arrow_example", &schema)?;
    /// let batch = frame.try_snapshot()?.into_record_batch()?;
    /// assert_eq!((batch.num_rows(), batch.num_columns()), (1_000, 2));
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn into_record_batch(self) -> Result<RecordBatch> {
        let schema = Arc::new(self.schema().to_arrow()?);
        let snapshot = Arc::new(self);
        let columns = (0..snapshot.n_cols()).map(|column| array(&snapshot, column)).collect::<Result<_>>()?;
        // It looks whether lengths and types are those of the schema, which was made of the same columns.
        RecordBatch::try_new(schema, columns).map_err(|error| {
            Error::new(ErrorKind::Shape, format!("no record batch: {error}")).with_source(error)
        })
    }
}

/// Arrow's name of a type; `None` if it has none.
fn data_type(dtype: DType) -> Option<DataType> {
    Some(match dtype {
        DType::F32 => DataType::Float32,
        DType::F64 => DataType::Float64,
        DType::I8 => DataType::Int8,
        DType::I16 => DataType::Int16,
        DType::I32 => DataType::Int32,
        DType::I64 => DataType::Int64,
        DType::U8 => DataType::UInt8,
        DType::U16 => DataType::UInt16,
        DType::U32 => DataType::UInt32,
        DType::U64 => DataType::UInt64,
        DType::Bool => DataType::Boolean,
        DType::C64 | DType::C128 => return None,
    })
}

/// A column's bytes, with the snapshot that keeps them.
struct ColumnBytes {
    snapshot: Arc<Snapshot>,
    column: usize,
}

impl AsRef<[u8]> for ColumnBytes {
    fn as_ref(&self) -> &[u8] {
        self.snapshot.bytes(self.column).expect("the bytes were there when the batch was made, and stay")
    }
}

fn array(snapshot: &Arc<Snapshot>, column: usize) -> Result<ArrayRef> {
    // Whether there is anything, and in time, is found out here.
    let n_bytes = snapshot.bytes(column)?.len();
    let buffer = || {
        let bytes = ColumnBytes { snapshot: Arc::clone(snapshot), column };
        let buffer = Buffer::from(bytes::Bytes::from_owner(bytes));
        debug_assert_eq!(buffer.len(), n_bytes);
        buffer
    };
    let found = &snapshot.schema().columns()[column];
    Ok(match found.dtype() {
        DType::F32 => primitive::<Float32Type>(buffer()),
        DType::F64 => primitive::<Float64Type>(buffer()),
        DType::I8 => primitive::<Int8Type>(buffer()),
        DType::I16 => primitive::<Int16Type>(buffer()),
        DType::I32 => primitive::<Int32Type>(buffer()),
        DType::I64 => primitive::<Int64Type>(buffer()),
        DType::U8 => primitive::<UInt8Type>(buffer()),
        DType::U16 => primitive::<UInt16Type>(buffer()),
        DType::U32 => primitive::<UInt32Type>(buffer()),
        DType::U64 => primitive::<UInt64Type>(buffer()),
        DType::Bool => {
            let values = snapshot.column::<bool>(found.name())?;
            let packed = BooleanBuffer::collect_bool(values.len(), |row| values[row]);
            Arc::new(BooleanArray::new(packed, None))
        }
        DType::C64 | DType::C128 => unreachable!("refused with the schema"),
    })
}

fn primitive<T: ArrowPrimitiveType>(buffer: Buffer) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(buffer), None))
}
