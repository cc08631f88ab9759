//! Merging results in the worker that made them, as it goes from block to block.
//!
//! The tree in which a job's results merge is fixed by the number of its blocks: a subtree of height *h* covers 2ʰ blocks, and
//! begins at a multiple of 2ʰ. A worker that has run all blocks of a subtree one after the other has all that it takes to
//! merge them, and puts the merged result into the slot of the subtree's last block. Who collects the results reads
//! that slot alone; where several workers have run a subtree, it reads the parts and merges them. So all workers share in
//! the merging of many small results.
//!
//! What comes out is the same whoever has merged: every value in the tree is what its serialised form gives. That is so by
//! itself for what came from a worker, and [`merge_as_sent`] makes it so for what did not.
//!
//! The block of every slot that was merged into a later one is *done* before the later one is: nothing is merged
//! that could yet be run again.

use super::function::Outcome;
use super::merge::{Merge, Tree};
use crate::sys::kill_point;
use serde::{Serialize, de::DeserializeOwned};
use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes in memory of the largest result that workers merge: to serialise a larger one takes longer than to collect it.
const MAX_BYTES: usize = 64;
/// Serialised bytes of such a result, at most: a number takes a quarter more than in memory. What is longer is not merged.
const MAX_SERIALISED_BYTES: usize = 2 * MAX_BYTES;

/// The merged results of the blocks that a worker has run of one job, one after the other.
#[derive(Default)]
pub(crate) struct Fold {
    /// A [`Tree`] of the task's results.
    tree: Option<Box<dyn Any>>,
    /// The block that goes on with the tree, if the one before it was applied.
    next: Option<usize>,
    /// Whether merging has panicked: who collects shall meet that, and this worker not once more.
    is_off: bool,
}

impl Fold {
    /// Begins anew, for another job.
    pub(crate) fn restart(&mut self) {
        (self.next, self.is_off) = (None, false);
    }

    /// The block whose result was merged last is *done*.
    pub(crate) fn applied(&mut self, block: usize) {
        self.next = Some(block + 1);
    }

    /// Merges the result of a block with those of the blocks before it, as far as they are at hand.
    pub(crate) fn add(&mut self, folder: Folder, outcome: &mut Outcome, block: usize, room: usize) {
        if self.is_off {
            return;
        }
        let goes_on = self.next.take() == Some(block);
        if !goes_on {
            self.tree = None;
        }
        // Unwind safety: after a panic the tree is not used, and the outcome is changed at the very end.
        let merged = catch_unwind(AssertUnwindSafe(|| (folder.0)(&mut self.tree, outcome, block, room)));
        if merged.is_err() {
            self.is_off = true;
            self.tree = None;
        }
        kill_point!("fold.merged");
    }
}

/// How the results of a task merge in a worker.
#[derive(Clone, Copy)]
pub struct Folder(fn(&mut Option<Box<dyn Any>>, &mut Outcome, usize, usize));

impl Folder {
    /// `None` if results of this type are not merged in workers: if they have memory of their own, a merged one may be as large
    /// as all that it is made of.
    pub(crate) fn of<T: Merge + Serialize + DeserializeOwned + 'static>() -> Option<Self> {
        let is_small = size_of::<T>() <= MAX_BYTES && !std::mem::needs_drop::<T>();
        is_small.then_some(Self(fold_in::<T>))
    }
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Folder")
    }
}

fn fold_in<T>(tree: &mut Option<Box<dyn Any>>, outcome: &mut Outcome, block: usize, room: usize)
where
    T: Merge + Serialize + DeserializeOwned + 'static,
{
    let Some(tree) = tree.get_or_insert_with(|| Box::new(Tree::<T>::new())).downcast_mut::<Tree<T>>() else {
        return;
    };
    // What cannot be read is found out, and said, by who collects.
    let Ok(mut value) = postcard::from_bytes::<T>(outcome.bytes()) else { return tree.clear() };
    let mut buffer = [0; MAX_SERIALISED_BYTES];
    let mut height = 0;
    let mut len = 0;
    while block >> height & 1 == 1
        && let Some(mut earlier) = tree.pop(height)
    {
        earlier.merge(value);
        let Ok(merged) = sent(&earlier, &mut buffer) else { return tree.clear() };
        (value, len) = merged;
        height += 1;
    }
    if height > 0 {
        if len > room {
            return tree.clear();
        }
        outcome.set(&buffer[..len], height);
    }
    tree.push_subtree(height, value);
}

/// What a value is once it was sent, and the bytes of the buffer that it took.
fn sent<T: Serialize + DeserializeOwned>(
    value: &T,
    buffer: &mut [u8],
) -> Result<(T, usize), postcard::Error> {
    let bytes = postcard::to_slice(value, buffer)?;
    Ok((postcard::from_bytes(bytes)?, bytes.len()))
}

/// Merges two results and gives the value that the merged one is once it was sent.
///
/// # Errors
///
/// If it cannot be sent.
pub(super) fn merge_as_sent<T: Merge + Serialize + DeserializeOwned>(
    mut earlier: T,
    later: T,
) -> Result<T, postcard::Error> {
    earlier.merge(later);
    match sent(&earlier, &mut [0; MAX_SERIALISED_BYTES]) {
        Ok((merged, _)) => Ok(merged),
        // Too long for a worker to merge.
        Err(postcard::Error::SerializeBufferFull) => postcard::from_bytes(&postcard::to_stdvec(&earlier)?),
        Err(other) => Err(other),
    }
}

/// Chooses how results of type `T` merge, for code that does not know whether they do.
#[derive(Debug)]
pub struct Foldable<T>(PhantomData<fn() -> T>);

impl<T> Foldable<T> {
    /// The only value.
    pub const NEW: Self = Self(PhantomData);
}

/// Results that merge.
pub trait ByMerge {
    /// How they merge in workers.
    fn folder(&self) -> Option<Folder>;
}

/// Results that do not, or of which it is not known.
pub trait ByCollector {
    /// There is no way.
    fn folder(&self) -> Option<Folder>;
}

// One reference nearer than `ByCollector`, so that a call on `&&Foldable` finds this one first.
impl<T: Merge + Serialize + DeserializeOwned + 'static> ByMerge for &Foldable<T> {
    fn folder(&self) -> Option<Folder> {
        Folder::of::<T>()
    }
}

impl<T> ByCollector for Foldable<T> {
    fn folder(&self) -> Option<Folder> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::merge::{Concat, Max, Sum};

    /// Slots as workers leave them that ran these ranges of blocks, one range after the other; the values are the blocks' numbers.
    fn slots(ranges: &[std::ops::Range<usize>]) -> Vec<(u32, Vec<u8>)> {
        let n = ranges.iter().map(|range| range.end).max().unwrap();
        let mut slots = vec![(0, Vec::new()); n];
        let folder = Folder::of::<(Sum<f64>, Max<u64>)>().unwrap();
        for range in ranges {
            let mut fold = Fold::default();
            for block in range.clone() {
                let mut outcome = Outcome::default();
                outcome.write(&(Sum(1.0 / (block + 1) as f64), Max(block as u64))).unwrap();
                fold.add(folder, &mut outcome, block, 64);
                fold.applied(block);
                slots[block] = (outcome.height(), outcome.bytes().to_vec());
            }
        }
        slots
    }

    /// What a collector makes of them, and how many slots it reads.
    fn collected(slots: &[(u32, Vec<u8>)]) -> ((Sum<f64>, Max<u64>), usize) {
        let mut parts = Vec::new();
        let mut end = slots.len();
        while end > 0 {
            let (height, bytes) = &slots[end - 1];
            parts.push((*height, postcard::from_bytes(bytes).unwrap()));
            end -= 1 << height;
        }
        let n = parts.len();
        let mut tree = Tree::new();
        for (height, value) in parts.into_iter().rev() {
            tree.try_push(height, value, merge_as_sent).unwrap();
        }
        (tree.try_finish(merge_as_sent).unwrap().unwrap(), n)
    }

    #[test]
    fn the_result_has_the_same_bits_whoever_merged() {
        for n in 1..70 {
            let alone: Vec<_> = (0..n).map(|block| block..block + 1).collect();
            let (expected, n_read) = collected(&slots(&alone));
            assert_eq!(n_read, n);
            for cut in 0..n {
                for ranges in [vec![0..cut, cut..n], vec![cut..n, 0..cut, cut / 2..cut]] {
                    let ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
                    let (found, n_read) = collected(&slots(&ranges));
                    assert_eq!(found.0.0.to_bits(), expected.0.0.to_bits(), "{n} blocks, {ranges:?}");
                    assert_eq!(found.1, expected.1);
                    assert!(n_read <= 4 * n.ilog2() as usize + 4, "{n_read} slots read of {n}");
                }
            }
        }
    }

    #[test]
    fn a_block_that_was_not_applied_is_not_merged_with() {
        let folder = Folder::of::<Sum<u64>>().unwrap();
        let mut fold = Fold::default();
        let mut run = |block, is_applied| {
            let mut outcome = Outcome::default();
            outcome.write(&Sum(1_u64)).unwrap();
            fold.add(folder, &mut outcome, block, 8);
            if is_applied {
                fold.applied(block);
            }
            outcome.height()
        };
        assert_eq!((run(0, false), run(1, true), run(2, true), run(3, true)), (0, 0, 0, 1));
        // Nor with what came before a gap.
        assert_eq!((run(6, true), run(8, true), run(9, true)), (0, 0, 1));
    }

    #[test]
    fn a_panic_leaves_the_block_its_own_result() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Fragile(u8);
        impl Merge for Fragile {
            fn merge(&mut self, _: Self) {
                // Without the hook that prints.
                std::panic::resume_unwind(Box::new("no"));
            }
        }
        let folder = Folder::of::<Fragile>().unwrap();
        let mut fold = Fold::default();
        for block in 0..4 {
            let mut outcome = Outcome::default();
            outcome.write(&Fragile(7)).unwrap();
            fold.add(folder, &mut outcome, block, 8);
            fold.applied(block);
            assert_eq!((outcome.bytes(), outcome.height()), (&[7][..], 0));
        }
    }

    #[test]
    fn what_grows_is_not_merged() {
        assert!(Folder::of::<Concat<u8>>().is_none());
        assert!(Folder::of::<[Sum<f64>; 9]>().is_none());
        let (merges, does_not) = (&&Foldable::<Sum<f64>>::NEW, &&Foldable::<f64>::NEW);
        assert!(merges.folder().is_some() && does_not.folder().is_none());
        // A merged number that is longer than the slot has room for.
        let folder = Folder::of::<Sum<u64>>().unwrap();
        let mut fold = Fold::default();
        for block in 0..2 {
            let mut outcome = Outcome::default();
            outcome.write(&Sum(100_u64)).unwrap();
            fold.add(folder, &mut outcome, block, 1);
            fold.applied(block);
            assert_eq!(outcome.height(), 0);
        }
    }
}
