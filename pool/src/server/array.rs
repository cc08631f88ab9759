//! Arrays among the items.

use crate::segment::{DType, Header};
use crate::shared::{Kind, Published};

/// Type and shape of an item, as far as its header says.
pub(super) fn type_of(published: &Published) -> (Option<DType>, Vec<usize>) {
    match Header::read(&mut published.header().as_slice()) {
        // The first axis is that of the buffers.
        Ok(header) if matches!(published.kind(), Kind::DoubleBuffer | Kind::Matrix) => {
            (Some(header.dtype), header.shape.into_iter().skip(1).collect())
        }
        Ok(header) if published.kind() == Kind::Mutex => (Some(header.dtype), header.shape),
        _ => (None, Vec::new()),
    }
}
