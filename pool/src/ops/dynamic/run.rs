//! Running operations.
//!
//! What names every operation for every element type is `#[inline]`: it is compiled where it is used, and not into
//! this library, which would take minutes for everyone.

use std::fmt;

use ndarray::{Array1, ArrayD, Axis, IxDyn, arr0};

use super::{AnyArray, AnyValue, Op, Options};
use crate::Pool;
use crate::array::SharedArray;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::element::{IndexElement, NumberElement, RealElement};
use crate::ops::histogram::histogram_between;
use crate::ops::{
    Bins, Describe, Histogram, MeanElement, OrderElement, SumElement, UniqueCounts, axis, bincount, describe,
    histogram, unique_counts, whole,
};
use crate::segment::DType;
use crate::task::{Call, Progress};

/// What an operation yields.
///
/// Operations with one result yield one value under their own name; the others a value for each field of their
/// result, such as `counts` and `edges`.
pub type Values = Vec<(&'static str, AnyValue)>;

/// Runs an operation.
///
/// # Errors
///
/// [`ErrorKind::InvalidArgument`] if the operation does not exist for the element type or along an axis, or takes two
/// arrays; else those of the function of [`ops`](crate::ops) that it names.
#[inline]
pub fn run(pool: &Pool, x: &AnyArray, op: Op, options: &Options) -> Result<Values> {
    Runner::new(pool).run(x, op, options)
}

/// Runs operations, and says how their calls are to be run.
pub struct Runner<'p> {
    pool: &'p Pool,
    attempts: Option<u32>,
    on_progress: Option<Box<dyn FnMut(Progress) + Send + 'p>>,
}

impl<'p> Runner<'p> {
    /// Runs calls on this pool.
    pub fn new(pool: &'p Pool) -> Self {
        Self { pool, attempts: None, on_progress: None }
    }

    /// As [`Call::attempts`].
    #[must_use]
    pub fn attempts(mut self, n: u32) -> Self {
        self.attempts = Some(n);
        self
    }

    /// As [`Call::on_progress`]. An operation of several passes reaches its end several times.
    #[must_use]
    pub fn on_progress(mut self, f: impl FnMut(Progress) + Send + 'p) -> Self {
        self.on_progress = Some(Box::new(f));
        self
    }

    /// Runs an operation on one array.
    ///
    /// # Errors
    ///
    /// As for [`run`].
    #[inline]
    pub fn run(&mut self, x: &AnyArray, op: Op, options: &Options) -> Result<Values> {
        if op.takes_two() {
            let message = format!("`{op}` takes two arrays");
            return Err(Error::new(ErrorKind::InvalidArgument, message).with_hint("use `Runner::run_two`"));
        }
        let axis = options.axis.map(|k| resolve_axis(k, x.shape().len())).transpose()?;
        if axis.is_some() && !op.has_axis() {
            let message = format!("`{op}` cannot reduce along an axis");
            return Err(Error::new(ErrorKind::InvalidArgument, message).with_hint("leave out the axis"));
        }
        macro_rules! of_types {
            ($function:ident: $($variant:ident)*) => {
                match x {
                    $(AnyArray::$variant(x) => $function(self, x, op, axis, options),)*
                    #[allow(unreachable_patterns, reason = "some lists hold every type")]
                    _ => Err(unsupported(op, x.dtype())),
                }
            };
        }
        match op {
            Op::Ptp => of_types!(run_ptp: F32 F64 I8 I16 I32 I64 U8 U16 U32 U64 C64 C128),
            Op::Histogram => of_types!(run_histogram: F32 F64 I8 I16 I32 I64 U8 U16 U32 U64),
            Op::Bincount => of_types!(run_bincount: I8 I16 I32 I64 U8 U16 U32 U64 Bool),
            _ => with_every_type!(x, AnyArray, x => run_common(self, x, op, axis, options)),
        }
    }

    /// Runs an operation on two arrays.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if the operation takes one array, or the element types differ; else those of the
    /// function of [`ops`](crate::ops) that it names.
    #[inline]
    pub fn run_two(&mut self, x: &AnyArray, y: &AnyArray, op: Op) -> Result<Values> {
        macro_rules! of_one_type {
            ($($variant:ident)*) => {
                match (x, y) {
                    $((AnyArray::$variant(x), AnyArray::$variant(y)) => match op {
                        Op::Dot => Ok(one(op, self.call(whole::dot(x, y))?)),
                        Op::Vdot => Ok(one(op, self.call(whole::vdot(x, y))?)),
                        _ => Err(Error::new(ErrorKind::InvalidArgument, format!("`{op}` takes one array"))
                            .with_hint("use `Runner::run`")),
                    },)*
                    _ => {
                        let message = format!("`{op}` of arrays of {} and of {}", x.dtype(), y.dtype());
                        Err(Error::new(ErrorKind::InvalidArgument, message)
                            .with_hint("convert one of them, so that both have the same element type"))
                    }
                }
            };
        }
        of_one_type!(F32 F64 I8 I16 I32 I64 U8 U16 U32 U64 Bool C64 C128)
    }

    fn call<'c, R: 'c>(&'c mut self, mut call: Call<'c, R>) -> Result<R> {
        if let Some(n) = self.attempts {
            call = call.attempts(n);
        }
        if let Some(on_progress) = &mut self.on_progress {
            call = call.on_progress(on_progress);
        }
        self.pool.run(call)
    }
}

impl fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("pool", self.pool)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

fn resolve_axis(k: isize, rank: usize) -> Result<Axis> {
    let from_start = if k < 0 { rank.checked_sub(k.unsigned_abs()) } else { Some(k.unsigned_abs()) };
    from_start.filter(|&k| k < rank).map(Axis).ok_or_else(|| {
        let error =
            Error::new(ErrorKind::InvalidArgument, format!("axis {k} of an array that has {rank} axes"));
        match rank {
            0 => error.with_hint("leave out the axis"),
            _ => error.with_hint(format!("axes go from 0 to {}, or from -1 down to -{rank}", rank - 1)),
        }
    })
}

fn unsupported(op: Op, dtype: DType) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("`{op}` does not exist for elements of type {dtype}"))
        .with_hint("convert the array in NumPy with `astype`")
}

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
    ($runner:expr, $op:expr, $x:expr, $axis:expr, $whole:path, $along:path $(, $arg:expr)*) => {
        match $axis {
            Some(axis) => Ok(vec![($op.name(), $runner.call($along($x, axis $(, $arg)*))?.into())]),
            None => Ok(one($op, $runner.call($whole($x $(, $arg)*))?)),
        }
    };
    (@index $runner:expr, $op:expr, $x:expr, $axis:expr, $whole:path, $along:path) => {
        match $axis {
            Some(axis) => {
                let found: ArrayD<usize> = $runner.call($along($x, axis))?;
                Ok(vec![($op.name(), found.mapv(|index| index as u64).into())])
            }
            None => Ok(one($op, $runner.call($whole($x))? as u64)),
        }
    };
}

fn run_common<T>(
    runner: &mut Runner<'_>,
    x: &SharedArray<T, IxDyn>,
    op: Op,
    axis: Option<Axis>,
    options: &Options,
) -> Result<Values>
where
    T: SumElement + MeanElement + OrderElement,
    AnyValue: From<ArrayD<T>>
        + From<ArrayD<<T as SumElement>::Output>>
        + From<ArrayD<<T as MeanElement>::Output>>
        + From<ArrayD<<T as MeanElement>::RealOutput>>,
{
    let ddof = options.ddof;
    match op {
        Op::Sum => reduce!(runner, op, x, axis, whole::sum, axis::sum_axis),
        Op::Nansum => reduce!(runner, op, x, axis, whole::nansum, axis::nansum_axis),
        Op::Prod => reduce!(runner, op, x, axis, whole::prod, axis::prod_axis),
        Op::Nanprod => reduce!(runner, op, x, axis, whole::nanprod, axis::nanprod_axis),
        Op::Mean => reduce!(runner, op, x, axis, whole::mean, axis::mean_axis),
        Op::Nanmean => reduce!(runner, op, x, axis, whole::nanmean, axis::nanmean_axis),
        Op::Var => reduce!(runner, op, x, axis, whole::var, axis::var_axis, ddof),
        Op::Nanvar => reduce!(runner, op, x, axis, whole::nanvar, axis::nanvar_axis, ddof),
        Op::Std => reduce!(runner, op, x, axis, whole::std, axis::std_axis, ddof),
        Op::Nanstd => reduce!(runner, op, x, axis, whole::nanstd, axis::nanstd_axis, ddof),
        Op::Min => reduce!(runner, op, x, axis, whole::min, axis::min_axis),
        Op::Nanmin => reduce!(runner, op, x, axis, whole::nanmin, axis::nanmin_axis),
        Op::Max => reduce!(runner, op, x, axis, whole::max, axis::max_axis),
        Op::Nanmax => reduce!(runner, op, x, axis, whole::nanmax, axis::nanmax_axis),
        Op::Argmin => reduce!(@index runner, op, x, axis, whole::argmin, axis::argmin_axis),
        Op::Nanargmin => reduce!(@index runner, op, x, axis, whole::nanargmin, axis::nanargmin_axis),
        Op::Argmax => reduce!(@index runner, op, x, axis, whole::argmax, axis::argmax_axis),
        Op::Nanargmax => reduce!(@index runner, op, x, axis, whole::nanargmax, axis::nanargmax_axis),
        Op::CountNonzero => {
            reduce!(@index runner, op, x, axis, whole::count_nonzero, axis::count_nonzero_axis)
        }
        Op::Any => reduce!(runner, op, x, axis, whole::any, axis::any_axis),
        Op::All => reduce!(runner, op, x, axis, whole::all, axis::all_axis),
        Op::Norm => reduce!(runner, op, x, axis, whole::norm, axis::norm_axis, options.ord),
        Op::Describe => {
            let Describe { count, nan_count, sum, mean, std, min, argmin, max, argmax } =
                runner.call(describe(x))?;
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
            let UniqueCounts { values, counts } = runner.call(unique_counts(x, options.limit))?;
            Ok(vec![("values", list(values)), ("counts", list(counts))])
        }
        // Those of fewer types, or of two arrays, have functions of their own.
        Op::Ptp | Op::Histogram | Op::Bincount | Op::Dot | Op::Vdot => Err(unsupported(op, T::DTYPE)),
    }
}

fn run_ptp<T>(
    runner: &mut Runner<'_>,
    x: &SharedArray<T, IxDyn>,
    op: Op,
    axis: Option<Axis>,
    _options: &Options,
) -> Result<Values>
where
    T: NumberElement,
    AnyValue: From<ArrayD<T>>,
{
    reduce!(runner, op, x, axis, whole::ptp, axis::ptp_axis)
}

fn run_histogram<T>(
    runner: &mut Runner<'_>,
    x: &SharedArray<T, IxDyn>,
    _op: Op,
    _axis: Option<Axis>,
    options: &Options,
) -> Result<Values>
where
    T: RealElement,
{
    let n_bins = options.bins;
    let call = match options.range {
        Some(range) => histogram(x, Bins::Uniform { n_bins, range }),
        None if x.is_empty() => histogram_between(x, n_bins, None),
        None => {
            let low = runner.call(whole::min(x))?;
            let high = runner.call(whole::max(x))?;
            histogram_between(x, n_bins, Some((low, high)))
        }
    };
    let Histogram { counts, edges } = runner.call(call)?;
    Ok(vec![("counts", list(counts)), ("edges", list(edges))])
}

fn run_bincount<T>(
    runner: &mut Runner<'_>,
    x: &SharedArray<T, IxDyn>,
    op: Op,
    _axis: Option<Axis>,
    options: &Options,
) -> Result<Values>
where
    T: IndexElement,
{
    Ok(vec![(op.name(), list(runner.call(bincount(x, options.min_length))?))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!(resolve_axis(1, 2).unwrap(), Axis(1));
        assert_eq!(resolve_axis(-2, 2).unwrap(), Axis(0));
        for (k, rank) in [(2, 2), (-3, 2), (0, 0), (-1, 0), (isize::MIN, 3)] {
            let error = resolve_axis(k, rank).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.hint().is_some());
        }
    }
}
