//! The same functions, chosen by name and element type at run time, for programs that read both from outside.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array1, ArrayD, Axis, IxDyn, arr0};
use num_complex::Complex;

use super::element::{IndexElement, NumberElement, RealElement};
use super::{
    Bins, Describe, Histogram, MeanElement, NormOrd, OrderElement, SumElement, UniqueCounts, axis, bincount,
    describe, histogram, histogram_auto, unique_counts, whole,
};
use crate::array::SharedArray;
use crate::error::{Error, ErrorKind, Result};
use crate::{Call, Pool};

/// Matches an [`AnyArray`] or [`AnyValue`], and gives arm after arm the same expression.
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

macro_rules! any {
    ($($variant:ident($t:ty)),*) => {
        /// A shared array of any element type and rank.
        #[non_exhaustive]
        pub enum AnyArray {
            $(
                #[doc = concat!("Elements of type `", stringify!($t), "`.")]
                $variant(SharedArray<$t, IxDyn>),
            )*
        }

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
            impl From<SharedArray<$t, IxDyn>> for AnyArray {
                fn from(x: SharedArray<$t, IxDyn>) -> Self {
                    Self::$variant(x)
                }
            }

            impl From<ArrayD<$t>> for AnyValue {
                fn from(x: ArrayD<$t>) -> Self {
                    Self::$variant(x)
                }
            }
        )*
    };
}
any!(
    F32(f32),
    F64(f64),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    Bool(bool),
    C64(Complex<f32>),
    C128(Complex<f64>)
);

impl AnyArray {
    /// NumPy's name of the element type.
    pub fn dtype(&self) -> &'static str {
        with_every_type!(self, AnyArray, x => name_of(x))
    }
}

fn name_of<T: super::dtype::Dtype>(_: &SharedArray<T, IxDyn>) -> &'static str {
    T::NAME
}

fn name_of_value<T: super::dtype::Dtype>(_: &ArrayD<T>) -> &'static str {
    T::NAME
}

impl AnyValue {
    /// NumPy's name of the element type.
    pub fn dtype(&self) -> &'static str {
        with_every_type!(self, AnyValue, x => name_of_value(x))
    }

    /// Lengths of the axes; empty for a single value.
    pub fn shape(&self) -> &[usize] {
        with_every_type!(self, AnyValue, x => x.shape())
    }

    /// The elements in C order, as numbers for output.
    pub fn numbers(&self) -> Vec<Number> {
        with_every_type!(self, AnyValue, x => x.iter().map(|v| Number::from(*v)).collect())
    }
}

/// One element of an [`AnyValue`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A float; `f32` is widened.
    Float(f64),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A truth value.
    Bool(bool),
    /// Real and imaginary part.
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
    f32 => |v| Self::Float(v.into());
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
    Complex<f32> => |v| Self::Complex(v.re.into(), v.im.into());
    Complex<f64> => |v| Self::Complex(v.re, v.im);
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Int(x) => write!(f, "{x}"),
            Self::UInt(x) => write!(f, "{x}"),
            Self::Bool(x) => write!(f, "{x}"),
            Self::Complex(re, im) => write!(f, "{re:?}{im:+?}j"),
        }
    }
}

macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// A function of [`ops`](super), by NumPy's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Op {
            $(
                #[doc = concat!("[`", $name, "`](fn@super::", $name, ").")]
                $variant,
            )*
        }

        impl Op {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}
ops! {
    Sum = "sum", Prod = "prod", Mean = "mean", Var = "var", Std = "std", Min = "min", Max = "max",
    Argmin = "argmin", Argmax = "argmax", Ptp = "ptp", CountNonzero = "count_nonzero", Any = "any", All = "all",
    Norm = "norm", Nansum = "nansum", Nanprod = "nanprod", Nanmean = "nanmean", Nanvar = "nanvar",
    Nanstd = "nanstd", Nanmin = "nanmin", Nanmax = "nanmax", Nanargmin = "nanargmin", Nanargmax = "nanargmax",
    Describe = "describe", Histogram = "histogram", Bincount = "bincount", UniqueCounts = "unique_counts",
}

impl Op {
    /// Whether it can reduce along an axis.
    pub fn has_axis(self) -> bool {
        !matches!(self, Self::Describe | Self::Histogram | Self::Bincount | Self::UniqueCounts)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Op {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|op| op.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|op| op.name()).collect();
            Error::new(ErrorKind::InvalidArgument, format!("there is no operation `{name}`"))
                .with_hint(format!("one of {}", names.join(", ")))
        })
    }
}

/// What an [`Op`] takes beside the array.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Reduce along this axis; `None`: the whole array.
    pub axis: Option<usize>,
    /// Delta degrees of freedom of variances and standard deviations.
    pub ddof: f64,
    /// Which norm.
    pub ord: NormOrd,
    /// Number of bins of a histogram.
    pub bins: usize,
    /// Range of a histogram; `None`: from the smallest to the largest value.
    pub range: Option<(f64, f64)>,
    /// Least number of counts of `bincount`.
    pub min_length: usize,
    /// Largest number of distinct values of `unique_counts`.
    pub limit: usize,
}

impl Default for Options {
    /// NumPy's defaults: the whole array, `ddof` 0, the 2-norm, 10 bins; and a million distinct values.
    fn default() -> Self {
        Self {
            axis: None,
            ddof: 0.0,
            ord: NormOrd::Two,
            bins: 10,
            range: None,
            min_length: 0,
            limit: 1_000_000,
        }
    }
}

/// Runs an operation.
///
/// Operations with one result yield one value under their own name; the others a value for each field of their
/// result, such as `counts` and `edges`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if the operation does not exist for the element type or along an axis; else those of the function
/// of [`ops`](super) that it names.
pub fn run(pool: &Pool, x: &AnyArray, op: Op, options: &Options) -> Result<Vec<(&'static str, AnyValue)>> {
    if options.axis.is_some() && !op.has_axis() {
        let message = format!("`{op}` cannot reduce along an axis");
        return Err(Error::new(ErrorKind::InvalidArgument, message).with_hint("leave out the axis"));
    }
    macro_rules! of_types {
        ($function:ident: $($variant:ident)*) => {
            match x {
                $(AnyArray::$variant(x) => $function(pool, x, op, options),)*
                #[allow(unreachable_patterns, reason = "some lists hold every type")]
                _ => Err(unsupported(op, x.dtype())),
            }
        };
    }
    match op {
        Op::Ptp => of_types!(run_ptp: F32 F64 I8 I16 I32 I64 U8 U16 U32 U64 C64 C128),
        Op::Histogram => of_types!(run_histogram: F32 F64 I8 I16 I32 I64 U8 U16 U32 U64),
        Op::Bincount => of_types!(run_bincount: I8 I16 I32 I64 U8 U16 U32 U64 Bool),
        _ => with_every_type!(x, AnyArray, x => run_common(pool, x, op, options)),
    }
}

fn unsupported(op: Op, dtype: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("`{op}` does not exist for elements of type {dtype}"))
}

type Values = Vec<(&'static str, AnyValue)>;

fn one<T>(op: Op, value: T) -> Values
where
    AnyValue: From<ArrayD<T>>,
{
    vec![(op.name(), scalar(value))]
}

fn scalar<T>(value: T) -> AnyValue
where
    AnyValue: From<ArrayD<T>>,
{
    arr0(value).into_dyn().into()
}

fn list<T>(values: Vec<T>) -> AnyValue
where
    AnyValue: From<ArrayD<T>>,
{
    Array1::from_vec(values).into_dyn().into()
}

/// Runs the form along the axis, if there is one, or that of the whole array; indices become `u64`.
macro_rules! reduce {
    ($pool:expr, $op:expr, $x:expr, $options:expr, $whole:path, $along:path $(, $arg:expr)*) => {
        match $options.axis {
            Some(k) => Ok(vec![($op.name(), $pool.run($along($x, Axis(k) $(, $arg)*))?.into())]),
            None => Ok(one($op, $pool.run($whole($x $(, $arg)*))?)),
        }
    };
    (@index $pool:expr, $op:expr, $x:expr, $options:expr, $whole:path, $along:path) => {
        match $options.axis {
            Some(k) => {
                let found: ArrayD<usize> = $pool.run($along($x, Axis(k)))?;
                Ok(vec![($op.name(), found.mapv(|index| index as u64).into())])
            }
            None => Ok(one($op, $pool.run($whole($x))? as u64)),
        }
    };
}

fn run_common<T>(pool: &Pool, x: &SharedArray<T, IxDyn>, op: Op, options: &Options) -> Result<Values>
where
    T: SumElement + MeanElement + OrderElement,
    AnyValue: From<ArrayD<T>>
        + From<ArrayD<<T as SumElement>::Output>>
        + From<ArrayD<<T as MeanElement>::Output>>
        + From<ArrayD<<T as MeanElement>::RealOutput>>,
{
    let ddof = options.ddof;
    match op {
        Op::Sum => reduce!(pool, op, x, options, whole::sum, axis::sum_axis),
        Op::Nansum => reduce!(pool, op, x, options, whole::nansum, axis::nansum_axis),
        Op::Prod => reduce!(pool, op, x, options, whole::prod, axis::prod_axis),
        Op::Nanprod => reduce!(pool, op, x, options, whole::nanprod, axis::nanprod_axis),
        Op::Mean => reduce!(pool, op, x, options, whole::mean, axis::mean_axis),
        Op::Nanmean => reduce!(pool, op, x, options, whole::nanmean, axis::nanmean_axis),
        Op::Var => reduce!(pool, op, x, options, whole::var, axis::var_axis, ddof),
        Op::Nanvar => reduce!(pool, op, x, options, whole::nanvar, axis::nanvar_axis, ddof),
        Op::Std => reduce!(pool, op, x, options, whole::std, axis::std_axis, ddof),
        Op::Nanstd => reduce!(pool, op, x, options, whole::nanstd, axis::nanstd_axis, ddof),
        Op::Min => reduce!(pool, op, x, options, whole::min, axis::min_axis),
        Op::Nanmin => reduce!(pool, op, x, options, whole::nanmin, axis::nanmin_axis),
        Op::Max => reduce!(pool, op, x, options, whole::max, axis::max_axis),
        Op::Nanmax => reduce!(pool, op, x, options, whole::nanmax, axis::nanmax_axis),
        Op::Argmin => reduce!(@index pool, op, x, options, whole::argmin, axis::argmin_axis),
        Op::Nanargmin => reduce!(@index pool, op, x, options, whole::nanargmin, axis::nanargmin_axis),
        Op::Argmax => reduce!(@index pool, op, x, options, whole::argmax, axis::argmax_axis),
        Op::Nanargmax => reduce!(@index pool, op, x, options, whole::nanargmax, axis::nanargmax_axis),
        Op::CountNonzero => {
            reduce!(@index pool, op, x, options, whole::count_nonzero, axis::count_nonzero_axis)
        }
        Op::Any => reduce!(pool, op, x, options, whole::any, axis::any_axis),
        Op::All => reduce!(pool, op, x, options, whole::all, axis::all_axis),
        Op::Norm => reduce!(pool, op, x, options, whole::norm, axis::norm_axis, options.ord),
        Op::Describe => {
            let Describe { count, nan_count, sum, mean, std, min, argmin, max, argmax } =
                pool.run(describe(x))?;
            Ok(vec![
                ("count", scalar(count as u64)),
                ("nan_count", scalar(nan_count as u64)),
                ("sum", scalar(sum)),
                ("mean", scalar(mean)),
                ("std", scalar(std)),
                ("min", scalar(min)),
                ("argmin", scalar(argmin as u64)),
                ("max", scalar(max)),
                ("argmax", scalar(argmax as u64)),
            ])
        }
        Op::UniqueCounts => {
            let UniqueCounts { values, counts } = pool.run(unique_counts(x, options.limit))?;
            Ok(vec![("values", list(values)), ("counts", list(counts))])
        }
        // Those of fewer types have functions of their own.
        Op::Ptp | Op::Histogram | Op::Bincount => Err(unsupported(op, name_of(x))),
    }
}

fn run_ptp<T>(pool: &Pool, x: &SharedArray<T, IxDyn>, op: Op, options: &Options) -> Result<Values>
where
    T: NumberElement,
    AnyValue: From<ArrayD<T>>,
{
    reduce!(pool, op, x, options, whole::ptp, axis::ptp_axis)
}

fn run_histogram<T>(pool: &Pool, x: &SharedArray<T, IxDyn>, _op: Op, options: &Options) -> Result<Values>
where
    T: RealElement,
{
    let n_bins = options.bins;
    let Histogram { counts, edges } = match options.range {
        Some(range) => pool.run(histogram(x, Bins::Uniform { n_bins, range }))?,
        None => histogram_auto(pool, x, n_bins)?,
    };
    Ok(vec![("counts", list(counts)), ("edges", list(edges))])
}

fn run_bincount<T>(pool: &Pool, x: &SharedArray<T, IxDyn>, op: Op, options: &Options) -> Result<Values>
where
    T: IndexElement,
{
    Ok(vec![(op.name(), list(pool.run(bincount(x, options.min_length))?))])
}

/// A check at compile time that calls keep their shape for the dynamic rank.
const _: fn(&'static SharedArray<f64, IxDyn>) -> Call<'static, ArrayD<f64>> = |x| axis::sum_axis(x, Axis(0));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for op in Op::ALL {
            assert_eq!(op.to_string().parse::<Op>().unwrap(), *op);
        }
        let error = "summ".parse::<Op>().unwrap_err();
        assert!(error.hint().is_some_and(|hint| hint.contains("nanargmax")));
    }

    #[test]
    fn numbers_read_as_in_numpy() {
        assert_eq!(Number::from(1.0_f64).to_string(), "1.0");
        assert_eq!(Number::from(Complex::new(1.0_f64, -2.5)).to_string(), "1.0-2.5j");
        let value = AnyValue::from(ArrayD::from_elem(IxDyn(&[2]), 3_i8));
        assert_eq!((value.dtype(), value.shape(), value.numbers().len()), ("int8", &[2][..], 2));
    }
}
