//! How the results of blocks combine into the result of a job.
//!
//! Results merge in the order of the rows: `merge` gets the result of *later* rows. Neither an identity nor
//! commutativity is asked for, because even an array without rows makes one (empty) block. The tree in which
//! results merge is a function of the block grid alone, so a floating-point result has the same bits for any
//! number of workers and any deaths.
//!
//! Plain numbers and `Vec` do not implement [`Merge`]: whether two sums add or the larger one wins is the task's
//! to say, with [`Sum`], [`Prod`], [`Min`], [`Max`], [`All`], [`Any`], [`Concat`], tuples of them, or a struct of
//! one's own with `#[derive(ndpool::Merge)]`.

use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::ops::{AddAssign, MulAssign};

/// A result that can be combined with the result of later rows.
///
/// # Example
///
/// ```
/// use ndpool::merge::{Max, Merge, Sum};
///
/// #[derive(Debug, PartialEq, ndpool::Merge)]
/// struct Summary {
///     n: Sum<u64>,
///     top: Max<f64>,
/// }
///
/// let mut all = Summary { n: Sum(2), top: Max(1.0) };
/// all.merge(Summary { n: Sum(3), top: Max(0.5) });
/// assert_eq!(all, Summary { n: Sum(5), top: Max(1.0) });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how the results of two blocks combine",
    label = "not a result that merges",
    note = "return `Sum`, `Min`, `Max`, `Concat`, … of `ndpool::merge` or a tuple of them, derive `ndpool::Merge`, or take the arrays `#[whole]`"
)]
pub trait Merge {
    /// Takes in the result of the rows that follow.
    fn merge(&mut self, later: Self);
}

macro_rules! wrappers {
    ($($(#[$doc:meta])* $name:ident<T: $bound:path>, |$this:ident, $later:ident| $merge:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name<T>(pub T);

        impl<T: $bound> Merge for $name<T> {
            fn merge(&mut self, later: Self) {
                let ($this, $later) = (&mut self.0, later.0);
                $merge
            }
        }
    )* };
}

/// Whether a value is unordered with itself, as NaN is.
#[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
fn is_nan<T: PartialOrd>(value: &T) -> bool {
    value != value
}

wrappers! {
    /// Adds.
    Sum<T: AddAssign>, |this, later| *this += later;
    /// Multiplies.
    Prod<T: MulAssign>, |this, later| *this *= later;
    /// Keeps the smaller; a NaN wins, as in `numpy.minimum`.
    Min<T: PartialOrd>, |this, later| if !is_nan(this) && (later < *this || is_nan(&later)) { *this = later };
    /// Keeps the larger; a NaN wins, as in `numpy.maximum`.
    Max<T: PartialOrd>, |this, later| if !is_nan(this) && (later > *this || is_nan(&later)) { *this = later };
}

/// Whether it held for every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct All(pub bool);

/// Whether it held for any block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Any(pub bool);

/// Appends, in the order of the rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Concat<T>(pub Vec<T>);

impl Merge for All {
    fn merge(&mut self, later: Self) {
        self.0 &= later.0;
    }
}

impl Merge for Any {
    fn merge(&mut self, later: Self) {
        self.0 |= later.0;
    }
}

impl<T> Merge for Concat<T> {
    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

/// Keeps what is there; merges where both are.
impl<M: Merge> Merge for Option<M> {
    fn merge(&mut self, later: Self) {
        match (self.as_mut(), later) {
            (Some(this), Some(later)) => this.merge(later),
            (None, later) => *self = later,
            (Some(_), None) => {}
        }
    }
}

/// Item by item.
impl<M: Merge, const N: usize> Merge for [M; N] {
    fn merge(&mut self, later: Self) {
        self.iter_mut().zip(later).for_each(|(this, later)| this.merge(later));
    }
}

impl Merge for () {
    fn merge(&mut self, (): ()) {}
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))*) => { $(
        impl<$($name: Merge),+> Merge for ($($name,)+) {
            fn merge(&mut self, later: Self) {
                $(self.$index.merge(later.$index);)+
            }
        }
    )* };
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// Merges a stream of results in a tree whose shape depends on their number alone, with at most a logarithmic
/// number of them in memory.
///
/// Adjacent results merge pairwise, their results pairwise again, and so on; what remains at the end merges from
/// the right.
#[derive(Debug)]
pub(crate) struct Tree<M> {
    /// Subtrees not merged yet, from the left, each with its height; heights fall.
    pending: Vec<(u32, M)>,
}

impl<M> Tree<M> {
    pub(crate) fn new() -> Self {
        Self { pending: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }

    /// Takes the last subtree if it has this height.
    pub(super) fn pop(&mut self, height: u32) -> Option<M> {
        self.pending.pop_if(|&mut (other, _)| other == height).map(|(_, earlier)| earlier)
    }

    /// Adds a subtree that nothing before it merges with.
    pub(super) fn push_subtree(&mut self, height: u32, value: M) {
        self.pending.push((height, value));
    }

    /// Adds the merged result of the next 2ʰ blocks, *h* being the height.
    ///
    /// # Errors
    ///
    /// That of `merge`; the tree is of no use then.
    pub(super) fn try_push<E>(
        &mut self,
        mut height: u32,
        mut next: M,
        mut merge: impl FnMut(M, M) -> Result<M, E>,
    ) -> Result<(), E> {
        while let Some(earlier) = self.pop(height) {
            next = merge(earlier, next)?;
            height += 1;
        }
        self.push_subtree(height, next);
        Ok(())
    }

    /// The merged result; `None` if nothing was pushed.
    ///
    /// # Errors
    ///
    /// That of `merge`.
    pub(super) fn try_finish<E>(
        mut self,
        mut merge: impl FnMut(M, M) -> Result<M, E>,
    ) -> Result<Option<M>, E> {
        let Some((_, mut merged)) = self.pending.pop() else { return Ok(None) };
        while let Some((_, earlier)) = self.pending.pop() {
            merged = merge(earlier, merged)?;
        }
        Ok(Some(merged))
    }
}

/// Merges as `Merge` says, which cannot fail.
fn merge<M: Merge>(mut earlier: M, later: M) -> Result<M, Infallible> {
    earlier.merge(later);
    Ok(earlier)
}

impl<M: Merge> Tree<M> {
    pub(crate) fn push(&mut self, next: M) {
        let Ok(()) = self.try_push(0, next, merge);
    }

    /// The merged result; `None` if nothing was pushed.
    pub(crate) fn finish(self) -> Option<M> {
        let Ok(merged) = self.try_finish(merge);
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_keeps_the_order() {
        for n in 1..40 {
            let mut tree = Tree::new();
            (0..n).for_each(|i| tree.push(Concat(vec![i])));
            assert_eq!(tree.finish().unwrap().0, (0..n).collect::<Vec<_>>());
        }
        assert_eq!(Tree::<()>::new().finish(), None);
    }

    #[test]
    fn arrays_merge_item_by_item() {
        let mut counts = [Sum(1), Sum(20)];
        counts.merge([Sum(2), Sum(30)]);
        assert_eq!(counts, [Sum(3), Sum(50)]);
    }

    #[test]
    fn nan_wins_wherever_it_stands() {
        for values in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
            let (mut top, mut low) = (Max(values[0]), Min(values[0]));
            top.merge(Max(values[1]));
            low.merge(Min(values[1]));
            assert!(top.0.is_nan() && low.0.is_nan());
        }
    }
}
