//! Running blocks in this process, on the caller's thread: the same tasks, grid and merging without processes.

use crate::array::ArraySource;
use crate::error::{FailedBlocks, Result};
use crate::inject::{Faults, Site};
use crate::job::descriptor::{ArraySpec, Mode};
use crate::segment::Run;
use crate::supervisor::failure_error;
use crate::task::{
    Args, Block, BlockArray, CallSpec, Collect, Collected, Failure, OnProgress, Outcome, Progress,
    ResolvedArray, States, Values,
};
use crate::worker::{install_hook_in_process, run_task};
use std::sync::Arc;

/// One array of the call in this process.
struct Array {
    spec: ArraySpec,
    data: *mut u8,
    /// The private copy that a block changes.
    staging: Vec<u64>,
    _source: ArraySource,
}

/// Runs a call from its first block to its last.
pub(super) fn run<R>(
    run: &Arc<Run>,
    faults: Option<&Faults>,
    spec: CallSpec,
    collect: Collect<'_, R>,
    mut on_progress: Option<OnProgress<'_>>,
) -> Result<R> {
    let grid = spec.grid()?;
    let label = spec.label().to_string();
    let mut outputs = Vec::new();
    let mut arrays = Vec::new();
    for param in spec.arrays {
        let ResolvedArray { source, spec, output } = param.resolve(run)?;
        outputs.extend(output);
        spec.validate(spec.locator.data_len)?;
        if let Some(segment) = source.segment() {
            segment.leases().wait(spec.bytes(&(0..spec.n_rows())), spec.mode.is_mutable());
        }
        let data = match &source {
            ArraySource::Segment(segment) => segment.data_ptr()?,
            ArraySource::Shared(array) => array.segment().data_ptr()?,
            ArraySource::File(file) => file.data_ptr().cast_mut(),
        };
        arrays.push(Array { spec, data, staging: Vec::new(), _source: source });
    }
    let values = Values::new(spec.values, spec.n_values);
    let states = States::default();
    let mut results: Vec<Vec<u8>> = Vec::with_capacity(grid.n_blocks());
    let mut failed = FailedBlocks { n_blocks: grid.n_blocks(), ..FailedBlocks::default() };
    let mut first_failure: Option<(usize, Failure)> = None;
    for block in 0..grid.n_blocks() {
        let told = Block {
            index: block,
            rows: grid.rows(block),
            attempt: 0,
            worker: 0,
            is_cancelled: &|| false,
            states: &states,
        };
        match run_block(spec.vtable, &values, &mut arrays, &told, faults) {
            Ok(bytes) => results.push(bytes),
            Err(failure) => {
                let tears = arrays.iter().any(|array| array.spec.mode == Mode::Out);
                let set = if tears { &mut failed.torn } else { &mut failed.failed };
                set.push(block..block + 1);
                first_failure.get_or_insert((block, failure));
            }
        }
        if let Some(tell) = &mut on_progress {
            tell(Progress { blocks_done: block + 1, n_blocks: grid.n_blocks() });
        }
    }
    if let Some((block, failure)) = first_failure {
        let block = (grid.n_blocks() > 1).then_some(block);
        return Err(failure_error(&label, block, &failure).with_blocks(failed));
    }
    let mut for_each =
        |take: &mut dyn FnMut(u32, &[u8]) -> Result<()>| results.iter().try_for_each(|bytes| take(0, bytes));
    collect(Collected { for_each: &mut for_each, outputs: &outputs })
}

fn run_block(
    vtable: &'static crate::task::TaskVtable,
    values: &Values,
    arrays: &mut [Array],
    told: &Block<'_>,
    faults: Option<&Faults>,
) -> Result<Vec<u8>, Failure> {
    let rows = told.rows();
    let mut block_arrays = Vec::with_capacity(arrays.len());
    for array in arrays.iter_mut() {
        let ArraySpec { dtype, shape, mode, .. } = &array.spec;
        let mut shape = shape.clone();
        let bytes = array.spec.bytes(&rows);
        let first = match mode {
            Mode::Whole => array.data.wrapping_add(array.spec.offset_bytes),
            Mode::Read | Mode::Out => array.data.wrapping_add(bytes.start),
            Mode::Stage => {
                array.staging.clear();
                // In words of eight bytes, the strictest alignment that an element has.
                array.staging.resize(bytes.len().div_ceil(8), 0);
                let staging = array.staging.as_mut_ptr().cast::<u8>();
                copy(array.data.wrapping_add(bytes.start), staging, bytes.len());
                staging
            }
        };
        if *mode != Mode::Whole
            && let Some(n_rows) = shape.first_mut()
        {
            *n_rows = rows.len();
        }
        block_arrays.push(BlockArray { first, dtype: *dtype, shape, mode: *mode });
    }
    #[expect(unsafe_code, reason = "the arrays of a block were found and validated here")]
    // SAFETY: every array was checked to lie inside its segment, which stays mapped while its source is held.
    // Elements are valid: arrays are made of valid ones. The call borrows its arrays for as long as it runs, and
    // jobs whose borrow ended early were waited for, so nobody else touches them.
    let mut args = unsafe { Args::new(values, &block_arrays, told) };
    let mut outcome = Outcome::default();
    let hook = install_hook_in_process();
    let site = Site {
        task: vtable.name,
        arguments: values.bytes(),
        block: told.index(),
        attempt: 0,
        is_cancelled: &|| false,
    };
    let injected = faults.map(|faults| (faults, &site));
    let result = run_task(vtable, &mut args, &mut outcome, injected);
    drop(hook);
    result?;
    for (array, block_array) in arrays.iter().zip(&block_arrays) {
        if block_array.mode == Mode::Stage {
            let bytes = array.spec.bytes(&rows);
            copy(block_array.first, array.data.wrapping_add(bytes.start), bytes.len());
        }
    }
    Ok(outcome.bytes().to_vec())
}

/// Copies bytes between an array and a block's private copy.
fn copy(from: *const u8, to: *mut u8, len: usize) {
    #[expect(unsafe_code, reason = "a staged block is copied without references to either side")]
    // SAFETY: one side is a range of an array that was checked to lie inside its segment, the other a vector that
    // was made as long; they do not overlap, and nobody else touches either meanwhile.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, len);
    }
}
