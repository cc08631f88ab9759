//! An array of any element type.

use std::fmt;
use std::path::Path;

use ndarray::IxDyn;
use num_complex::Complex;

use crate::Pool;
use crate::array::{Element, SharedArray, npy_header};
use crate::error::Result;
use crate::segment::DType;

macro_rules! any_array {
    ($($variant:ident($t:ty)),*) => {
        /// A shared array of any element type and rank.
        #[non_exhaustive]
        pub enum AnyArray {
            $(
                #[doc = concat!("Elements of type `", stringify!($t), "`.")]
                $variant(SharedArray<$t, IxDyn>),
            )*
        }

        $(
            impl From<SharedArray<$t, IxDyn>> for AnyArray {
                fn from(x: SharedArray<$t, IxDyn>) -> Self {
                    Self::$variant(x)
                }
            }
        )*

        impl AnyArray {
            /// A copy of a `.npy` file, whatever its element type and rank.
            ///
            /// # Errors
            ///
            /// As for [`Pool::load_npy`].
            pub fn load_npy(pool: &Pool, path: impl AsRef<Path>) -> Result<Self> {
                let path = path.as_ref();
                match npy_header(path)?.dtype {
                    $(DType::$variant => Ok(pool.load_npy::<$t, IxDyn>(path)?.into()),)*
                }
            }
        }
    };
}
for_every_type!(any_array);

impl AnyArray {
    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        with_every_type!(self, AnyArray, x => dtype_of(x))
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        with_every_type!(self, AnyArray, x => x.shape())
    }

    /// Bytes of all elements.
    pub fn len_bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.dtype().size_bytes()
    }
}

fn dtype_of<T: Element>(_: &SharedArray<T, IxDyn>) -> DType {
    T::DTYPE
}

impl fmt::Debug for AnyArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyArray").field("dtype", &self.dtype()).field("shape", &self.shape()).finish()
    }
}
