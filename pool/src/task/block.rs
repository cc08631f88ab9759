//! What a task can ask about the block that it runs on.

use std::any::{Any, TypeId};
use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// The block a task runs on; a task gets it by taking a parameter `block: &Block`.
///
/// # Example
///
/// ```
/// use ndarray::prelude::*;
/// use ndpool::{Block, Pool, merge::Concat, task};
///
/// /// The first row of every block.
/// #[task]
/// fn starts(block: &Block, x: ArrayView1<f64>) -> Concat<usize> {
///     assert_eq!(block.rows().len(), x.len());
///     Concat(vec![block.rows().start])
/// }
///
/// ndpool::init();
/// let pool = Pool::builder().workers(2).build()?;
/// let x = pool.zeros::<f64, _>(10)?;
/// assert_eq!(pool.run(starts(&x).block_rows(4))?.0, [0, 4, 8]);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub struct Block<'w> {
    pub(crate) index: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) attempt: u32,
    pub(crate) worker: usize,
    pub(crate) is_cancelled: &'w dyn Fn() -> bool,
    pub(crate) states: &'w States,
}

impl Block<'_> {
    /// Number of the block in its job, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The block's rows, counted from the first row of what the call was given.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Earlier attempts at this block that ended with the death of their worker.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Number of the worker, from 0 to one less than the pool has.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Whether the job was cancelled: a long task may return early then, its result is not used.
    pub fn is_cancelled(&self) -> bool {
        (self.is_cancelled)()
    }

    /// State of type `T` that this worker process keeps from block to block, made at the first use.
    ///
    /// For what is costly to make and does not change results, such as scratch buffers or a loaded model: which
    /// blocks share a worker is not the same from run to run.
    ///
    /// # Panics
    ///
    /// If state of the same type is borrowed already.
    pub fn state<T: 'static>(&self, init: impl FnOnce() -> T) -> RefMut<'_, T> {
        self.states.get(init)
    }
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("index", &self.index)
            .field("rows", &self.rows)
            .field("attempt", &self.attempt)
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

/// What tasks keep in a worker, by type.
#[derive(Default)]
pub(crate) struct States {
    /// Leaked cells: a worker keeps its state until it ends.
    cells: RefCell<HashMap<TypeId, &'static RefCell<Box<dyn Any>>>>,
}

impl States {
    fn get<T: 'static>(&self, init: impl FnOnce() -> T) -> RefMut<'_, T> {
        let known = self.cells.borrow().get(&TypeId::of::<T>()).copied();
        let cell = known.unwrap_or_else(|| {
            // `init` may ask for other state, so nothing is borrowed while it runs.
            let made: &'static RefCell<Box<dyn Any>> = {
                let state: Box<dyn Any> = Box::new(init());
                Box::leak(Box::new(RefCell::new(state)))
            };
            self.cells.borrow_mut().entry(TypeId::of::<T>()).or_insert(made)
        });
        RefMut::map(cell.borrow_mut(), |state| state.downcast_mut::<T>().expect("kept under its type"))
    }
}
