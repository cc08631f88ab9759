//! The types of array elements, as NumPy writes them.

use serde::{Deserialize, Serialize};

/// The type of an array's elements.
///
/// ```
/// use ndpool::DType;
///
/// assert_eq!(DType::F64.name(), "float64");
/// assert_eq!(DType::F64.size_bytes(), 8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[non_exhaustive]
pub enum DType {
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `i8`
    I8,
    /// `i16`
    I16,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// `bool`, one byte that is 0 or 1
    Bool,
    /// `Complex<f32>`
    C64,
    /// `Complex<f64>`
    C128,
}

/// The byte order of this machine, as the first character of a type in a `.npy` header.
pub(crate) const NATIVE_ORDER: char = if cfg!(target_endian = "little") { '<' } else { '>' };

impl DType {
    /// All types.
    pub const ALL: [Self; 13] = [
        Self::F32,
        Self::F64,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::Bool,
        Self::C64,
        Self::C128,
    ];

    /// Size of one element in bytes.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }

    /// NumPy's name of the type, such as `float64`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Bool => "bool",
            Self::C64 => "complex64",
            Self::C128 => "complex128",
        }
    }

    /// Kind and size as in a `.npy` header, without the byte order.
    const fn code(self) -> &'static str {
        match self {
            Self::F32 => "f4",
            Self::F64 => "f8",
            Self::I8 => "i1",
            Self::I16 => "i2",
            Self::I32 => "i4",
            Self::I64 => "i8",
            Self::U8 => "u1",
            Self::U16 => "u2",
            Self::U32 => "u4",
            Self::U64 => "u8",
            Self::Bool => "b1",
            Self::C64 => "c8",
            Self::C128 => "c16",
        }
    }

    /// The type as in a `.npy` header, in this machine's byte order: `<f8`, `|b1`.
    pub fn descr(self) -> String {
        let order = if self.size_bytes() == 1 { '|' } else { NATIVE_ORDER };
        format!("{order}{}", self.code())
    }

    /// The type that a `.npy` header names, with whether its bytes are in this machine's order.
    ///
    /// `None` for every type that arrays here cannot have.
    pub(crate) fn from_descr(descr: &str) -> Option<(Self, bool)> {
        let order = descr.chars().next()?;
        let code = descr.strip_prefix(['<', '>', '|', '='])?;
        let dtype = Self::ALL.into_iter().find(|dtype| dtype.code() == code)?;
        match order {
            _ if dtype.size_bytes() == 1 => Some((dtype, true)),
            '|' => None,
            '=' => Some((dtype, true)),
            order => Some((dtype, order == NATIVE_ORDER)),
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_own_text() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_descr(&dtype.descr()), Some((dtype, true)), "{dtype}");
        }
    }

    #[test]
    fn foreign_types_and_orders() {
        for descr in ["", "<", "f8", "<f2", "<U3", "|O", "<M8[ns]", "|f8", "<f88", "é8", "<f16"] {
            assert_eq!(DType::from_descr(descr), None, "{descr}");
        }
        let foreign = if NATIVE_ORDER == '<' { '>' } else { '<' };
        assert_eq!(DType::from_descr(&format!("{foreign}f8")), Some((DType::F64, false)));
        assert_eq!(DType::from_descr(&format!("{foreign}u1")), Some((DType::U8, true)));
        assert_eq!(DType::from_descr("=c16"), Some((DType::C128, true)));
    }
}
