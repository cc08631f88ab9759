//! Arrays: typed owners of segments, their rows, and what a call accepts.
//!
//! | file | concept |
//! |---|---|
//! | `element` | the types that elements can have |
//! | `rows` | consecutive rows of an array, the unit of sharing |
//! | `shared` | the array in shared memory |
//! | `build` | arrays from shapes, functions and other arrays |
//! | `load` | arrays from `.npy` files |
//! | `save` | `.npy` files from arrays |
//! | `mapped` | a user's file, mapped |
//! | `args` | what array parameters of a call accept |

mod args;
mod build;
mod element;
mod load;
mod mapped;
mod rows;
mod save;
mod shared;

pub(crate) use args::ArraySource;
pub use args::{ArrayArg, IntoRows, IntoRowsMut};
pub use element::Element;
pub(crate) use load::load_npy;
pub use load::{NpyHeader, npy_header};
pub use mapped::MappedArray;
pub use rows::{Rows, RowsMut};
pub(crate) use rows::{checked_range, n_rows, row_len, with_rows};
pub(crate) use save::save_npy;
pub use shared::SharedArray;
pub(crate) use shared::copy_out;

#[cfg(test)]
mod tests;
