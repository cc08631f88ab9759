//! Several columns of the next version at a time.

use ndarray::{ArrayViewMut1, Ix1};

use super::write::FrameMut;
use crate::array::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::view;

/// The types of several columns: a tuple of two to eight element types. For [`FrameMut::columns_mut`].
pub trait ColumnTypes: sealed::Sealed {
    /// As many names.
    type Names<'n>;
    /// As many columns, to be written.
    type Views<'v>;

    #[doc(hidden)]
    fn views<'v>(frame: &'v mut FrameMut<'_>, names: Self::Names<'_>) -> Result<Self::Views<'v>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! column_types {
    ($n:literal: $($type:ident $index:tt),*) => {
        impl<$($type: Element),*> sealed::Sealed for ($($type,)*) {}

        impl<$($type: Element),*> ColumnTypes for ($($type,)*) {
            type Names<'n> = [&'n str; $n];
            type Views<'v> = ($(ArrayViewMut1<'v, $type>,)*);

            #[expect(unsafe_code, reason = "memory that only this writer uses becomes typed views, a column each")]
            fn views<'v>(frame: &'v mut FrameMut<'_>, names: [&str; $n]) -> Result<Self::Views<'v>> {
                let columns = [$(frame.schema().find(names[$index], $type::DTYPE)?),*];
                check_distinct(&columns, &names)?;
                let dim = Ix1(frame.schema().n_rows());
                let firsts = ($(frame.first::<$type>(columns[$index], true)?,)*);
                Ok(($(
                    // SAFETY: as in `FrameMut::view_mut`, from which this differs in one thing: there are several views while `frame` is
                    // borrowed mutably. They are of different columns, by the check, which do not overlap.
                    unsafe { view::view_mut(firsts.$index, dim) },
                )*))
            }
        }
    };
}

column_types!(2: A 0, B 1);
column_types!(3: A 0, B 1, C 2);
column_types!(4: A 0, B 1, C 2, D 3);
column_types!(5: A 0, B 1, C 2, D 3, E 4);
column_types!(6: A 0, B 1, C 2, D 3, E 4, F 5);
column_types!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
column_types!(8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// Refuses a column that comes twice: two writable views of the same memory there cannot be.
fn check_distinct(columns: &[usize], names: &[&str]) -> Result<()> {
    for (i, column) in columns.iter().enumerate() {
        if columns[..i].contains(column) {
            let text = format!("column `{}` is asked for twice at a time", names[i]);
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
    }
    Ok(())
}
