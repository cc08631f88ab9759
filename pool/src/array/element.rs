//! The types that elements of shared arrays can have.

use num_complex::Complex;

use crate::segment::DType;
use crate::sys::view::Plain;

/// A type that elements of shared arrays can have: `f32`, `f64`, `i8` to `i64`, `u8` to `u64`, `bool`, `Complex<f32>` and
/// `Complex<f64>`.
///
/// Their bytes mean the same in every process, and in NumPy. The trait is sealed.
///
/// # Safety
///
/// `DTYPE` has the size of the type, `ZERO` is the value whose bytes are zero, and [`valid`](Self::valid) accepts only bytes that
/// are values of the type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an element of a shared array",
    label = "not a type that NumPy and other processes know",
    note = "elements are f32, f64, i8 to i64, u8 to u64, bool, Complex<f32> and Complex<f64>",
    note = "`usize` and `isize` differ between machines: use `u64` and `i64`"
)]
#[expect(unsafe_code, reason = "implementing it is a promise")]
pub unsafe trait Element: Plain {
    /// The type, as NumPy names it.
    const DTYPE: DType;

    /// Zero; `false`.
    const ZERO: Self;

    /// Whether bytes from elsewhere are values of this type. All bytes are, except for `bool`.
    fn valid(_bytes: &[u8]) -> bool {
        true
    }
}

macro_rules! element {
    ($($type:ty => $dtype:ident, $zero:expr;)*) => { $(
        // SAFETY: the size is checked below; any bytes are a number (two of them, a complex number).
        #[expect(unsafe_code, reason = "says that any bytes are a value")]
        unsafe impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            const ZERO: Self = $zero;
        }
        const _: () = assert!(size_of::<$type>() == DType::$dtype.size_bytes());
    )* };
}

element! {
    f32 => F32, 0.0;
    f64 => F64, 0.0;
    i8 => I8, 0;
    i16 => I16, 0;
    i32 => I32, 0;
    i64 => I64, 0;
    u8 => U8, 0;
    u16 => U16, 0;
    u32 => U32, 0;
    u64 => U64, 0;
    Complex<f32> => C64, Complex::new(0.0, 0.0);
    Complex<f64> => C128, Complex::new(0.0, 0.0);
}

// SAFETY: one byte; only 0 and 1 are accepted.
#[expect(unsafe_code, reason = "says which bytes are a value")]
unsafe impl Element for bool {
    const DTYPE: DType = DType::Bool;
    const ZERO: Self = false;

    fn valid(bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| byte < 2)
    }
}
