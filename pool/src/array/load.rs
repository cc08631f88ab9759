//! Arrays from `.npy` files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use ndarray::{ArrayD, Dimension, IxDyn};
use rayon::prelude::*;

use super::build::mapped_segment;
use super::element::Element;
use super::save::check_regular;
use super::shared::SharedArray;
use crate::error::{Error, Result};
use crate::segment::{DType, Fill, Header, NpyError, Run, Segment};
use crate::sys::view::uninit_bytes;

/// What the header of a `.npy` file says about its array; read by [`npy_header`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NpyHeader {
    /// Type of the elements.
    pub dtype: DType,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
}

/// Reads the header of a `.npy` file and checks it, and the file's length, without reading the elements: what a
/// program needs to know before it can name the type that [`Pool::load_npy`](crate::Pool::load_npy) asks for.
///
/// # Errors
///
/// [`Npy`](crate::ErrorKind::Npy) if the file is none that arrays here can be loaded from,
/// [`Io`](crate::ErrorKind::Io) if it cannot be read.
///
/// # Example
///
/// ```
/// # ndpool::init();
/// let path = std::env::temp_dir().join(format!("npy_header-{}.npy", std::process::id()));
/// let pool = ndpool::Pool::builder().workers(1).build()?;
/// pool.zeros::<f32, _>((3, 4))?.save_npy(&path)?;
/// let header = ndpool::npy_header(&path)?;
/// assert_eq!((header.dtype, header.shape.as_slice()), (ndpool::DType::F32, &[3, 4][..]));
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), ndpool::Error>(())
/// ```
pub fn npy_header(path: impl AsRef<Path>) -> Result<NpyHeader> {
    let (_, Header { dtype, shape, .. }) = open(path.as_ref(), |_| Ok(()))?;
    Ok(NpyHeader { dtype, shape })
}

/// Bytes that one thread reads at a time: they stay in its cache between the read and the write.
const PIECE_BYTES: usize = 256 << 10;

impl<T: Element, D: Dimension> SharedArray<T, D> {
    /// A copy of a `.npy` file. Large ones are read by several threads.
    pub(crate) fn load_npy_in(run: &Arc<Run>, path: &Path) -> Result<Self> {
        let (file, header) = open_npy(path, T::DTYPE, D::NDIM)?;
        let dim = checked_dim::<D>(&header).map_err(|error| error.at(path))?;
        let segment = mapped_segment::<T, D>(run, &dim, Fill::CallerWrites)?;
        let copy = |buffer: &mut Vec<u8>, piece: usize| {
            let start = piece * PIECE_BYTES;
            let bytes = &mut buffer[..PIECE_BYTES.min(segment.data_len() - start)];
            copy_piece::<T>(&file, &header, &segment, start, bytes).map_err(|error| error.at(path))
        };
        let n_pieces = segment.data_len().div_ceil(PIECE_BYTES);
        let buffer = || vec![0; PIECE_BYTES.min(segment.data_len())];
        if n_pieces < 4 {
            let mut buffer = buffer();
            (0..n_pieces).try_for_each(|piece| copy(&mut buffer, piece))?;
        } else {
            (0..n_pieces).into_par_iter().try_for_each_init(buffer, copy)?;
        }
        Ok(Self::new(segment, dim))
    }
}

/// A copy of a `.npy` file in memory of this process alone.
pub(crate) fn load_npy<T: Element>(path: &Path) -> Result<ArrayD<T>> {
    let (file, header) = open_npy(path, T::DTYPE, None)?;
    let mut array = ArrayD::<T>::uninit(header.shape.as_slice());
    let elements = array.as_slice_mut().expect("it was just made");
    let mut buffer = vec![0; PIECE_BYTES.min(header.data_len())];
    for (piece, target) in uninit_bytes(elements).chunks_mut(PIECE_BYTES).enumerate() {
        let (start, bytes) = (piece * PIECE_BYTES, &mut buffer[..target.len()]);
        read_piece::<T>(&file, &header, start, bytes).map_err(|error| error.at(path))?;
        for (byte, target) in bytes.iter().zip(target) {
            target.write(*byte);
        }
    }
    #[expect(unsafe_code, reason = "what was read and checked is initialised")]
    // SAFETY: every byte of every element was written, with one that `read_piece` found to be of a value.
    let array = unsafe { array.assume_init() };
    Ok(array)
}

/// What went wrong on one side or the other.
enum CopyError {
    File(NpyError),
    Segment(Error),
}

impl CopyError {
    fn at(self, path: &Path) -> Error {
        match self {
            Self::File(error) => error.at(path),
            Self::Segment(error) => error,
        }
    }
}

fn copy_piece<T: Element>(
    file: &File,
    header: &Header,
    segment: &Segment,
    start: usize,
    bytes: &mut [u8],
) -> Result<(), CopyError> {
    read_piece::<T>(file, header, start, bytes).map_err(CopyError::File)?;
    segment.fill_at(start, bytes).map_err(CopyError::Segment)
}

/// Reads bytes of the data from `start` on, which must be values.
fn read_piece<T: Element>(
    file: &File,
    header: &Header,
    start: usize,
    bytes: &mut [u8],
) -> Result<(), NpyError> {
    file.read_exact_at(bytes, (header.data_offset + start) as u64).map_err(|error| match error.kind() {
        // It had the right length a moment ago.
        io::ErrorKind::UnexpectedEof => check_length(file, header).err().unwrap_or(NpyError::Io(error)),
        _ => NpyError::Io(error),
    })?;
    check_elements::<T>(bytes, start)
}

/// Opens a file, reads its header, and compares it with what is wanted and with the file's length.
pub(super) fn open_npy(path: &Path, dtype: DType, rank: Option<usize>) -> Result<(File, Header)> {
    open(path, |header| header.expect(dtype, rank))
}

fn open(path: &Path, check: impl FnOnce(&Header) -> Result<(), NpyError>) -> Result<(File, Header)> {
    let open = || {
        // To open a pipe would wait for its writer.
        check_regular(&fs::metadata(path)?)?;
        let mut file = File::open(path)?;
        let header = Header::read(&mut file)?;
        check(&header)?;
        check_length(&file, &header)?;
        Ok((file, header))
    };
    open().map_err(|error: NpyError| error.at(path))
}

fn check_length(file: &File, header: &Header) -> Result<(), NpyError> {
    let need = header.data_offset as u64 + header.data_len() as u64;
    let have = file.metadata()?.len();
    // What follows the array is not its business, as in NumPy: a segment's control page, for instance.
    if have < need { Err(NpyError::Truncated { need, have }) } else { Ok(()) }
}

/// The header's shape as a dimension of static rank.
pub(super) fn checked_dim<D: Dimension>(header: &Header) -> Result<D, NpyError> {
    D::from_dimension(&IxDyn(&header.shape)).ok_or_else(|| NpyError::Rank {
        found: header.shape.len(),
        wanted: D::NDIM.unwrap_or_default(),
        shape: header.shape.clone(),
    })
}

/// Refuses bytes that are not values; `start` is where they stand in the data.
pub(super) fn check_elements<T: Element>(bytes: &[u8], start: usize) -> Result<(), NpyError> {
    if T::valid(bytes) {
        return Ok(());
    }
    // Only bools can be wrong, and they are bytes.
    let at = bytes.iter().position(|&byte| byte > 1).unwrap_or_default();
    Err(NpyError::BadBool { index: start + at, found: bytes[at] })
}
