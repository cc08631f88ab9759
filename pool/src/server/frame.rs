//! Frames among the items.

use super::client::DataClient;
use super::error::ServerError;
use super::item::sealed::Behind;
use super::item::{Item, Structure, sealed};
use crate::error::Result;
use crate::shared::{Kind, Options, Published, Schema, SharedFrame};

impl DataClient {
    /// Creates a frame of zeros, which is its version 1. Whoever of this user attaches to it first and writes is its writer.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::server::DataServer;
    /// use ndpool::shared::Schema;
    ///
    /// let server = DataServer::new("frame_example")?;
    /// let schema = Schema::new(3).column::<f64>("price").column::<u64>("volume");
    /// let writer = server.create_frame("ticks", &schema)?;
    /// writer.write(|frame| {
    ///     frame.column_mut::<f64>("price")?.fill(10.0);
    ///     Ok(())
    /// })?;
    ///
    /// let ticks = server.frame("ticks")?;
    /// let sum = ticks.read(|snapshot| Ok(snapshot.column::<f64>("price")?.sum()))?;
    /// assert_eq!((sum, server.info("ticks")?.schema), (30.0, Some(schema)));
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn create_frame(&self, item: &str, schema: &Schema) -> Result<Item<SharedFrame>> {
        self.create_by(item, |options, name| SharedFrame::create_with(options, name, schema))
    }

    /// Creates a frame of zeros, which is its version 1, in the place of what has the name, if anything has: for another schema.
    ///
    /// Whoever looks for the name finds the old one or the new one; those who are attached to the old one are told.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub fn replace_frame(&self, item: &str, schema: &Schema) -> Result<Item<SharedFrame>> {
        self.replace_by(item, |options, name| SharedFrame::create_with(options, name, schema))
    }

    /// Attaches to a frame, to read or write it, whatever its schema.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoItem`], [`ServerError::WrongKind`], [`ServerError::NotYours`] or [`ServerError::NoServer`].
    pub fn frame(&self, item: &str) -> Result<Item<SharedFrame>> {
        self.attach(item)
    }

    /// As [`frame`](Self::frame), for a frame of this schema.
    ///
    /// # Errors
    ///
    /// As for [`frame`](Self::frame); [`ErrorKind::Npy`](crate::ErrorKind::Npy) if it has another schema: the source is
    /// [`NpyError::Schema`](crate::NpyError::Schema).
    pub fn frame_of(&self, item: &str, schema: &Schema) -> Result<Item<SharedFrame>> {
        let frame = self.frame(item)?;
        frame.schema().expect(schema).map_err(|error| error.at(frame.path()))?;
        Ok(frame)
    }
}

impl Structure for SharedFrame {}
impl sealed::Structure for SharedFrame {
    fn attach(options: &Options, name: &str) -> Result<Self> {
        let published = Published::attach(options, &name.parse()?, Kind::ALL)?;
        let kind = published.kind();
        if matches!(kind, Kind::Frame | Kind::Matrix) {
            return Self::of_file(published);
        }
        Err(ServerError::WrongKind { name: name.to_owned(), found: kind.name(), wanted: "frame" }.into())
    }

    fn file(&self) -> Behind<'_> {
        Behind(self.published())
    }
}
