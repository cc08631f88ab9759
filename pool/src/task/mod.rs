//! Tasks: functions that workers run, the calls that name them, and how results of blocks combine.

/// The arguments of one block.
mod args;
/// What a task is told of its block.
mod block;
/// How a call is put together.
mod builder;
/// What a caller asks for.
mod call;
/// The arguments of a call as text.
mod describe;
/// How a task fails.
mod failure;
/// How results merge in workers.
mod fold;
/// The trait, and the table by which another process finds a task.
mod function;
pub mod merge;
/// What the macro leans on.
mod support;

pub use args::Args;
pub(crate) use args::{BlockArray, Values};
pub use block::Block;
pub(crate) use block::States;
pub(crate) use builder::not_in_this_image;
pub use builder::{CallBuilder, call};
pub use call::{Call, Progress};
pub(crate) use call::{CallOptions, CallSpec, Collect, Collected, OnProgress, ResolvedArray};
pub use describe::{ByDebug, ByName, ByType, Describer, Shown};
pub use failure::TaskError;
pub(crate) use failure::{Failure, FailureKind};
pub(crate) use fold::Fold;
pub use fold::{ByCollector, ByMerge, Foldable, Folder};
pub(crate) use function::{Outcome, find_by_name, image_offset, registered, vtable_at};
pub use function::{Registered, Task, TaskVtable, Vtable};
pub use merge::Merge;
pub(crate) use merge::Tree;
pub use support::{Fallible, View};
