//! The memory through which a worker writes staged rows back.
//!
//! What a task is given is a private copy; the array itself is mapped for reading alone, so that a write beyond the copy meets
//! a page that refuses it. The copy gets back through a second mapping, which no task knows of and which lies apart from
//! all others. Writing through the file instead, with `pwrite`, costs two to three times as much a byte (each page is looked up,
//! locked and marked by itself), a system call a block, and the file's lock, which all workers take in turns. It
//! is what is left where a mapping may fail in the middle: on file systems that find their space, or the bytes, only then.

use super::attach::{Access, Attachment, Locator, attach};
use super::layout::PAGE_BYTES;
use crate::error::Result;
use crate::sys::space;
use std::cell::RefCell;
use std::ops::Range;

/// Bytes whose pages are entered together.
const GROUP_BYTES: usize = 256 << 10;

/// A segment mapped for writing apart from other mappings.
#[derive(Debug)]
pub(crate) struct Window {
    attachment: Attachment,
    /// Whether the pages of a group of the data have been entered.
    entered: RefCell<Vec<bool>>,
}

impl Window {
    /// Opens a window on a segment; `None` if its memory is not such that a mapping of it can always be written.
    ///
    /// # Errors
    ///
    /// Those of [`attach`].
    pub(crate) fn open(locator: &Locator) -> Result<Option<Self>> {
        let attachment = attach(locator, Access::Window)?;
        if !space::is_memory(attachment.file()) {
            return Ok(None);
        }
        let n_groups = attachment.mapping().len().div_ceil(GROUP_BYTES);
        Ok(Some(Self { attachment, entered: RefCell::new(vec![false; n_groups]) }))
    }

    pub(super) fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Has the pages of a range of the data entered, those that have not been.
    pub(super) fn enter(&self, range: Range<usize>) {
        let mapping = self.attachment.mapping();
        let first = self.attachment.data_offset();
        // Neither the page before the data nor the one behind may be touched.
        let end = mapping.len().saturating_sub(PAGE_BYTES);
        let mut entered = self.entered.borrow_mut();
        for group in (first + range.start) / GROUP_BYTES..(first + range.end).div_ceil(GROUP_BYTES) {
            if !std::mem::replace(&mut entered[group], true) {
                let start = (group * GROUP_BYTES).max(first);
                let end = ((group + 1) * GROUP_BYTES).min(end);
                mapping.enter_for_writing(start, end.saturating_sub(start));
            }
        }
    }
}
