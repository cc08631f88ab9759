//! Headers of `.npy` files: written for our own segments and files, and read from foreign ones.
//!
//! The format is NumPy's: a magic string, a version, the header's length, and a Python dictionary with three entries. Foreign
//! headers are taken for hostile: their length is bounded before memory is allocated for it, the parser looks at every byte
//! once and does not recurse, and what it does not know it refuses.
//!
//! # References
//!
//! [`numpy.lib.format`](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), versions 1.0, 2.0, 3.0.

use std::io::{self, Read};
use std::path::Path;

use super::DType;
use crate::error::{Error, ErrorKind};
use crate::sys::view::checked_len_bytes;

/// The dictionary's text, from left to right.
mod parser;

pub(crate) use parser::{Parser, problem, shortened};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// A header longer than this is refused. NumPy's own limit for files that it does not trust is 10 000 characters.
pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;

/// Why the bytes of a `.npy` file are not the array that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The magic string is missing.
    #[error("not a .npy file: it starts with {found:?}")]
    NotNpy {
        /// The first bytes, printable or replaced.
        found: String,
    },
    /// The format version is not known.
    #[error("version {major}.{minor} of the .npy format; 1.0, 2.0 and 3.0 are known")]
    Version {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// The header is not the dictionary that it should be.
    #[error("damaged .npy header at byte {at}: {problem}")]
    Header {
        /// Where in the header's text.
        at: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The elements have another type.
    #[error("elements of type {found}, wanted {wanted}")]
    DType {
        /// The type in the file, as in its header or by its name.
        found: String,
        /// The type that was asked for.
        wanted: String,
    },
    /// The array has another number of axes.
    #[error("an array of {found} axes with shape {shape:?}, wanted {wanted} axes")]
    Rank {
        /// Axes in the file.
        found: usize,
        /// Axes that were asked for.
        wanted: usize,
        /// The shape in the file.
        shape: Vec<usize>,
    },
    /// The elements are stored in the byte order of other machines.
    #[error("elements of type {found}, in the byte order of other machines")]
    ByteOrder {
        /// The type in the file, as in its header.
        found: String,
    },
    /// The elements are stored in Fortran order.
    #[error("an array of shape {shape:?} in Fortran order (column-major)")]
    FortranOrder {
        /// The shape in the file.
        shape: Vec<usize>,
    },
    /// The elements are pickled Python objects.
    #[error("an array of pickled Python objects")]
    Objects,
    /// The file ends too early.
    #[error("{have} bytes where the header promises {need}")]
    Truncated {
        /// Bytes that there should be.
        need: u64,
        /// Bytes that there are.
        have: u64,
    },
    /// The array is larger than a machine can address.
    #[error("an array of shape {shape:?}, whose size overflows")]
    TooLarge {
        /// The shape in the file.
        shape: Vec<usize>,
    },
    /// A `bool` is neither 0 nor 1.
    #[error("element {index} is the byte {found}, which is no bool")]
    BadBool {
        /// Index of the element in C order.
        index: usize,
        /// The byte.
        found: u8,
    },
    /// The data do not start where elements of this type can be mapped.
    #[error("data that start at byte {offset}, where elements of {size_bytes} bytes cannot be mapped")]
    Misaligned {
        /// Offset of the data.
        offset: usize,
        /// Size of an element in bytes.
        size_bytes: usize,
    },
    /// The file is a frame with another schema.
    #[error("{difference} (found a frame of {}, wanted {})", shortened(found, 200), shortened(wanted, 200))]
    Schema {
        /// Where they differ first.
        difference: String,
        /// The schema in the file, as text.
        found: String,
        /// The schema that was asked for, as text.
        wanted: String,
    },
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl NpyError {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotNpy { .. } => "write it in Python with `np.save(path, a)`",
            Self::Version { .. } => "save it again with `np.save`",
            Self::DType { wanted, .. } if DType::ALL.iter().any(|dtype| dtype.name() == wanted) => {
                return Some(format!(
                    "ask for the type of the file, or convert it with `np.save(path, a.astype(np.{wanted}))`"
                ));
            }
            Self::DType { .. } => "convert it with `np.save(path, a.astype(np.float64))`",
            Self::Rank { .. } => {
                "ask for the file's number of axes, or reshape it with `np.save(path, a.reshape(…))`"
            }
            Self::ByteOrder { .. } => {
                "convert it with `np.save(path, a.astype(a.dtype.newbyteorder(\"=\")))`"
            }
            Self::FortranOrder { .. } => "convert it with `np.save(path, np.ascontiguousarray(a))`",
            Self::Objects => "convert it to numbers with `np.save(path, a.astype(np.float64))`",
            Self::Truncated { .. } => "the file is still being written, or its writer did not finish",
            Self::BadBool { .. } => "convert it with `np.save(path, a.view(np.uint8) != 0)`",
            Self::Misaligned { .. } => "load it with a copy, or save it again with `np.save`",
            Self::Schema { .. } => {
                "attach with the schema that is found; another one takes another frame, under its own name"
            }
            Self::Header { .. } | Self::TooLarge { .. } => {
                "the file is damaged, or was not written as a .npy file: write it again with `np.save`"
            }
            Self::Io(_) => return None,
        };
        Some(hint.to_owned())
    }

    /// As an error of the crate about the file at `path`.
    pub(crate) fn at(self, path: &Path) -> Error {
        if let Self::Io(error) = self {
            return Error::of_file("read", path, error);
        }
        let hint = self.hint();
        let error = Error::new(ErrorKind::Npy, format!("`{}`: {self}", path.display()));
        let error = if let Some(hint) = hint { error.with_hint(hint) } else { error };
        error.with_source(self)
    }
}

/// What a header says about the data that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    /// Offset of the first element from the start of the file.
    pub(crate) data_offset: usize,
}

impl Header {
    /// Reads a header of an array in C order and this machine's byte order; the reader is left at the first element.
    pub(crate) fn read(reader: &mut impl Read) -> Result<Self, NpyError> {
        Dictionary::read(reader)?.plain()
    }

    /// Number of bytes of the data. Cannot overflow: headers are checked when read.
    pub(crate) fn data_len(&self) -> usize {
        checked_len_bytes(&self.shape, self.dtype.size_bytes()).expect("checked when the header was read")
    }

    /// Refuses another type or number of axes than those wanted.
    pub(crate) fn expect(&self, dtype: DType, rank: Option<usize>) -> Result<(), NpyError> {
        if self.dtype != dtype {
            return Err(NpyError::DType {
                found: self.dtype.name().to_owned(),
                wanted: dtype.name().to_owned(),
            });
        }
        match rank {
            Some(wanted) if wanted != self.shape.len() => {
                Err(NpyError::Rank { found: self.shape.len(), wanted, shape: self.shape.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// The dictionary of a header, before it is judged.
#[derive(Debug)]
pub(crate) struct Dictionary {
    pub(crate) descr: Descr,
    pub(crate) fortran_order: bool,
    pub(crate) shape: Vec<usize>,
    /// Offset of the first element from the start of the file.
    pub(crate) data_offset: usize,
}

/// The type of the elements, as it is written.
#[derive(Debug)]
pub(crate) enum Descr {
    Simple(String),
    /// A list of named fields, with its brackets.
    Structured(Vec<u8>),
}

impl Dictionary {
    /// Reads a header; the reader is left at the first element.
    pub(crate) fn read(reader: &mut impl Read) -> Result<Self, NpyError> {
        let mut prefix = [0; 8];
        let found = read_up_to(reader, &mut prefix)?;
        if !prefix[..found].starts_with(MAGIC) {
            let found = String::from_utf8_lossy(&prefix[..found]).into_owned();
            return Err(NpyError::NotNpy { found });
        }
        if found < prefix.len() {
            return Err(NpyError::Truncated { need: prefix.len() as u64, have: found as u64 });
        }
        let width = match (prefix[6], prefix[7]) {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            (major, minor) => return Err(NpyError::Version { major, minor }),
        };
        let mut length = [0; 4];
        read_all(reader, &mut length[..width], prefix.len())?;
        let start = prefix.len() + width;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER_BYTES {
            let problem = format!("a header of {length} bytes; the limit is {MAX_HEADER_BYTES}");
            return Err(NpyError::Header { at: 0, problem });
        }
        let mut text = vec![0; length];
        read_all(reader, &mut text, start)?;
        Parser::new(&text).dictionary(start + length)
    }

    /// Whether the elements do not lie in C order. With at most one axis longer than 1 both orders are the same.
    pub(crate) fn is_fortran(&self) -> bool {
        self.fortran_order && self.shape.iter().filter(|&&n| n != 1).count() > 1
    }

    /// The header of a plain array, in C order and this machine's byte order.
    pub(crate) fn plain(self) -> Result<Header, NpyError> {
        let is_fortran = self.is_fortran();
        let dtype = match self.descr {
            Descr::Simple(descr) => native_dtype(descr)?,
            Descr::Structured(found) => {
                let found = shortened(&String::from_utf8_lossy(&found), 60);
                return Err(NpyError::DType { found, wanted: ANY_DTYPE.to_owned() });
            }
        };
        if is_fortran {
            return Err(NpyError::FortranOrder { shape: self.shape });
        }
        if checked_len_bytes(&self.shape, dtype.size_bytes()).is_none() {
            return Err(NpyError::TooLarge { shape: self.shape });
        }
        Ok(Header { dtype, shape: self.shape, data_offset: self.data_offset })
    }
}

/// What is wanted where every type of ours will do.
const ANY_DTYPE: &str = "a number, a bool or a complex number";

/// The type that a header names, which must be one of ours in this machine's byte order.
pub(crate) fn native_dtype(descr: String) -> Result<DType, NpyError> {
    if descr.trim_start_matches(['<', '>', '|', '=']).starts_with('O') {
        return Err(NpyError::Objects);
    }
    match DType::from_descr(&descr) {
        Some((dtype, true)) => Ok(dtype),
        Some((_, false)) => Err(NpyError::ByteOrder { found: descr }),
        None => Err(NpyError::DType { found: descr, wanted: ANY_DTYPE.to_owned() }),
    }
}

/// The bytes of a header of a plain array, padded so that the data start at a multiple of `align_to`.
pub(crate) fn write_header(dtype: DType, shape: &[usize], align_to: usize) -> Vec<u8> {
    write_dictionary(&format!("'{}'", dtype.descr()), shape, align_to)
}

/// The same with a type as it is to be written, in quotes or brackets.
///
/// Version 1 unless the text is too long for it, which takes thousands of axes or of fields.
pub(crate) fn write_dictionary(descr: &str, shape: &[usize], align_to: usize) -> Vec<u8> {
    let mut axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    // A tuple of one keeps its comma; longer ones end without.
    let keep = if shape.len() == 1 { axes.len() - 1 } else { axes.len().saturating_sub(2) };
    axes.truncate(keep);
    let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': ({axes}), }}");
    let fits_version_1 = (10 + text.len() + 1).next_multiple_of(align_to) - 10 <= usize::from(u16::MAX);
    let start = if fits_version_1 { 10 } else { 12 };
    let total = (start + text.len() + 1).next_multiple_of(align_to);
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(MAGIC);
    if fits_version_1 {
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend_from_slice(&u16::try_from(total - start).expect("checked above").to_le_bytes());
    } else {
        bytes.extend_from_slice(&[2, 0]);
        bytes.extend_from_slice(&u32::try_from(total - start).expect("a shape in memory").to_le_bytes());
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(total - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match reader.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn read_all(reader: &mut impl Read, buffer: &mut [u8], before: usize) -> Result<(), NpyError> {
    let done = read_up_to(reader, buffer)?;
    if done < buffer.len() {
        return Err(NpyError::Truncated {
            need: (before + buffer.len()) as u64,
            have: (before + done) as u64,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
