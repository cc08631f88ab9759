//! The operations by name, and what they take.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::ops::NormOrd;

macro_rules! ops {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A function of [`ops`](crate::ops), by NumPy's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Op {
            $(
                #[doc = concat!("[`", $name, "`](fn@crate::ops::", $name, ").")]
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
    Dot = "dot", Vdot = "vdot", Describe = "describe", Histogram = "histogram", Bincount = "bincount",
    UniqueCounts = "unique_counts",
}

impl Op {
    /// Whether it can reduce along an axis.
    pub fn has_axis(self) -> bool {
        !self.takes_two()
            && !matches!(self, Self::Describe | Self::Histogram | Self::Bincount | Self::UniqueCounts)
    }

    /// Whether it takes a second array; see [`Runner::run_two`](super::Runner::run_two).
    pub fn takes_two(self) -> bool {
        matches!(self, Self::Dot | Self::Vdot)
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
    /// Reduce along this axis; a negative one counts from the last, which is -1. `None`: the whole array.
    pub axis: Option<isize>,
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
}
