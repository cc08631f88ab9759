//! A user's `.npy` file, mapped.

use std::fmt;
use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{ArrayView, Dimension};

use super::element::Element;
use super::load::{checked_dim, open_npy};
use crate::error::{Error, Result};
use crate::segment::{DType, Locator, NpyError, Place, RunId};
use crate::sys::map::Mapping;
use crate::sys::{host, view};

/// A user's `.npy` file mapped into memory, read-only: by type, there is no way to write to it.
///
/// Nothing is copied; pages are read when they are touched, here and in workers, and shared between them.
pub struct MappedArray<T: Element, D: Dimension> {
    file: Arc<MappedFile>,
    dim: D,
    elements: PhantomData<T>,
}

/// The mapped file, without its type.
#[derive(Debug)]
pub(crate) struct MappedFile {
    mapping: Mapping,
    locator: Locator,
}

impl<T: Element, D: Dimension> MappedArray<T, D> {
    /// Maps the `.npy` file at `path`.
    ///
    /// # Safety
    ///
    /// For as long as the array lives, and any job that uses it, nobody changes the file's contents or makes it shorter: neither
    /// this program nor another. A file that is replaced (by renaming another one over it) is not changed in this sense.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Npy`](crate::ErrorKind::Npy) if the file is not an array of this type and rank in C order;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if it cannot be read.
    #[expect(unsafe_code, reason = "only the caller can promise that nobody changes the file")]
    pub unsafe fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, header) = open_npy(path, T::DTYPE, D::NDIM)?;
        let bad = |error: NpyError| error.at(path);
        let dim = checked_dim::<D>(&header).map_err(bad)?;
        if !header.data_offset.is_multiple_of(align_of::<T>()) {
            return Err(bad(NpyError::Misaligned { offset: header.data_offset, size_bytes: size_of::<T>() }));
        }
        let file = Arc::new(MappedFile::new(&file, path, header.data_offset, header.data_len())?);
        let array = Self { file, dim, elements: PhantomData };
        if T::DTYPE == DType::Bool {
            array.check_bools().map_err(bad)?;
        }
        Ok(array)
    }

    fn check_bools(&self) -> Result<(), NpyError> {
        let mut bytes = vec![0; 1 << 16];
        let n = self.file.locator.data_len;
        for start in (0..n).step_by(bytes.len()) {
            let piece = &mut bytes[..(n - start).min(1 << 16)];
            self.file.mapping.read_bytes(self.file.locator.data_offset + start, piece);
            super::load::check_elements::<T>(piece, start)?;
        }
        Ok(())
    }

    /// The shape, in the form that constructors accept.
    pub fn raw_dim(&self) -> D {
        self.dim.clone()
    }

    /// The lengths of all axes.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.dim.ndim()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dim.size()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of rows: the length of the first axis, or 1 if there is no axis.
    pub fn n_rows(&self) -> usize {
        super::rows::n_rows(self.shape())
    }

    /// The array as a view.
    #[expect(unsafe_code, reason = "whoever opened the file promised what the view needs")]
    pub fn view(&self) -> ArrayView<'_, T, D> {
        let first = self.file.data_ptr().cast::<T>();
        // SAFETY: the data lie within the mapping, which lives as long as `self`; that nobody writes them is the promise given
        // to `open`, which also checked the bytes of bools.
        unsafe { view::view(first, self.dim.clone()) }
    }

    pub(super) fn file(&self) -> &Arc<MappedFile> {
        &self.file
    }
}

impl MappedFile {
    fn new(file: &File, path: &Path, data_offset: usize, data_len: usize) -> Result<Self> {
        let failed = |error| Error::io(format_args!("cannot map `{}`", path.display()), error);
        let metadata = file.metadata().map_err(failed)?;
        // By its real name, so that workers find it whatever directory they work in.
        let real: PathBuf = path.canonicalize().map_err(failed)?;
        let file_len = data_offset + data_len;
        let mapping = Mapping::read_only(file, file_len).map_err(failed)?;
        let locator = Locator {
            place: Place::File {
                path: real.as_os_str().as_bytes().to_owned(),
                device: metadata.dev(),
                inode: metadata.ino(),
            },
            kind: None,
            run: RunId::new(0),
            nonce: host::random_u64().map_err(failed)?,
            generation: 0,
            file_len,
            data_offset,
            data_len,
        };
        Ok(Self { mapping, locator })
    }

    pub(crate) fn locator(&self) -> &Locator {
        &self.locator
    }

    /// The first byte of the data. Not to be written.
    pub(crate) fn data_ptr(&self) -> *const u8 {
        self.mapping.as_ptr().wrapping_add(self.locator.data_offset)
    }
}

impl<T: Element, D: Dimension> fmt::Debug for MappedArray<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedArray")
            .field("dtype", &T::DTYPE)
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}
