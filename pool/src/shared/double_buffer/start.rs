//! Buffers that have a frame from the start.

use ndarray::{ArrayRef, Dimension};

use super::{DoubleBuffer, DoubleBufferBuilder};
use crate::array::Element;
use crate::error::Result;
use crate::shared::file::Published;
use crate::shared::versions::Versions;
use crate::sys::clock::realtime_nanos_of_tick;
use crate::sys::primitive::Ordering;
use crate::sys::view;

impl<T: Element, D: Dimension> DoubleBufferBuilder<T, D> {
    /// As [`create`](Self::create), for frames of an array's shape, and with a copy of it as the first frame, number 1: whoever
    /// finds the name finds that frame.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    ///
    /// # Example
    ///
    /// ```
    /// use ndarray::{Ix1, array};
    /// use ndpool::shared::{DoubleBuffer, Options};
    ///
    /// let options = Options::new().directory(std::env::temp_dir());
    /// let buffer = DoubleBuffer::builder().options(&options).create_from("from_example", &array![1.0, 2.0])?;
    /// assert_eq!(buffer.number(), 1);
    /// assert_eq!(buffer.reader().read()?.array, array![1.0, 2.0]);
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn create_from(&self, name: &str, array: &ArrayRef<T, D>) -> Result<DoubleBuffer<T, D>> {
        self.create_by(name, array.raw_dim(), |options, name, plan| {
            Published::create(options, name, plan, |published| {
                let elements = array.as_standard_layout();
                let elements = elements.as_slice().expect("it is in standard layout");
                published.mapping().write_from(published.data_offset(), view::bytes_of(elements));
                let page = published.page();
                page.committed.store(realtime_nanos_of_tick(), Ordering::Relaxed);
                let n_words = plan.n_table_words;
                let pins = &page.pins[..plan.n_buffers.saturating_sub(2)];
                let tables = &published.tables()[..n_words];
                Versions::new(&page.version, &page.writing, pins, tables, plan.n_buffers).start();
                Ok(())
            })
        })
    }
}
