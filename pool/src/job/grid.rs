//! How the rows of a job fall into blocks: a function of shapes and element sizes alone, never of the number of
//! workers, so that partial results, and the tree in which they merge, are the same for any pool.

use std::ops::Range;

/// Bytes of all split arrays together that one block aims at: small enough for a core's cache, so that a staged
/// block is copied back from there, and large enough that a claim costs nothing beside it.
const TARGET_BLOCK_BYTES: usize = 512 << 10;

/// As above, where some of the arrays are staged: the copies stay close to the core between copying in, running and writing back.
const TARGET_STAGED_BLOCK_BYTES: usize = 128 << 10;

/// Blocks that an array of many small rows is cut into at least, so that expensive rows spread over the workers.
const MIN_BLOCKS: usize = 64;

/// Most blocks of a job. A block's word and slot take some 72 bytes, so this is 1.2 GB of ledger.
pub(crate) const MAX_BLOCKS: usize = 1 << 24;

/// The blocks of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Grid {
    n_rows: usize,
    block_rows: usize,
}

impl Grid {
    /// A job that is not split: one block, which has `n_rows` rows.
    pub(crate) fn single(n_rows: usize) -> Self {
        Self { n_rows, block_rows: n_rows.max(1) }
    }

    /// `n_rows` rows in blocks of `block_rows`; the last block may be shorter. No rows make one empty block.
    pub(crate) fn new(n_rows: usize, block_rows: usize) -> Self {
        // No more blocks than a ledger can hold: blocks grow instead.
        Self { n_rows, block_rows: block_rows.max(1).max(n_rows.div_ceil(MAX_BLOCKS)) }
    }

    /// The default grid for rows that take `row_bytes` bytes over all split arrays, some of which may be staged.
    pub(crate) fn for_rows(n_rows: usize, row_bytes: usize, is_staged: bool) -> Self {
        let target = if is_staged { TARGET_STAGED_BLOCK_BYTES } else { TARGET_BLOCK_BYTES };
        let by_size = target / row_bytes.max(1);
        let by_count = n_rows.div_ceil(MIN_BLOCKS);
        Self::new(n_rows, by_size.min(by_count))
    }

    pub(crate) fn n_blocks(&self) -> usize {
        self.n_rows.div_ceil(self.block_rows).max(1)
    }

    /// The number of blocks of a grid that came from another process; `None` if it is none that [`Grid`] makes.
    pub(crate) fn checked_n_blocks(&self) -> Option<usize> {
        (self.block_rows > 0).then(|| self.n_blocks()).filter(|&n| n <= MAX_BLOCKS)
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The rows of a block.
    pub(crate) fn rows(&self, block: usize) -> Range<usize> {
        let start = block.saturating_mul(self.block_rows).min(self.n_rows);
        start..start.saturating_add(self.block_rows).min(self.n_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_cover_every_row_once_and_in_order(n_rows in 0usize..100_000, row_bytes in 0usize..10_000_000, is_staged: bool) {
            let grid = Grid::for_rows(n_rows, row_bytes, is_staged);
            let mut next = 0;
            for block in 0..grid.n_blocks() {
                let rows = grid.rows(block);
                prop_assert_eq!(rows.start, next);
                prop_assert!(rows.len() <= grid.rows(0).len());
                prop_assert!(n_rows == 0 || !rows.is_empty());
                next = rows.end;
            }
            prop_assert_eq!(next, n_rows);
        }

        #[test]
        fn any_number_of_rows_fits_a_ledger(n_rows in any::<usize>(), block_rows in any::<usize>()) {
            let grid = Grid::new(n_rows, block_rows);
            prop_assert!(grid.n_blocks() <= MAX_BLOCKS);
            prop_assert_eq!(grid.checked_n_blocks(), Some(grid.n_blocks()));
            prop_assert_eq!(grid.rows(grid.n_blocks() - 1).end, n_rows);
        }
    }

    #[test]
    fn foreign_grids_are_checked() {
        assert_eq!(Grid { n_rows: 3, block_rows: 0 }.checked_n_blocks(), None);
        assert_eq!(Grid { n_rows: usize::MAX, block_rows: 1 }.checked_n_blocks(), None);
    }

    #[test]
    fn small_and_degenerate_shapes() {
        assert_eq!(Grid::for_rows(0, 8, false).n_blocks(), 1);
        assert_eq!(Grid::for_rows(1, 0, false).n_blocks(), 1);
        assert_eq!(Grid::for_rows(100, 8, false).n_blocks(), 50);
        assert_eq!(Grid::for_rows(1 << 27, 8, false).n_blocks(), 1 << 11);
        assert_eq!(Grid::for_rows(1 << 27, 8, true).n_blocks(), 1 << 13);
        assert_eq!(Grid::for_rows(3, 1 << 30, false).n_blocks(), 3);
        assert_eq!(Grid::single(0).rows(0), 0..0);
    }
}
