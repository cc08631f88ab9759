//! The memory through which a worker writes staged rows back.
//!
//! What a task is given is a private copy; the array itself is mapped for reading alone, so that a write beyond the copy meets
//! a page that refuses it. The copy gets back through a second mapping, which no task knows of and which lies apart from
//! all others. Writing through the file instead, with `pwrite`, costs two to three times as much a byte (each page is looked up,
//! locked and marked by itself), a system call a block, and the file's lock, which all workers take in turns. It
//! is what is left where a mapping may fail in the middle: on file systems that find their space, or the bytes, only then.

use super::attach::{Access, Attachment, Locator, attach};
use crate::error::Result;
use crate::sys::space;

/// A segment mapped for writing apart from other mappings.
#[derive(Debug)]
pub(crate) struct Window(Attachment);

impl Window {
    /// Opens a window on a segment; `None` if its memory is not such that a mapping of it can always be written.
    ///
    /// # Errors
    ///
    /// Those of [`attach`].
    pub(crate) fn open(locator: &Locator) -> Result<Option<Self>> {
        let attachment = attach(locator, Access::Window)?;
        Ok(space::is_memory(attachment.file()).then_some(Self(attachment)))
    }

    pub(super) fn attachment(&self) -> &Attachment {
        &self.0
    }
}
