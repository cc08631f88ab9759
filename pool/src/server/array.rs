//! Arrays among the items: attached with their element type, or with whatever it is.

use std::fmt;

use ndarray::{Dimension, IntoDimension, IxDyn};
use num_complex::Complex;

use super::client::DataClient;
use super::error::ServerError;
use super::item::sealed::Behind;
use super::item::{Item, Structure, sealed};
use crate::array::Element;
use crate::error::{Error, Result};
use crate::ops::dynamic::{AnyValue, for_every_type};
use crate::segment::{DType, Header};
use crate::shared::double_buffer::Reader;
use crate::shared::{DoubleBuffer, Kind, Name, Options, Published};

/// Type and shape of an item, as far as its header says.
pub(super) fn type_of(published: &Published) -> (Option<DType>, Vec<usize>) {
    match Header::read(&mut published.header().as_slice()) {
        // The first axis is that of the buffers.
        Ok(header) if matches!(published.kind(), Kind::DoubleBuffer | Kind::Matrix) => {
            (Some(header.dtype), header.shape.into_iter().skip(1).collect())
        }
        Ok(header) if published.kind() == Kind::Mutex => (Some(header.dtype), header.shape),
        _ => (None, Vec::new()),
    }
}

impl DataClient {
    /// Attaches to an array, or to a double buffer, which is the same to a reader.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoItem`], with the names that there are, if nothing has the name; [`ServerError::WrongKind`],
    /// [`ServerError::WrongDType`] or [`ServerError::WrongRank`] if what has it is something else; [`ServerError::NotYours`];
    /// [`ServerError::NoServer`] if the server has ended.
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::ndarray::{Ix2, array};
    /// use ndpool::server::DataServer;
    ///
    /// let server = DataServer::new("array_example")?;
    /// server.put("x", &array![[1.0, 2.0], [3.0, 4.0]])?;
    /// let mut x = server.array::<f64, Ix2>("x")?;
    /// let frame = x.read()?;
    /// assert_eq!((frame.number, frame.array.sum()), (1, 10.0));
    /// // Without a copy: the array that is lent does not change while the closure runs.
    /// assert_eq!(x.read_with(|array| array.sum())?, 10.0);
    /// assert!(server.array::<f32, Ix2>("x").is_err());
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn array<T: Element, D: Dimension>(&self, item: &str) -> Result<Item<Reader<T, D>>> {
        self.attach(item)
    }

    /// As [`array`](Self::array), for an array of this shape. A later swap may bring another one.
    ///
    /// # Errors
    ///
    /// As for [`array`](Self::array); the source is [`ServerError::WrongShape`] if it has another shape.
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::ndarray::array;
    /// use ndpool::server::{DataServer, ServerError};
    ///
    /// let server = DataServer::new("array_of_example")?;
    /// server.put("x", &array![1.0, 2.0, 3.0])?;
    /// assert_eq!(server.array_of::<f64, _>("x", 3)?.read_with(|x| x.sum())?, 6.0);
    /// let error = server.array_of::<f64, _>("x", 4).unwrap_err();
    /// assert!(error.to_string().starts_with("`array_of_example/x` has shape [3], wanted [4]"));
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn array_of<T: Element, D: Dimension>(
        &self,
        item: &str,
        shape: impl IntoDimension<Dim = D>,
    ) -> Result<Item<Reader<T, D>>> {
        let array = self.array::<T, D>(item)?;
        let wanted = shape.into_dimension();
        if array.shape() != wanted.slice() {
            let name = Name::item(self.name(), item)?.to_string();
            let (shape, wanted) = (array.shape().to_vec(), wanted.slice().to_vec());
            return Err(ServerError::WrongShape { name, shape, wanted }.into());
        }
        Ok(array)
    }

    /// Attaches to an array or double buffer of whatever element type and rank.
    ///
    /// # Errors
    ///
    /// As for [`array`](Self::array), but for type and rank.
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::ndarray::array;
    /// use ndpool::server::DataServer;
    ///
    /// let server = DataServer::new("any_array_example")?;
    /// server.put("x", &array![[1_u16, 2], [3, 4]])?;
    /// let mut x = server.any_array("x")?;
    /// assert_eq!((x.dtype(), x.shape()), (ndpool::DType::U16, &[2, 2][..]));
    /// let (version, value) = x.read()?;
    /// assert_eq!((version, value.numbers().len()), (1, 4));
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn any_array(&self, item: &str) -> Result<Item<AnyReader>> {
        self.attach(item)
    }

    /// Attaches to a double buffer, to read or write it.
    ///
    /// # Errors
    ///
    /// As for [`array`](Self::array).
    pub fn double_buffer<T: Element, D: Dimension>(&self, item: &str) -> Result<Item<DoubleBuffer<T, D>>> {
        self.attach(item)
    }
}

/// Says what is there in place of what was wanted; `None` if it is what was wanted.
pub(super) fn mismatch(
    published: &Published,
    name: &str,
    kind: &'static str,
    dtype: DType,
    rank: Option<usize>,
) -> Option<Error> {
    let name = name.to_owned();
    if published.kind() != Kind::DoubleBuffer {
        let found = published.kind().name();
        return Some(ServerError::WrongKind { name, found, wanted: kind }.into());
    }
    let (found, shape) = type_of(published);
    match (found, rank) {
        (Some(found), _) if found != dtype => {
            Some(ServerError::WrongDType { name, found, wanted: dtype }.into())
        }
        (_, Some(wanted)) if wanted != shape.len() => {
            Some(ServerError::WrongRank { name, shape, wanted }.into())
        }
        _ => None,
    }
}

impl<T: Element, D: Dimension> Structure for DoubleBuffer<T, D> {}
impl<T: Element, D: Dimension> sealed::Structure for DoubleBuffer<T, D> {
    fn attach(options: &Options, name: &str) -> Result<Self> {
        let published = Published::attach(options, &name.parse()?, Kind::ALL)?;
        match mismatch(&published, name, "array", T::DTYPE, D::NDIM) {
            Some(error) => Err(error),
            None => Self::of(published),
        }
    }

    fn file(&self) -> Behind<'_> {
        Behind(self.published())
    }
}

impl<T: Element, D: Dimension> Structure for Reader<T, D> {}
impl<T: Element, D: Dimension> sealed::Structure for Reader<T, D> {
    fn attach(options: &Options, name: &str) -> Result<Self> {
        Ok(<DoubleBuffer<T, D> as sealed::Structure>::attach(options, name)?.reader())
    }

    fn file(&self) -> Behind<'_> {
        Behind(self.published())
    }
}

macro_rules! any_reader {
    ($($variant:ident($t:ty)),*) => {
        /// A reader of an array of any element type and rank.
        #[non_exhaustive]
        pub enum AnyReader {
            $(
                #[doc = concat!("Elements of type `", stringify!($t), "`.")]
                $variant(DoubleBuffer<$t, IxDyn>, Reader<$t, IxDyn>),
            )*
        }

        impl AnyReader {
            /// Type of the elements.
            pub fn dtype(&self) -> DType {
                match self {
                    $(Self::$variant(..) => DType::$variant,)*
                }
            }

            /// Lengths of the axes.
            pub fn shape(&self) -> &[usize] {
                match self {
                    $(Self::$variant(buffer, _) => buffer.shape(),)*
                }
            }

            /// Copies the last version, and says which it is; zeros, and 0, if there is none yet.
            ///
            /// # Errors
            ///
            /// As for [`Reader::read`].
            pub fn read(&mut self) -> Result<(u64, AnyValue)> {
                match self {
                    $(Self::$variant(_, reader) => {
                        let frame = reader.read()?;
                        Ok((frame.number, frame.array.into()))
                    })*
                }
            }
        }

        impl Structure for AnyReader {}
        impl sealed::Structure for AnyReader {
            fn attach(options: &Options, name: &str) -> Result<Self> {
                let published = Published::attach(options, &name.parse()?, Kind::ALL)?;
                let (dtype, _) = type_of(&published);
                let dtype = dtype.unwrap_or(DType::F64);
                if let Some(error) = mismatch(&published, name, "array", dtype, None) {
                    return Err(error);
                }
                match dtype {
                    $(DType::$variant => {
                        let buffer = DoubleBuffer::<$t, IxDyn>::of(published)?;
                        let reader = buffer.reader();
                        Ok(Self::$variant(buffer, reader))
                    })*
                }
            }

            fn file(&self) -> Behind<'_> {
                match self {
                    $(Self::$variant(buffer, _) => Behind(buffer.published()),)*
                }
            }
        }
    };
}
for_every_type!(any_reader);

impl fmt::Debug for AnyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyReader").field("dtype", &self.dtype()).field("shape", &self.shape()).finish()
    }
}
