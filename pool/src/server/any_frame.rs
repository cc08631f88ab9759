//! Columns of frames whose types are known at run time only.

use ndarray::{ArrayView, Dimension};
use num_complex::Complex;

use super::item::Item;
use crate::array::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::dynamic::AnyValue;
use crate::segment::DType;
use crate::shared::{SharedFrame, Snapshot};

/// Gives an expression the type that a dtype means.
macro_rules! with_type_of {
    ($dtype:expr, $t:ident => $body:expr) => {
        with_type_of!(@arms $dtype, $t => $body;
            F32(f32) F64(f64) I8(i8) I16(i16) I32(i32) I64(i64) U8(u8) U16(u16) U32(u32) U64(u64) Bool(bool)
            C64(Complex<f32>) C128(Complex<f64>))
    };
    (@arms $dtype:expr, $t:ident => $body:expr; $($variant:ident($type:ty))*) => {
        match $dtype {
            $(DType::$variant => {
                type $t = $type;
                $body
            })*
        }
    };
}
pub(super) use with_type_of;

impl Item<SharedFrame> {
    /// A copy of a column of the last version, and the number of that version.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if there is no such column, or the frame is a matrix; else as for [`SharedFrame::read`].
    pub fn read_column(&self, name: &str) -> Result<(u64, AnyValue)> {
        let columns = self.schema().columns();
        let Some(column) = columns.iter().find(|column| column.name() == name) else {
            let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
            let error =
                Error::new(ErrorKind::InvalidArgument, format!("`{}` has no column `{name}`", self.name()));
            return Err(match names.is_empty() {
                true => error.with_hint("it is a matrix, whose columns have no names"),
                false => error.with_hint(format!("its columns are `{}`", names.join("`, `"))),
            });
        };
        let copy = |snapshot: &Snapshot| -> Result<AnyValue> {
            Ok(with_type_of!(column.dtype(), T => copied(snapshot.column::<T>(name)?)))
        };
        self.read(|snapshot| Ok((snapshot.version(), copy(snapshot)?)))
    }

    /// A copy of the last version of a matrix, and the number of that version.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if the frame has named columns; else as for [`SharedFrame::read`].
    pub fn read_matrix(&self) -> Result<(u64, AnyValue)> {
        let Some(dtype) = self.schema().matrix_dtype() else {
            let text = format!("`{}` is a frame with named columns, not a matrix", self.name());
            return Err(Error::new(ErrorKind::InvalidArgument, text).with_hint("read its columns one by one"));
        };
        let copy = |snapshot: &Snapshot| -> Result<AnyValue> {
            Ok(with_type_of!(dtype, T => copied(snapshot.matrix::<T>()?)))
        };
        self.read(|snapshot| Ok((snapshot.version(), copy(snapshot)?)))
    }
}

fn copied<T: Element, D: Dimension>(x: ArrayView<'_, T, D>) -> AnyValue
where
    AnyValue: From<ndarray::ArrayD<T>>,
{
    x.to_owned().into_dyn().into()
}
