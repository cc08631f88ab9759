//! The tasks behind the functions: over the whole array, and along an axis.

use std::marker::PhantomData;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::acc::{Accumulate, Dot, feed};
use super::dtype::Dtype;
use super::kernel::columns::STRIP;
use super::kernel::simd::{Kernel, dispatch};
use crate::task::{Args, Folder, Merge, Task, TaskError};

/// `ndpool::ops::NAME<DTYPE>`, put together at compile time.
pub struct Name {
    bytes: [u8; 96],
    len: usize,
}

impl Name {
    /// Joins the parts.
    pub(crate) const fn join(parts: &[&str]) -> Self {
        let mut name = Self { bytes: [0; 96], len: 0 };
        let mut i = 0;
        while i < parts.len() {
            let part = parts[i].as_bytes();
            let mut j = 0;
            while j < part.len() {
                name.bytes[name.len] = part[j];
                name.len += 1;
                j += 1;
            }
            i += 1;
        }
        name
    }

    /// The name.
    pub(crate) const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(name) => name,
            Err(_) => panic!("parts are strings"),
        }
    }
}

/// Accumulates a block of the flattened array.
pub struct Whole<A, T>(PhantomData<fn() -> (A, T)>);

impl<A: Accumulate<T>, T: Dtype> Whole<A, T> {
    const FULL_NAME: Name = Name::join(&["ndpool::ops::", A::NAME, "<", T::NAME, ">"]);
}

impl<A: Accumulate<T>, T: Dtype> Task for Whole<A, T> {
    const NAME: &'static str = Self::FULL_NAME.as_str();
    type Output = A;

    fn run(args: &mut Args<'_>) -> Result<A, TaskError> {
        let op = args.value::<A::Op>()?;
        let x = args.flat::<T>()?;
        let at = args.block().rows().start;
        Ok(dispatch(Flat { op, x, at, _acc: PhantomData }))
    }

    fn folder() -> Option<Folder> {
        Folder::of::<A>()
    }
}

/// The kernel of [`Whole`].
pub struct Flat<'x, A: Accumulate<T>, T: Dtype> {
    pub(crate) op: A::Op,
    pub(crate) x: &'x [T],
    /// Index of the first element.
    pub(crate) at: usize,
    pub(crate) _acc: PhantomData<fn() -> A>,
}

impl<A: Accumulate<T>, T: Dtype> Kernel for Flat<'_, A, T> {
    type Output = A;

    #[inline(always)]
    fn run(self) -> A {
        let mut acc = A::default();
        // A look now and then whether the answer stands already; a multiple of every kernel's chunk.
        for (i, chunk) in self.x.chunks(LOOK_EVERY).enumerate() {
            feed(&mut acc, self.op, chunk, self.at + i * LOOK_EVERY);
            if acc.is_settled(self.op) {
                break;
            }
        }
        acc
    }
}

const LOOK_EVERY: usize = 1 << 16;

/// Inner product of two blocks.
pub struct DotTask<T>(PhantomData<fn() -> T>);

impl<T: Dtype> DotTask<T> {
    const FULL_NAME: Name = Name::join(&["ndpool::ops::dot<", T::NAME, ">"]);
}

impl<T: Dtype> Task for DotTask<T> {
    const NAME: &'static str = Self::FULL_NAME.as_str();
    type Output = Dot<T>;

    fn run(args: &mut Args<'_>) -> Result<Dot<T>, TaskError> {
        let conjugate = args.value::<bool>()?;
        let (a, b) = (args.flat::<T>()?, args.flat::<T>()?);
        if a.len() != b.len() {
            return Err(TaskError::new(format_args!("blocks of {} and {} elements", a.len(), b.len())));
        }
        Ok(dispatch(Pairs { a, b, conjugate }))
    }

    fn folder() -> Option<Folder> {
        Folder::of::<Dot<T>>()
    }
}

/// The kernel of [`DotTask`].
pub struct Pairs<'x, T> {
    pub(crate) a: &'x [T],
    pub(crate) b: &'x [T],
    pub(crate) conjugate: bool,
}

impl<T: Dtype> Kernel for Pairs<'_, T> {
    type Output = Dot<T>;

    #[inline(always)]
    fn run(self) -> Dot<T> {
        let mut dot = Dot::default();
        T::dot(&mut dot.0, self.a, self.b, self.conjugate);
        dot
    }
}

/// An array seen from one axis: element `(o, k, i)` lies at `(o * n + k) * inner + i`; the output has `outer * inner` elements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lanes {
    pub(crate) outer: usize,
    pub(crate) n: usize,
    pub(crate) inner: usize,
}

impl Lanes {
    /// Sees an array of this shape from this axis, which it must have.
    pub(crate) fn new(shape: &[usize], axis: usize) -> Self {
        Self {
            outer: shape[..axis].iter().product(),
            n: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        }
    }

    /// Number of results.
    pub(crate) fn n_outputs(&self) -> usize {
        self.outer * self.inner
    }
}

/// What the blocks of an axis task split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Split {
    /// The output: each block writes its part of it.
    Output,
    /// The axis: each block yields an accumulator per output, from its part of the axis.
    Axis,
}

/// Reduces along an axis. Yields accumulators if the axis is split; else it writes the output.
pub struct Along<A, T>(PhantomData<fn() -> (A, T)>);

impl<A: Accumulate<T>, T: Dtype> Along<A, T> {
    const FULL_NAME: Name = Name::join(&["ndpool::ops::", A::NAME, "_axis<", T::NAME, ">"]);
}

impl<A: Accumulate<T>, T: Dtype> Task for Along<A, T> {
    const NAME: &'static str = Self::FULL_NAME.as_str();
    type Output = Parts<A>;

    fn run(args: &mut Args<'_>) -> Result<Parts<A>, TaskError> {
        let (lanes, split, op) = args.value::<(Lanes, Split, A::Op)>()?;
        let x = args.flat::<T>()?;
        let block = args.block().rows();
        match split {
            Split::Axis => {
                let outputs = 0..lanes.n_outputs();
                let mut parts = Vec::with_capacity(outputs.len());
                dispatch(Columns {
                    lanes,
                    op,
                    x,
                    outputs,
                    rows: block,
                    take: |acc| parts.push(acc),
                    _acc: PhantomData,
                });
                Ok(Parts(parts))
            }
            Split::Output => {
                A::fill(op, Outputs { lanes, x, block, _acc: PhantomData }, args)?;
                Ok(Parts(Vec::new()))
            }
        }
    }
}

/// Accumulators of neighbouring outputs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts<A>(pub Vec<A>);

impl<A: Merge> Merge for Parts<A> {
    fn merge(&mut self, later: Self) {
        for (this, later) in self.0.iter_mut().zip(later.0) {
            this.merge(later);
        }
    }
}

/// The results that one block writes.
pub struct Outputs<'x, T, A: ?Sized> {
    lanes: Lanes,
    x: &'x [T],
    block: Range<usize>,
    _acc: PhantomData<fn(&A)>,
}

impl<T: Dtype, A: Accumulate<T>> Outputs<'_, T, A> {
    /// Writes one result after the other.
    ///
    /// # Panics
    /// If `out` is not as long as the block.
    pub(crate) fn write<O>(self, op: A::Op, out: &mut [O], finish: impl Fn(&A) -> O) {
        let Self { lanes, x, block, .. } = self;
        assert_eq!(out.len(), block.len(), "an output for every index of the block");
        let mut out = out.iter_mut();
        let take = |acc: A| {
            if let Some(out) = out.next() {
                *out = finish(&acc);
            }
        };
        dispatch(Columns { lanes, op, x, outputs: block, rows: 0..lanes.n, take, _acc: PhantomData });
    }
}

/// The kernel of [`Along`]: accumulates part of the axis for some outputs, in their order.
pub struct Columns<'x, A: Accumulate<T>, T: Dtype, F> {
    pub(crate) lanes: Lanes,
    pub(crate) op: A::Op,
    pub(crate) x: &'x [T],
    pub(crate) outputs: Range<usize>,
    pub(crate) rows: Range<usize>,
    pub(crate) take: F,
    pub(crate) _acc: PhantomData<fn() -> A>,
}

/// Rows and columns of a tile that is transposed before its columns are pushed.
const TILE_ROWS: usize = 256;
const TILE_COLUMNS: usize = 64;

impl<A: Accumulate<T>, T: Dtype, F: FnMut(A)> Kernel for Columns<'_, A, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let Lanes { n, inner, .. } = self.lanes;
        let (first_row, n_rows) = (self.rows.start, self.rows.len());
        let mut output = self.outputs.start;
        let mut tile = Vec::new();
        while output < self.outputs.end {
            let (outer, column) = (output / inner, output % inner);
            let start = (outer * n + first_row) * inner + column;
            if inner == 1 {
                let mut acc = A::default();
                feed(&mut acc, self.op, &self.x[start..start + n_rows], first_row);
                (self.take)(acc);
                output += 1;
                continue;
            }
            let width = STRIP.min(inner - column).min(self.outputs.end - output);
            let mut accs = vec![A::default(); width];
            let strip = if n_rows == 0 { &[] } else { &self.x[start..] };
            if !A::push_columns(&mut accs, self.op, strip, inner, n_rows, first_row) {
                for (i, accs) in accs.chunks_mut(TILE_COLUMNS).enumerate() {
                    push_tiles(accs, self.op, strip, i * TILE_COLUMNS, inner, n_rows, first_row, &mut tile);
                }
            }
            accs.into_iter().for_each(&mut self.take);
            output += width;
        }
    }
}

/// Copies columns out, tile by tile, and pushes them.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one call, and a struct would only repeat the names")]
fn push_tiles<A: Accumulate<T>, T: Dtype>(
    accs: &mut [A],
    op: A::Op,
    x: &[T],
    column: usize,
    stride: usize,
    n_rows: usize,
    first_row: usize,
    tile: &mut Vec<T>,
) {
    tile.resize(TILE_ROWS * TILE_COLUMNS, T::ZERO);
    for row in (0..n_rows).step_by(TILE_ROWS) {
        let height = TILE_ROWS.min(n_rows - row);
        for r in 0..height {
            let run = &x[(row + r) * stride + column..][..accs.len()];
            for (c, v) in run.iter().enumerate() {
                tile[c * TILE_ROWS + r] = *v;
            }
        }
        for (c, acc) in accs.iter_mut().enumerate() {
            feed(acc, op, &tile[c * TILE_ROWS..][..height], first_row + row);
        }
    }
}
