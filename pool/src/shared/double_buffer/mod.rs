//! [`DoubleBuffer`] and its parts.
//!
//! | file | concept |
//! |---|---|
//! | this | the buffer under its name: made, found, handed to writer and readers |
//! | `writer` | writing frames |
//! | `reader` | reading them, whole or lent, and waiting for the next |

mod reader;
mod start;
mod writer;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use ndarray::{Dimension, IntoDimension, IxDyn};

use super::file::{Plan, Published};
use super::name::Name;
use super::options::Options;
use super::page::Kind;
use super::versioned::{Column, Versioned};
use super::versions::{MAX_BUFFERS, Versions};
use crate::array::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Header, NpyError, PAGE_BYTES, write_header};
use crate::sys::view::checked_len_bytes;

pub use reader::{Frame, Reader};
pub use writer::Writer;

/// Two that can be held, one that is the last, and one that is written.
const DEFAULT_BUFFERS: usize = 4;

/// Frames of one shape, under a name: one process writes them, any number of processes read, and none waits for another.
///
/// A reader gets the last complete frame, and always a whole one, however slow it is and however fast the writer. Frames are numbered from
/// 1 on, so a reader knows how many it missed; frame 0 is what there is before the first: zeros. A writer or reader that
/// dies, at any instruction, harms nobody: the last complete frame stays, and another [`Writer`] goes on with the next number.
///
/// Two buffers, as the name has it, are not enough for that: a slow reader would still copy the one when the writer, who has meanwhile
/// filled the other, comes round to it. So there are as many buffers as [`buffers`](DoubleBufferBuilder::buffers) says, each knows the
/// number of its frame, and readers hold what they are lent. How it works, and why it is right, is written down in
/// [`shared/README.md`](https://docs.rs/crate/ndpool/latest/source/src/shared/README.md).
///
/// The file is a `.npy` file of shape (buffers, …shape of a frame), which NumPy opens.
///
/// A handle, its readers and its writer keep the buffer alive; the last of all processes takes it away, unless it is to be
/// [kept](Options::keep). In a child made by `fork` none of them can be used.
///
/// # Example
///
/// ```
/// use ndarray::Ix2;
/// use ndpool::shared::DoubleBuffer;
/// use std::time::Duration;
///
/// # let name = format!("example_{}", std::process::id());
/// # let name = name.as_str();
/// let camera = DoubleBuffer::<u8, Ix2>::create(name, (480, 640))?;
/// let mut writer = camera.writer()?;
/// writer.write(|mut frame| frame.fill(7));
///
/// // In the same process, or in any other:
/// let mut reader = DoubleBuffer::<u8, Ix2>::attach(name)?.reader();
/// let frame = reader.read()?;
/// assert_eq!((frame.number, frame.array[(0, 0)]), (1, 7));
///
/// writer.write(|mut frame| frame.fill(8));
/// writer.write(|mut frame| frame.fill(9));
/// assert_eq!(reader.wait_newer(frame.number, Duration::from_secs(1)), Some(3));
/// let brightest = reader.read_with(|frame| frame.iter().copied().max())?;
/// assert_eq!((brightest, reader.number(), reader.missed()), (Some(9), 3, 1));
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct DoubleBuffer<T: Element, D: Dimension> {
    shared: Arc<Shared<D>>,
    elements: PhantomData<T>,
}

/// What a handle, its writer and its readers have in common.
struct Shared<D> {
    versioned: Arc<Versioned>,
    /// Shape of a frame.
    dim: D,
}

impl<T: Element, D: Dimension> DoubleBuffer<T, D> {
    /// Creates one in `/dev/shm`, for frames of a shape, with four buffers.
    ///
    /// # Errors
    ///
    /// As [`DoubleBufferBuilder::create`].
    pub fn create<S: IntoDimension<Dim = D>>(name: &str, shape: S) -> Result<Self> {
        Self::builder().create(name, shape)
    }

    /// Creates one as the options say.
    ///
    /// # Errors
    ///
    /// As [`DoubleBufferBuilder::create`].
    pub fn create_with<S: IntoDimension<Dim = D>>(options: &Options, name: &str, shape: S) -> Result<Self> {
        Self::builder().options(options).create(name, shape)
    }

    /// For other than the usual number of buffers.
    pub fn builder() -> DoubleBufferBuilder<T, D> {
        DoubleBufferBuilder { n_buffers: DEFAULT_BUFFERS, options: Options::new(), made: PhantomData }
    }

    /// Finds one in `/dev/shm`.
    ///
    /// # Errors
    ///
    /// As [`attach_with`](Self::attach_with).
    pub fn attach(name: &str) -> Result<Self> {
        Self::attach_with(&Options::new(), name)
    }

    /// Finds one as the options say.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`] if there is none of this name, or it is something else, or not this user's;
    /// [`ErrorKind::Npy`] if its frames have another type or number of axes; [`ErrorKind::InvalidArgument`] if the name is none.
    pub fn attach_with(options: &Options, name: &str) -> Result<Self> {
        let name: Name = name.parse()?;
        Self::of(Published::attach(options, &name, &[Kind::DoubleBuffer])?)
    }

    /// What was found and is a double buffer, if its frames are of this type and rank.
    pub(crate) fn of(published: Published) -> Result<Self> {
        let path = published.path().to_owned();
        let bad = |error: NpyError| error.at(&path);
        let header = Header::read(&mut published.header().as_slice()).map_err(bad)?;
        header.expect(T::DTYPE, D::NDIM.map(|rank| rank + 1)).map_err(bad)?;
        let dim = header.shape.get(1..).and_then(|shape| D::from_dimension(&IxDyn(shape)));
        let dim = dim.ok_or_else(|| {
            bad(NpyError::Rank {
                found: header.shape.len(),
                wanted: D::NDIM.map_or(1, |rank| rank + 1),
                shape: header.shape.clone(),
            })
        })?;
        Self::new(published, header.shape[0], dim)
    }

    fn new(published: Published, n_buffers: usize, dim: D) -> Result<Self> {
        // Checked with the header, or when that was made.
        let len = dim.size() * size_of::<T>();
        let columns = Box::new([Column { offset: 0, len }]);
        let versioned = Arc::new(Versioned::new(published, n_buffers, len, columns)?);
        Ok(Self { shared: Arc::new(Shared { versioned, dim }), elements: PhantomData })
    }

    /// Becomes the writer. What a writer that died left half done is not seen by anybody, and its number is used again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] if there is a writer that lives, in whatever process; [`ErrorKind::Io`] if the handle is read-only.
    pub fn writer(&self) -> Result<Writer<T, D>> {
        Ok(Writer::new(self.shared.versioned.take_writer()?, Arc::clone(&self.shared)))
    }

    /// A reader; each thread has its own.
    pub fn reader(&self) -> Reader<T, D> {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Number of the last complete frame; 0 if there is none yet.
    pub fn number(&self) -> u64 {
        self.shared.versioned.version()
    }

    /// Whether there is a writer that lives.
    pub fn has_writer(&self) -> bool {
        self.shared.versioned.is_written()
    }

    /// The shape of a frame, in the form that constructors accept.
    pub fn raw_dim(&self) -> D {
        self.shared.dim.clone()
    }

    /// The lengths of a frame's axes.
    pub fn shape(&self) -> &[usize] {
        self.shared.dim.slice()
    }

    /// How many buffers there are.
    pub fn n_buffers(&self) -> usize {
        self.shared.versioned.n_buffers()
    }

    /// The name.
    pub fn name(&self) -> String {
        self.shared.versioned.published().name().to_string()
    }

    /// The file, which is a `.npy` file of shape (buffers, …shape of a frame).
    pub fn path(&self) -> &Path {
        self.shared.versioned.published().path()
    }

    /// The file, as far as others need it.
    pub(crate) fn published(&self) -> &Published {
        self.shared.versioned.published()
    }

    /// Whether the name still leads here: `false` once it was removed or replaced. Handles go on working.
    pub fn is_current(&self) -> bool {
        self.shared.versioned.published().is_current()
    }
}

impl<T: Element, D: Dimension> Clone for DoubleBuffer<T, D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), elements: PhantomData }
    }
}

impl<T: Element, D: Dimension> fmt::Debug for DoubleBuffer<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoubleBuffer")
            .field("name", &self.name())
            .field("dtype", &T::DTYPE)
            .field("shape", &self.shape())
            .field("number", &self.number())
            .finish()
    }
}

/// Makes a [`DoubleBuffer`].
///
/// # Example
///
/// ```
/// use ndarray::Ix1;
/// use ndpool::shared::{DoubleBuffer, Options};
///
/// let options = Options::new().directory(std::env::temp_dir());
/// let buffer = DoubleBuffer::<f64, Ix1>::builder().buffers(10).options(&options).create("ticks", 1000)?;
/// assert_eq!((buffer.n_buffers(), buffer.shape()), (10, &[1000][..]));
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `create`"]
pub struct DoubleBufferBuilder<T, D> {
    n_buffers: usize,
    options: Options,
    made: PhantomData<(T, D)>,
}

impl<T: Element, D: Dimension> DoubleBufferBuilder<T, D> {
    /// How many buffers, from 2 to 34; 4 if this is not called.
    ///
    /// All but two can be [lent](Reader::read_with), each to one reader at a time; further readers get copies. And the more there are, the
    /// longer it takes until the writer comes round to a buffer of which somebody makes a copy.
    pub fn buffers(mut self, n_buffers: usize) -> Self {
        self.n_buffers = n_buffers;
        self
    }

    /// Where it lives, for how long, and who may read it.
    pub fn options(mut self, options: &Options) -> Self {
        self.options = options.clone();
        self
    }

    /// Creates it, for frames of a shape.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Segment`] if the name is taken; [`ErrorKind::OutOfSpace`] if there is no room for all buffers;
    /// [`ErrorKind::Shape`] if their size overflows; [`ErrorKind::InvalidArgument`] if name or number of buffers cannot be.
    pub fn create<S: IntoDimension<Dim = D>>(&self, name: &str, shape: S) -> Result<DoubleBuffer<T, D>> {
        self.create_by(name, shape.into_dimension(), |options, name, plan| {
            Published::create(options, name, plan, |_| Ok(()))
        })
    }

    fn create_by(
        &self,
        name: &str,
        dim: D,
        create: impl FnOnce(&Options, &Name, &Plan) -> Result<Published>,
    ) -> Result<DoubleBuffer<T, D>> {
        let n_buffers = self.n_buffers;
        if !(2..=MAX_BUFFERS).contains(&n_buffers) {
            let message = format!("{n_buffers} buffers, where there can be from 2 to {MAX_BUFFERS}");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let name: Name = name.parse()?;
        let mut shape = vec![n_buffers];
        shape.extend_from_slice(dim.slice());
        let Some(data_len) = checked_len_bytes(&shape, size_of::<T>()) else {
            let message = format!("{n_buffers} frames of shape {:?} are too large", dim.slice());
            return Err(Error::new(ErrorKind::Shape, message));
        };
        let plan = Plan {
            kind: Kind::DoubleBuffer,
            header: write_header(T::DTYPE, &shape, PAGE_BYTES),
            data_len,
            n_buffers,
            n_columns: 1,
            n_table_words: Versions::n_table_words(1, n_buffers).expect("a few words"),
        };
        DoubleBuffer::new(create(&self.options, &name, &plan)?, n_buffers, dim)
    }
}

#[cfg(test)]
mod tests;
