//! What handles, snapshots and writers of a frame share: the file, its versions, and where things lie.

use std::sync::{Arc, Mutex, PoisonError};

use super::layout::Layout;
use super::schema::Schema;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::DType;
use crate::shared::file::Published;
use crate::shared::versioned::{Column, Versioned, WriterRole};
use crate::sys::map::Mapping;

/// A frame's file, in this process.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) versioned: Arc<Versioned>,
    pub(super) schema: Schema,
    pub(super) layout: Layout,
    /// The right to write, once this handle has it.
    pub(super) writer: Mutex<Option<WriterRole>>,
    /// The memory of the last copy that was dropped, for the next: its pages are there already.
    spare: Mutex<Option<Mapping>>,
}

/// Memory for a copy of one version, as long as a record.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) memory: Mapping,
    /// Whether nobody has written it yet.
    pub(super) is_fresh: bool,
}

impl Inner {
    pub(super) fn new(
        published: Published,
        n_buffers: usize,
        schema: Schema,
        layout: Layout,
    ) -> Result<Self> {
        let columns = layout.columns.iter().map(|range| Column { offset: range.start, len: range.len() });
        let versioned = Versioned::new(published, n_buffers, layout.record_bytes, columns.collect())?;
        let (writer, spare) = (Mutex::new(None), Mutex::new(None));
        Ok(Self { versioned: Arc::new(versioned), schema, layout, writer, spare })
    }

    pub(super) fn mapping(&self) -> &Mapping {
        self.versioned.published().mapping()
    }

    /// Memory for a copy: that of the last one, if it was dropped.
    pub(super) fn memory(&self) -> Result<Copy> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(memory) = spare {
            return Ok(Copy { memory, is_fresh: false });
        }
        let len = self.layout.record_bytes;
        match Mapping::anonymous(len) {
            Ok(memory) => Ok(Copy { memory, is_fresh: true }),
            Err(error) => {
                let text = format!("no memory for a copy of {len} bytes: {error}");
                Err(Error::new(ErrorKind::OutOfSpace, text).with_source(error))
            }
        }
    }

    /// Keeps memory for the next copy.
    pub(super) fn keep(&self, memory: Mapping) {
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
    }

    /// Copies a column as it was at a version; whether it was in time. What was copied too late means nothing.
    pub(super) fn copy_column(&self, version: u64, column: usize, copy: &Copy) -> bool {
        let versions = self.versioned.versions();
        let Some(found) = versions.find(column, version) else { return false };
        let (from, at) = (self.mapping(), self.versioned.offset(column, found.buffer));
        let range = self.layout.columns[column].clone();
        if copy.is_fresh {
            copy.memory.copy_from_into_fresh(range.start, from, at, range.len());
        } else {
            copy.memory.copy_many_from(range.start, from, at, range.len());
        }
        versions.is_intact(column, found)
    }

    /// That the bytes of a column are no values of its type, which goes for `bool` alone.
    pub(super) fn invalid(&self, column: usize, dtype: DType) -> Error {
        let name = self.schema.columns().get(column).map_or("the matrix", |column| column.name());
        self.damaged(&format!("{name} holds bytes that are no {dtype}"))
    }

    /// That the file is not what its maker made of it.
    pub(super) fn damaged(&self, problem: &str) -> Error {
        let path = self.versioned.published().path().display();
        Error::new(ErrorKind::Segment, format!("`{path}` is damaged: {problem}"))
            .with_hint("some program has written to it without knowing how: remove it, and create it again")
    }
}
