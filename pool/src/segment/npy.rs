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

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// A header longer than this is refused. NumPy's own limit for files that it does not trust is 10 000 characters.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// NumPy's largest number of axes.
const MAX_RANK: usize = 64;

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
        let fields = Parser { text: &text, at: 0 }.dictionary()?;
        fields.check(start + length)
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

/// The bytes of a header, padded so that the data start at a multiple of `align_to`.
///
/// Version 1 unless the text is too long for it, which takes thousands of axes.
pub(crate) fn write_header(dtype: DType, shape: &[usize], align_to: usize) -> Vec<u8> {
    let mut axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    // A tuple of one keeps its comma; longer ones end without.
    let keep = if shape.len() == 1 { axes.len() - 1 } else { axes.len().saturating_sub(2) };
    axes.truncate(keep);
    let descr = dtype.descr();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}), }}");
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

/// The entries of the dictionary, before they are judged.
struct Fields {
    descr: Descr,
    fortran_order: bool,
    shape: Vec<usize>,
}

enum Descr {
    Simple(String),
    /// A list of named fields, as it is written.
    Structured(String),
}

impl Fields {
    fn check(self, data_offset: usize) -> Result<Header, NpyError> {
        let any = || "a number, a bool or a complex number".to_owned();
        let descr = match self.descr {
            Descr::Simple(descr) => descr,
            Descr::Structured(found) => return Err(NpyError::DType { found, wanted: any() }),
        };
        if descr.trim_start_matches(['<', '>', '|', '=']).starts_with('O') {
            return Err(NpyError::Objects);
        }
        let dtype = match DType::from_descr(&descr) {
            Some((dtype, true)) => dtype,
            Some((_, false)) => return Err(NpyError::ByteOrder { found: descr }),
            None => return Err(NpyError::DType { found: descr, wanted: any() }),
        };
        // With at most one axis longer than 1 both orders are the same.
        if self.fortran_order && self.shape.iter().filter(|&&n| n != 1).count() > 1 {
            return Err(NpyError::FortranOrder { shape: self.shape });
        }
        if checked_len_bytes(&self.shape, dtype.size_bytes()).is_none() {
            return Err(NpyError::TooLarge { shape: self.shape });
        }
        Ok(Header { dtype, shape: self.shape, data_offset })
    }
}

/// Reads the dictionary's text from left to right.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn dictionary(mut self) -> Result<Fields, NpyError> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.take(b'}') {
            let key_at = self.at;
            let key = self.string()?;
            self.expect(b':')?;
            let is_new = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_none(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                _ => return Err(problem(key_at, format!("unknown key {key:?}"))),
            };
            if !is_new {
                return Err(problem(key_at, format!("key {key:?} twice")));
            }
            if !self.take(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        if self.peek().is_some() {
            return Err(self.unexpected("nothing after the dictionary"));
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Fields { descr, fortran_order, shape }),
            _ => Err(problem(self.at, "`descr`, `fortran_order` or `shape` is missing")),
        }
    }

    /// A type: a string, or a list of fields, which is passed over.
    fn descr(&mut self) -> Result<Descr, NpyError> {
        if self.peek() != Some(b'[') {
            return self.string().map(Descr::Simple);
        }
        let start = self.at;
        let mut depth = 0_usize;
        let mut quote = None;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            match (quote, byte) {
                (Some(open), _) if open == byte => quote = None,
                (Some(_), _) => {}
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'[') => depth += 1,
                (None, b']') => depth -= 1,
                (None, _) => {}
            }
            if depth == 0 {
                let found = String::from_utf8_lossy(&self.text[start..self.at]);
                return Ok(Descr::Structured(shortened(&found)));
            }
        }
        Err(problem(start, "a list of fields without its end"))
    }

    /// A string in either quotes, without escapes, which no writer of headers uses.
    fn string(&mut self) -> Result<String, NpyError> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return Err(self.unexpected("a string")),
        };
        let start = self.at + 1;
        let rest = &self.text[start..];
        let len = rest.iter().position(|&byte| byte == quote || byte == b'\\' || byte == b'\n');
        match len.filter(|&len| rest[len] == quote) {
            Some(len) => {
                self.at = start + len + 1;
                Ok(String::from_utf8_lossy(&rest[..len]).into_owned())
            }
            None => Err(problem(start, "a string without its end")),
        }
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    /// A tuple of lengths. Python 2 wrote long ones as `3L`.
    fn tuple(&mut self) -> Result<Vec<usize>, NpyError> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            if shape.len() == MAX_RANK {
                return Err(problem(self.at, format!("more than {MAX_RANK} axes")));
            }
            shape.push(self.number()?);
            if !self.take(b',') {
                // `(3)` is a number in parentheses.
                if shape.len() == 1 {
                    return Err(self.unexpected("a comma"));
                }
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize, NpyError> {
        self.peek();
        let start = self.at;
        let digits = self.text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.unexpected("a length"));
        }
        self.at += digits;
        let mut value = 0_usize;
        for digit in &self.text[start..self.at] {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(usize::from(digit - b'0')))
                .ok_or_else(|| problem(start, "a length that overflows"))?;
        }
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        Ok(value)
    }

    /// The next byte after white space.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), NpyError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(format_args!("`{}`", char::from(byte)))) }
    }

    fn unexpected(&self, wanted: impl std::fmt::Display) -> NpyError {
        let found = String::from_utf8_lossy(&self.text[self.at.min(self.text.len())..]);
        problem(self.at, format!("{:?}, wanted {wanted}", shortened(found.trim_end())))
    }
}

fn problem(at: usize, problem: impl Into<String>) -> NpyError {
    NpyError::Header { at, problem: problem.into() }
}

/// At most the first characters of a text, for messages.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
