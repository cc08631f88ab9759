//! Putting a call together: what the macro's constructors do, for use by hand too.

use super::args::Args;
use super::call::{ArrayParam, Call, CallOptions, CallSpec, Collected, ParamSource};
use super::describe::{ByName, Describer, Shown};
use super::failure::{FailureKind, TaskError};
use super::fold::merge_as_sent;
use super::function::{Task, Vtable};
use super::merge::{Merge, Tree};
use crate::array::{ArrayArg, Element, IntoRows, IntoRowsMut};
use crate::error::{Error, ErrorKind, Result};
use crate::job::descriptor::Mode;
use crate::sys::image;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::marker::PhantomData;

/// Borrows for `'a`, and names a task without having one.
type Borrowing<'a, K> = (&'a (), fn() -> K);

/// Puts a [`Call`] of task `K` together: values and arrays in the order in which the task reads them.
///
/// The constructors that [`#[task]`](macro@crate::task) makes do this with types checked; by hand it goes with a
/// hand-written [`Task`], see there for an example.
#[must_use = "a builder does nothing until `merged` or `single` makes it a call"]
pub struct CallBuilder<'a, K: Task> {
    spec: CallSpec,
    task: PhantomData<Borrowing<'a, K>>,
}

impl<'a, K: Task> CallBuilder<'a, K> {
    /// A call without arguments.
    #[expect(clippy::new_without_default, reason = "the task must be named, which `default()` hides")]
    pub fn new() -> Self {
        let spec = CallSpec {
            vtable: K::VTABLE,
            values: Vec::new(),
            n_values: 0,
            arrays: Vec::new(),
            grid: None,
            is_single: false,
            options: CallOptions::default(),
            error: None,
        };
        Self { spec, task: PhantomData }
    }

    /// Adds a value. It is serialised now, so nothing of the caller's is borrowed.
    pub fn value<V: Serialize + ?Sized>(mut self, value: &V) -> Self {
        let index = self.spec.n_values;
        self.spec.n_values += 1;
        let values = std::mem::take(&mut self.spec.values);
        match postcard::to_extend(value, values) {
            Ok(values) => self.spec.values = values,
            Err(error) => {
                self.spec.error.get_or_insert_with(|| {
                    Error::new(
                        ErrorKind::Serde,
                        format!(
                            "{}: argument {index} of type {} cannot be serialised: {error}",
                            K::NAME,
                            std::any::type_name::<V>()
                        ),
                    )
                });
            }
        }
        self
    }

    /// Adds an array that is read by blocks of rows.
    pub fn rows(self, array: impl IntoRows<'a>) -> Self {
        self.array(array.into_rows_arg(), Mode::Read)
    }

    /// Adds an array that every block reads all of.
    pub fn whole(self, array: impl IntoRows<'a>) -> Self {
        self.array(array.into_rows_arg(), Mode::Whole)
    }

    /// Adds an array that is changed by blocks of rows. A block works on a private copy that is written back once
    /// it is complete, so that a death never leaves half of it.
    pub fn rows_mut(self, array: impl IntoRowsMut<'a>) -> Self {
        self.array(array.into_rows_mut_arg(), Mode::Stage)
    }

    /// Adds an array of which every block writes all of its rows and reads none: no copy is needed, a block whose
    /// worker died is simply written again.
    pub fn out(self, array: impl IntoRowsMut<'a>) -> Self {
        self.array(array.into_rows_mut_arg(), Mode::Out)
    }

    pub(crate) fn rows_flat_arg(self, array: ArrayArg) -> Self {
        self.array(array.flattened(), Mode::Read)
    }

    pub(crate) fn whole_arg(self, array: ArrayArg) -> Self {
        self.array(array, Mode::Whole)
    }

    /// Adds a fresh array that the pool makes, and of which every block writes all of its rows.
    pub(crate) fn output<T: Element>(mut self, shape: &[usize]) -> Self {
        let source = ParamSource::Output { dtype: T::DTYPE, shape: shape.to_vec() };
        self.spec.arrays.push(ArrayParam { source, mode: Mode::Out });
        self
    }

    /// Sets a grid of `n_rows` rows in blocks of `block_rows` that no array dictates.
    pub(crate) fn grid(mut self, n_rows: usize, block_rows: usize) -> Self {
        self.spec.grid = Some((n_rows, block_rows));
        self
    }

    /// Gives a call that fails with this error as soon as a pool gets it.
    pub(crate) fn failed(mut self, error: Error) -> Self {
        self.spec.error.get_or_insert(error);
        self
    }

    fn array(mut self, array: ArrayArg, mode: Mode) -> Self {
        self.spec.arrays.push(ArrayParam { source: ParamSource::Array(array), mode });
        self
    }

    fn finish<R>(self, collect: impl FnOnce(Collected<'_>) -> Result<R> + Send + 'a) -> Call<'a, R> {
        Call { spec: self.spec, collect: Box::new(collect), on_progress: None, borrows: PhantomData }
    }

    /// A call of one block, whose result is the task's.
    pub fn single(mut self) -> Call<'a, K::Output> {
        if let Some(split) = self.spec.arrays.iter().find(|array| array.mode != Mode::Whole) {
            let message =
                format!("{}: a call of one block cannot split an array of {:?}", K::NAME, split.shape());
            let error = Error::new(ErrorKind::InvalidArgument, message);
            self =
                self.failed(error.with_hint("end the builder with `merged`, or give the array to `whole`"));
        }
        self.spec.is_single = true;
        self.finish(|collected| {
            let mut output = None;
            (collected.for_each)(&mut |_, bytes| {
                output = Some(decode::<K>(bytes)?);
                Ok(())
            })?;
            Ok(output.expect("a call has one block"))
        })
    }

    /// A call whose blocks' results merge, in the order of the rows and in a tree that depends on their number
    /// alone.
    pub fn merged(self) -> Call<'a, K::Output>
    where
        K::Output: Merge,
    {
        self.finish(merge_all::<K>)
    }

    /// As [`CallBuilder::merged`], with the contents of the array that the pool made for the call.
    pub(crate) fn merged_with_output<T: Element>(self) -> Call<'a, (K::Output, Vec<T>)>
    where
        K::Output: Merge,
    {
        self.finish(|collected| {
            let outputs = collected.outputs;
            let merged = merge_all::<K>(collected)?;
            let output = outputs.first().expect("the builder was given an output");
            Ok((merged, crate::array::copy_out(output)))
        })
    }
}

impl<K: Task> fmt::Debug for CallBuilder<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallBuilder").field("task", &K::NAME).finish_non_exhaustive()
    }
}

fn merge_all<K: Task<Output: Merge>>(collected: Collected<'_>) -> Result<K::Output> {
    let mut tree = Tree::new();
    let merged = if K::folder().is_some() {
        let merge = |earlier, later| merge_as_sent(earlier, later).map_err(|error| not_sent::<K>(&error));
        (collected.for_each)(&mut |height, bytes| tree.try_push(height, decode::<K>(bytes)?, merge))?;
        tree.try_finish(merge)?
    } else {
        (collected.for_each)(&mut |_, bytes| {
            tree.push(decode::<K>(bytes)?);
            Ok(())
        })?;
        tree.finish()
    };
    Ok(merged.expect("a grid has at least one block"))
}

fn not_sent<K: Task>(error: &postcard::Error) -> Error {
    Error::new(
        ErrorKind::Serde,
        format!(
            "{}: a merged result of type {} cannot be serialised and deserialised: {error}",
            K::NAME,
            std::any::type_name::<K::Output>()
        ),
    )
}

fn decode<K: Task>(bytes: &[u8]) -> Result<K::Output> {
    postcard::from_bytes(bytes).map_err(|error| {
        Error::new(
            ErrorKind::Serde,
            format!(
                "{}: a result of {} bytes cannot be deserialised as {}: {error}",
                K::NAME,
                bytes.len(),
                std::any::type_name::<K::Output>()
            ),
        )
        .with_hint("the type's Serialize and Deserialize must agree; postcard has no self-describing types")
    })
}

/// A call without a macro: `f` is a function, or a closure that captures nothing, and runs once in a worker.
///
/// Only workers of this very program can run it, not a worker program of another build.
///
/// # Example
///
/// ```
/// use ndpool::{Pool, call};
///
/// ndpool::init();
/// let pool = Pool::builder().workers(2).build()?;
/// assert_eq!(pool.run(call(|x: u64| x * x, 12))?, 144);
/// let squares: Vec<u64> = pool.map((0..5).map(|i| call(|x: u64| x * x, i))).collect::<ndpool::Result<_>>()?;
/// assert_eq!(squares, [0, 1, 4, 9, 16]);
/// # Ok::<(), ndpool::Error>(())
/// ```
///
/// A closure that captures does not compile:
///
/// ```compile_fail,E0308
/// let factor = 3;
/// let call = ndpool::call(|x: u64| x * factor, 12);
/// ```
pub fn call<A, R>(f: fn(A) -> R, arg: A) -> Call<'static, R>
where
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    /// The task of all functions of one type; which function is an argument.
    struct Function<A, R>(PhantomData<fn(A) -> R>);

    impl<A, R> Task for Function<A, R>
    where
        A: DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        const NAME: &'static str = "ndpool::call";
        type Output = R;

        fn run(args: &mut Args<'_>) -> Result<R, TaskError> {
            let offset: u64 = args.value()?;
            let Some(address) = image::address_of(offset, 1, true) else {
                return Err(TaskError::with_kind(
                    FailureKind::Segment,
                    "the function is not in this program",
                ));
            };
            #[expect(unsafe_code, reason = "a function is found by its place in the program's image")]
            // SAFETY: `call` made the offset from a function of this very type, since this task is generic over
            // the same `A` and `R` and was itself found at its place in the image; the handshake has checked
            // that both processes run the same program file, so the same function is at this place.
            let f = unsafe { std::mem::transmute::<usize, fn(A) -> R>(address) };
            Ok(f(args.value()?))
        }

        fn describe(describer: &mut Describer<'_>) {
            describer.skip::<u64>();
            describer.value("argument", |bytes| (&&Shown::<A>::NEW).show(bytes));
        }
    }

    let builder = CallBuilder::<Function<A, R>>::new();
    match image::offset_of(f as usize, 1, true) {
        Some(offset) => builder.value(&offset).value(&arg).single(),
        None => builder.failed(not_in_this_image("ndpool::call")).single(),
    }
}

/// The error for a task that lies in another shared object than ndpool.
pub(crate) fn not_in_this_image(name: &str) -> Error {
    Error::new(ErrorKind::UnknownTask, format!("{name}: the task lies in another shared object than ndpool"))
        .with_hint("link ndpool and the tasks into the same program")
}
