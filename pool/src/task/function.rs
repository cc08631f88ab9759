//! The trait of a task, and the table by which another process finds it.

use super::args::Args;
use super::describe::Describer;
use super::failure::{FailureKind, TaskError};
use super::fold::Folder;
use crate::sys::image;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// A function that workers know. [`#[ndpool::task]`](macro@crate::task) implements it; by hand it makes a task
/// without the macro.
///
/// # Example
///
/// ```
/// use ndarray::Ix1;
/// use ndpool::{Args, CallBuilder, Pool, Task, TaskError, merge::Sum};
///
/// enum ScaledSum {}
///
/// impl Task for ScaledSum {
///     const NAME: &'static str = "example::scaled_sum";
///     type Output = Sum<f64>;
///
///     fn run(args: &mut Args<'_>) -> Result<Sum<f64>, TaskError> {
///         let factor: f64 = args.value()?;
///         let x = args.view::<f64, Ix1>()?;
///         Ok(Sum(factor * x.sum()))
///     }
/// }
///
/// ndpool::init();
/// let pool = Pool::builder().workers(2).build()?;
/// let x = pool.full::<f64, _>(10, 1.0)?;
/// let call = CallBuilder::<ScaledSum>::new().value(&2.0).rows(&x).merged();
/// assert_eq!(pool.run(call)?.0, 20.0);
/// # Ok::<(), ndpool::Error>(())
/// ```
pub trait Task: 'static {
    /// The name under which error messages, and workers of another build, know the task.
    const NAME: &'static str;

    /// Kinds and types of the parameters as text, compared between supervisor and worker of different builds.
    const LAYOUT: &'static str = "";

    /// The result of one block.
    type Output: Serialize + DeserializeOwned + 'static;

    /// Runs the task on one block.
    ///
    /// # Errors
    ///
    /// Whatever the task finds wrong; the job fails with it. It is not tried again.
    fn run(args: &mut Args<'_>) -> Result<Self::Output, TaskError>;

    /// How results merge in workers, if they do; what `#[task]` writes.
    #[doc(hidden)]
    fn folder() -> Option<Folder> {
        None
    }

    /// Names the parameters, for the record of a death; what `#[task]` writes.
    #[doc(hidden)]
    fn describe(_: &mut Describer<'_>) {}
}

/// Where the serialised result of one block goes: a small buffer, or memory of its own when it is larger. Used again from
/// block to block.
#[derive(Debug)]
pub(crate) struct Outcome {
    inline: [u8; 512],
    inline_len: usize,
    large: Option<Vec<u8>>,
    height: u32,
}

impl Default for Outcome {
    fn default() -> Self {
        Self { inline: [0; 512], inline_len: 0, large: None, height: 0 }
    }
}

impl Outcome {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.large.as_deref().unwrap_or(&self.inline[..self.inline_len])
    }

    /// The bytes are the merged result of the 2ʰ blocks that end with the one that was run, *h* being this.
    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    /// Puts a block's own result in place of what was there.
    pub(crate) fn write<T: Serialize>(&mut self, value: &T) -> Result<(), postcard::Error> {
        (self.large, self.height) = (None, 0);
        self.inline_len = match postcard::to_slice(value, &mut self.inline) {
            Ok(used) => used.len(),
            Err(postcard::Error::SerializeBufferFull) => {
                self.large = Some(postcard::to_stdvec(value)?);
                0
            }
            Err(other) => return Err(other),
        };
        Ok(())
    }

    /// Puts a merged result, which is small, in place of what was there.
    pub(super) fn set(&mut self, bytes: &[u8], height: u32) {
        self.inline[..bytes.len()].copy_from_slice(bytes);
        (self.inline_len, self.large, self.height) = (bytes.len(), None, height);
    }
}

/// What another process needs to run a task: a constant of the program's image, so that its place in the image
/// names it, generic tasks included.
#[repr(C)]
pub struct TaskVtable {
    magic: u64,
    pub(crate) name: &'static str,
    pub(crate) layout: &'static str,
    pub(crate) output_bytes: usize,
    pub(crate) run: fn(&mut Args<'_>, &mut Outcome) -> Result<(), TaskError>,
    pub(crate) folder: fn() -> Option<Folder>,
    describe: fn(&mut Describer<'_>),
}

impl TaskVtable {
    /// The plain arguments of a call, from its serialised values, and the names of its arrays; types alone if there are no bytes.
    #[cold]
    pub(crate) fn describe<'b>(&self, values: Option<&'b [u8]>, n_values: usize) -> Describer<'b> {
        let mut describer = Describer::new(values);
        (self.describe)(&mut describer);
        describer.rest(n_values);
        describer
    }
}

/// At the start of every table; another build has others at the same places.
const MAGIC: u64 = u64::from_le_bytes(*b"ndpool1\0");

impl fmt::Debug for TaskVtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskVtable")
            .field("name", &self.name)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

/// Gives every task its table.
pub trait Vtable {
    /// The table, promoted to a constant for every task type.
    const VTABLE: &'static TaskVtable;
}

impl<K: Task> Vtable for K {
    const VTABLE: &'static TaskVtable = &TaskVtable {
        magic: MAGIC,
        name: K::NAME,
        layout: K::LAYOUT,
        output_bytes: size_of::<K::Output>(),
        run: run_and_serialise::<K>,
        folder: K::folder,
        describe: K::describe,
    };
}

fn run_and_serialise<K: Task>(args: &mut Args<'_>, outcome: &mut Outcome) -> Result<(), TaskError> {
    let output = K::run(args)?;
    outcome.write(&output).map_err(|error| {
        TaskError::with_kind(
            FailureKind::Serde,
            format!(
                "the result of type {} cannot be serialised: {error}",
                std::any::type_name::<K::Output>()
            ),
        )
    })
}

/// The offset of a table in the program's image; `None` if it lies in another shared object than ndpool.
pub(crate) fn image_offset(vtable: &'static TaskVtable) -> Option<u64> {
    image::offset_of(std::ptr::from_ref(vtable).addr(), size_of::<TaskVtable>(), false)
}

/// The table at an offset that came from another process of the same program file.
pub(crate) fn vtable_at(offset: u64, name: &str) -> Option<&'static TaskVtable> {
    #[expect(unsafe_code, reason = "a task's table is found by its place in the program's image")]
    // SAFETY: a `TaskVtable` is as `static_at` wants it, and starts with its magic number; the handshake has checked
    // that the offset was made by a process of this very program file, in which only tables start with it.
    let vtable = unsafe { image::static_at::<TaskVtable>(offset, MAGIC) }?;
    (vtable.name == name).then_some(vtable)
}

/// A task in the list by which workers of another build find it.
#[derive(Debug)]
pub struct Registered(&'static TaskVtable);

impl Registered {
    /// The entry of a task.
    pub const fn of<K: Task>() -> Self {
        Self(K::VTABLE)
    }
}

inventory::collect!(Registered);

/// All tasks that this program registers.
pub(crate) fn registered() -> impl Iterator<Item = &'static TaskVtable> {
    inventory::iter::<Registered>.into_iter().map(|entry| entry.0)
}

/// The registered task of this name.
pub(crate) fn find_by_name(name: &str) -> Option<&'static TaskVtable> {
    registered().find(|vtable| vtable.name == name)
}
