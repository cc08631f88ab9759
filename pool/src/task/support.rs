//! What the code that `#[task]` generates leans on; not part of the public interface.

use super::failure::TaskError;
use ndarray::{ArrayRef, ArrayView, ArrayViewMut};
use std::fmt::Display;

/// Element and dimension of a view type.
pub trait View {
    /// Type of the elements.
    type Elem;
    /// Type of the dimension.
    type Dim;
}

impl<T, D> View for ArrayView<'static, T, D> {
    type Elem = T;
    type Dim = D;
}

impl<T, D> View for ArrayViewMut<'static, T, D> {
    type Elem = T;
    type Dim = D;
}

impl<T, D> View for ArrayRef<T, D> {
    type Elem = T;
    type Dim = D;
}

/// A return type that is a `Result`.
pub trait Fallible {
    /// Type of the result if all went well.
    type Ok;

    /// The result, or the error's text.
    ///
    /// # Errors
    ///
    /// The error that the task returned.
    fn into_task_result(self) -> Result<Self::Ok, TaskError>;
}

impl<R, E: Display> Fallible for Result<R, E> {
    type Ok = R;

    fn into_task_result(self) -> Result<R, TaskError> {
        self.map_err(TaskError::new)
    }
}
