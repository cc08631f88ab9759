//! One version of a frame, as readers see it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ndarray::{ArrayView1, ArrayView2, Dimension, Ix1, Ix2};

use super::inner::{Copy, Inner};
use super::schema::Schema;
use crate::array::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::versioned::{Held, Versioned};
use crate::sys::view;

/// One version of a [`SharedFrame`](super::SharedFrame): all its columns as one commit left them, for as long as this value lives.
///
/// It holds the shared memory itself, *pinned*, so that the writer leaves these buffers alone, or a *copy* of it.
///
/// # Example
///
/// ```
/// use ndpool::shared::{Options, Schema, SharedFrame};
///
/// let schema = Schema::new(3).column::<f64>("price").column::<u64>("volume");
/// # let options = Options::new().directory(std::env::temp_dir());
/// let frame = SharedFrame::create_with(&options, "snapshot_example", &schema)?;
/// frame.write(|frame| {
///     frame.column_mut::<f64>("price")?.fill(2.5);
///     frame.column_mut::<u64>("volume")?.fill(100);
///     Ok(())
/// })?;
/// let snapshot = frame.try_snapshot()?;
/// frame.write(|frame| Ok(frame.column_mut::<f64>("price")?.fill(3.0)))?;
/// assert_eq!(snapshot.column::<f64>("price")?.to_vec(), [2.5, 2.5, 2.5]);
/// assert_eq!(snapshot.n_behind(), 1);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct Snapshot {
    inner: Arc<Inner>,
    version: u64,
    memory: Memory,
}

enum Memory {
    Pinned(Held<Arc<Versioned>>),
    Copied {
        /// `None` only while this is dropped.
        copy: Option<Copy>,
        /// Whether a column was copied in time, once it was copied.
        columns: Box<[OnceLock<bool>]>,
    },
}

impl Snapshot {
    pub(super) fn pinned(inner: &Arc<Inner>, held: Held<Arc<Versioned>>) -> Self {
        Self { inner: Arc::clone(inner), version: held.version(), memory: Memory::Pinned(held) }
    }

    /// The newest version, with columns that are copied when they are asked for.
    pub(super) fn lazy(inner: &Arc<Inner>) -> Result<Self> {
        inner.versioned.refuse_in_forked_child()?;
        let copy = Some(inner.memory()?);
        let columns = inner.layout.columns.iter().map(|_| OnceLock::new()).collect();
        let version = inner.versioned.version();
        Ok(Self { inner: Arc::clone(inner), version, memory: Memory::Copied { copy, columns } })
    }

    /// The newest version, copied as a whole.
    pub(super) fn copied(inner: &Arc<Inner>) -> Result<Self> {
        let snapshot = Self::lazy(inner)?;
        for column in 0..inner.layout.columns.len() {
            snapshot.bytes(column)?;
        }
        Ok(snapshot)
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many newer versions there are by now.
    pub fn n_behind(&self) -> u64 {
        self.inner.versioned.version().saturating_sub(self.version)
    }

    /// Whether there is no newer version.
    pub fn is_newest(&self) -> bool {
        self.n_behind() == 0
    }

    /// Whether this holds the shared memory itself, and so keeps the writer from using these buffers, rather than a copy.
    pub fn is_pinned(&self) -> bool {
        matches!(self.memory, Memory::Pinned(_))
    }

    /// What the frame holds.
    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.schema().n_rows()
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.schema().n_cols()
    }

    /// A column.
    ///
    /// # Shapes
    ///
    /// `(n_rows,)`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if there is no such column, or it has another type; [`ErrorKind::TooSlow`] if the writer has
    /// overwritten this version before the column was copied, which can happen in [`read`](super::SharedFrame::read) alone;
    /// [`ErrorKind::Segment`] if a `bool` is neither 0 nor 1.
    pub fn column<T: Element>(&self, name: &str) -> Result<ArrayView1<'_, T>> {
        let column = self.schema().find(name, T::DTYPE)?;
        self.view(column, Ix1(self.n_rows()))
    }

    /// All of a matrix.
    ///
    /// # Shapes
    ///
    /// `(n_rows, n_cols)`.
    ///
    /// # Errors
    ///
    /// As for [`column`](Self::column); [`ErrorKind::InvalidArgument`] also if the frame has named columns.
    pub fn matrix<T: Element>(&self) -> Result<ArrayView2<'_, T>> {
        self.schema().expect_matrix(T::DTYPE)?;
        self.view(0, Ix2(self.n_rows(), self.n_cols()))
    }

    #[expect(unsafe_code, reason = "pinned or copied memory becomes a typed view")]
    fn view<T: Element, D: Dimension>(&self, column: usize, dim: D) -> Result<ndarray::ArrayView<'_, T, D>> {
        let bytes = self.bytes(column)?;
        if !T::valid(bytes) {
            return Err(self.inner.invalid(column, T::DTYPE));
        }
        debug_assert_eq!(bytes.len(), dim.size() * size_of::<T>());
        // SAFETY: the column has as many bytes as `dim` has elements, since both follow from the schema, and these were checked to be
        // values of the type, which is the schema's. They stay mapped as long as `self` is borrowed, and nobody writes them: see `bytes`.
        Ok(unsafe { view::view(bytes.as_ptr().cast::<T>(), dim) })
    }

    /// The bytes of a column, which nobody writes as long as this is borrowed: they lie in a pinned buffer, or in memory of this
    /// snapshot's own, in a part that was written for good.
    pub(super) fn bytes(&self, column: usize) -> Result<&[u8]> {
        let inner = &self.inner;
        let range = &inner.layout.columns[column];
        match &self.memory {
            Memory::Pinned(held) => {
                let at = held.offset(column).ok_or_else(|| inner.damaged("a column has no buffer"))?;
                Ok(inner.mapping().bytes_at_rest(at, range.len()))
            }
            Memory::Copied { copy, columns } => {
                let copy = copy.as_ref().expect("it is there until this is dropped");
                let in_time = *columns[column].get_or_init(|| inner.copy_column(self.version, column, copy));
                if !in_time {
                    return Err(self.too_slow());
                }
                Ok(copy.memory.bytes_at_rest(range.start, range.len()))
            }
        }
    }

    /// Whether a column was asked for that was overwritten before it was copied.
    pub(super) fn was_lapped(&self) -> bool {
        match &self.memory {
            Memory::Pinned(_) => false,
            Memory::Copied { columns, .. } => columns.iter().any(|column| column.get() == Some(&false)),
        }
    }

    pub(super) fn too_slow(&self) -> Error {
        let n_behind = self.n_behind();
        let text = format!(
            "version {} of `{}` was overwritten before it was copied: {n_behind} versions behind",
            self.version,
            self.inner.versioned.published().name()
        );
        Error::new(ErrorKind::TooSlow, text).with_hint(
            "try again, ask for fewer columns, or create the frame with more snapshots that can be lent at a time",
        )
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Memory::Copied { copy, .. } = &mut self.memory
            && let Some(copy) = copy.take()
        {
            self.inner.keep(copy.memory);
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version)
            .field("is_pinned", &self.is_pinned())
            .field("schema", &self.schema().to_string())
            .finish()
    }
}
