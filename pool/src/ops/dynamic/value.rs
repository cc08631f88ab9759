//! What an operation yields, and its numbers.

use std::fmt;
use std::path::Path;

use ndarray::ArrayD;
use num_complex::Complex;

use crate::array::{Element, load_npy, npy_header, save_npy};
use crate::error::Result;
use crate::segment::DType;
use crate::sys::view::bytes_of;

macro_rules! any_value {
    ($($variant:ident($t:ty)),*) => {
        /// What an operation yields: an array, of rank 0 for a single value.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum AnyValue {
            $(
                #[doc = concat!("Elements of type `", stringify!($t), "`.")]
                $variant(ArrayD<$t>),
            )*
        }

        $(
            impl From<ArrayD<$t>> for AnyValue {
                fn from(x: ArrayD<$t>) -> Self {
                    Self::$variant(x)
                }
            }
        )*

        impl AnyValue {
            /// A copy of a `.npy` file in this process's memory, whatever its element type and rank.
            ///
            /// # Errors
            ///
            /// [`Npy`](crate::ErrorKind::Npy) if the file is none that arrays here can be loaded from,
            /// [`Io`](crate::ErrorKind::Io) if it cannot be read.
            pub fn load_npy(path: impl AsRef<Path>) -> Result<Self> {
                let path = path.as_ref();
                match npy_header(path)?.dtype {
                    $(DType::$variant => Ok(load_npy::<$t>(path)?.into()),)*
                }
            }

            /// Whether the two have one type, one shape and the same bits: unlike for `==`, NaN is the same as itself,
            /// and the two zeros differ.
            pub fn same_bits(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$variant(x), Self::$variant(y)) => same_bits(x, y),)*
                    _ => false,
                }
            }
        }
    };
}
for_every_type!(any_value);

impl AnyValue {
    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        with_every_type!(self, AnyValue, x => dtype_of(x))
    }

    /// Lengths of the axes; empty for a single value.
    pub fn shape(&self) -> &[usize] {
        with_every_type!(self, AnyValue, x => x.shape())
    }

    /// The elements in C order, as numbers for output.
    pub fn numbers(&self) -> Vec<Number> {
        with_every_type!(self, AnyValue, x => x.iter().map(|v| Number::from(*v)).collect())
    }

    /// Saves the value as a `.npy` file, whole or not at all.
    ///
    /// # Errors
    ///
    /// As for [`SharedArray::save_npy`](crate::SharedArray::save_npy).
    pub fn save_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        with_every_type!(self, AnyValue, x => save_npy(x.as_standard_layout().view(), path.as_ref()))
    }
}

fn dtype_of<T: Element>(_: &ArrayD<T>) -> DType {
    T::DTYPE
}

fn same_bits<T: Element>(x: &ArrayD<T>, y: &ArrayD<T>) -> bool {
    let bits = |x: &T, y: &T| bytes_of(std::slice::from_ref(x)) == bytes_of(std::slice::from_ref(y));
    x.shape() == y.shape() && x.iter().zip(y).all(|(x, y)| bits(x, y))
}

/// One element of an [`AnyValue`].
///
/// Its text reads back to the same value of the same type, bit by bit but for the payload of NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Number {
    /// A float of 32 bits.
    Float32(f32),
    /// A float of 64 bits.
    Float(f64),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A truth value.
    Bool(bool),
    /// Real and imaginary part of 32 bits each.
    Complex32(f32, f32),
    /// Real and imaginary part of 64 bits each.
    Complex(f64, f64),
}

macro_rules! number {
    ($($t:ty => |$v:ident| $e:expr;)*) => { $(
        impl From<$t> for Number {
            fn from($v: $t) -> Self {
                $e
            }
        }
    )* };
}
number! {
    f32 => |v| Self::Float32(v);
    f64 => |v| Self::Float(v);
    i8 => |v| Self::Int(v.into());
    i16 => |v| Self::Int(v.into());
    i32 => |v| Self::Int(v.into());
    i64 => |v| Self::Int(v);
    u8 => |v| Self::UInt(v.into());
    u16 => |v| Self::UInt(v.into());
    u32 => |v| Self::UInt(v.into());
    u64 => |v| Self::UInt(v);
    bool => |v| Self::Bool(v);
    Complex<f32> => |v| Self::Complex32(v.re, v.im);
    Complex<f64> => |v| Self::Complex(v.re, v.im);
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float32(x) => write!(f, "{x:?}"),
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Int(x) => write!(f, "{x}"),
            Self::UInt(x) => write!(f, "{x}"),
            Self::Bool(x) => write!(f, "{x}"),
            // Rust gives NaN no sign.
            Self::Complex32(re, im) if im.is_nan() => write!(f, "{re:?}+{im:?}j"),
            Self::Complex32(re, im) => write!(f, "{re:?}{im:+?}j"),
            Self::Complex(re, im) if im.is_nan() => write!(f, "{re:?}+{im:?}j"),
            Self::Complex(re, im) => write!(f, "{re:?}{im:+?}j"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{IxDyn, arr0, arr1};

    #[test]
    fn numbers_read_as_in_numpy() {
        assert_eq!(Number::from(1.0_f64).to_string(), "1.0");
        assert_eq!(Number::from(0.1_f32).to_string(), "0.1");
        assert_eq!(Number::from(Complex::new(1.0_f64, -2.5)).to_string(), "1.0-2.5j");
        assert_eq!(Number::from(Complex::new(1.0_f32, f32::NAN)).to_string(), "1.0+NaNj");
        let value = AnyValue::from(ArrayD::from_elem(IxDyn(&[2]), 3_i8));
        assert_eq!((value.dtype(), value.shape(), value.numbers().len()), (DType::I8, &[2][..], 2));
    }

    #[test]
    fn bits_tell_zeros_apart_and_nan_from_nothing() {
        let value = |x: f64| AnyValue::from(arr0(x).into_dyn());
        assert!(value(f64::NAN).same_bits(&value(f64::NAN)));
        assert!(!value(f64::NAN).same_bits(&value(-f64::NAN)));
        assert!(!value(0.0).same_bits(&value(-0.0)));
        assert!(!value(0.0).same_bits(&AnyValue::from(arr0(0_u64).into_dyn())));
        assert!(!value(0.0).same_bits(&AnyValue::from(arr1(&[0.0]).into_dyn())));
    }
}
