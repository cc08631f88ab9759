//! The same functions, chosen by name and element type at run time, for programs that read both from outside.
//!
//! | file | concept |
//! |---|---|
//! | `array` | an array of any element type, and loading one |
//! | `value` | what an operation yields, and its numbers |
//! | `op` | the operations by name, and what they take |
//! | `run` | running them |
//!
//! # Example
//!
//! ```
//! use ndpool::ops::dynamic::{AnyArray, Op, Options, run};
//!
//! ndpool::init();
//! let pool = ndpool::Pool::builder().workers(2).build()?;
//! let x = AnyArray::from(pool.from_array(&ndarray::array![[1_i64, 2], [3, 4]].into_dyn())?);
//! let op: Op = "sum".parse()?;
//! let found = run(&pool, &x, op, &Options { axis: Some(0), ..Options::default() })?;
//! let (name, value) = &found[0];
//! assert_eq!((*name, value.shape()), ("sum", &[2][..]));
//! assert_eq!(value.numbers()[1].to_string(), "6");
//! # Ok::<(), ndpool::Error>(())
//! ```

/// Matches an `AnyArray` or `AnyValue`, and gives arm after arm the same expression.
macro_rules! with_every_type {
    ($any:expr, $enum:ident, $x:ident => $body:expr) => {
        match $any {
            $enum::F32($x) => $body,
            $enum::F64($x) => $body,
            $enum::I8($x) => $body,
            $enum::I16($x) => $body,
            $enum::I32($x) => $body,
            $enum::I64($x) => $body,
            $enum::U8($x) => $body,
            $enum::U16($x) => $body,
            $enum::U32($x) => $body,
            $enum::U64($x) => $body,
            $enum::Bool($x) => $body,
            $enum::C64($x) => $body,
            $enum::C128($x) => $body,
        }
    };
}

/// Gives a macro every variant with its element type.
macro_rules! for_every_type {
    ($macro:ident) => {
        $macro! {
            F32(f32), F64(f64), I8(i8), I16(i16), I32(i32), I64(i64), U8(u8), U16(u16), U32(u32), U64(u64), Bool(bool),
            C64(Complex<f32>), C128(Complex<f64>)
        }
    };
}

pub(crate) use {for_every_type, with_every_type};

mod array;
mod op;
mod run;
mod value;

pub use array::AnyArray;
pub use op::{Op, Options};
pub use run::{Runner, Values, run};
pub use value::{AnyValue, Number};
