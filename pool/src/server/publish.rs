//! Publishing arrays: created, written in place, or swapped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::{ArrayBase, ArrayRef, Data, Dimension};

use super::catalog::{Admission, Catalog, PATIENCE};
use super::client::DataClient;
use super::error::{ServerError, is_no_server, is_not_found};
use super::item::Item;
use super::naps::Naps;
use crate::array::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::dynamic::{AnyValue, with_every_type};
use crate::shared::{DoubleBuffer, Kind, Name, Options, Published, Role, Terms};
use crate::sys::kill_point;

/// What became of an array that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Put {
    /// Its version.
    pub version: u64,
    /// How it was published.
    pub how: How,
}

/// How an array was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum How {
    /// Nothing had the name.
    Created,
    /// It is the next version of an array of its type and shape.
    Updated,
    /// It took the name from something else, whole, at once; its versions begin with 1.
    Swapped,
}

/// An array that can be published: of any [`Element`] and rank, or of a type that is known at run time. Sealed.
pub trait Publish: sealed::Publish {}

mod sealed {
    use super::*;

    pub trait Publish {
        /// Publishes a new file, on the options' terms.
        fn create(&self, options: &Options, name: &str) -> Result<()>;

        /// Writes the next version; `None` if what has the name is not of this type and shape, or is no longer what has it.
        fn update(&self, options: &Options, name: &str) -> Result<Option<u64>>;
    }
}

impl<T: Element, D: Dimension> Publish for ArrayRef<T, D> {}
impl<T: Element, D: Dimension> sealed::Publish for ArrayRef<T, D> {
    fn create(&self, options: &Options, name: &str) -> Result<()> {
        DoubleBuffer::<T, D>::builder().options(options).create_from(name, self).map(drop)
    }

    fn update(&self, options: &Options, name: &str) -> Result<Option<u64>> {
        let buffer = match DoubleBuffer::<T, D>::attach_with(options, name) {
            Ok(buffer) if buffer.shape() == self.shape() => buffer,
            // Another shape, type or rank; whatever else it is, swapping it will tell.
            _ => return Ok(None),
        };
        let mut writer = retry_while_busy(name, || buffer.writer())?;
        kill_point!("server.update.writer");
        // Who swaps has the writer's role meanwhile: it stays current for as long as this has it.
        if !buffer.is_current() {
            return Ok(None);
        }
        Ok(Some(writer.assign(self)))
    }
}

impl<T: Element, D: Dimension, S: Data<Elem = T>> Publish for ArrayBase<S, D> {}
impl<T: Element, D: Dimension, S: Data<Elem = T>> sealed::Publish for ArrayBase<S, D> {
    fn create(&self, options: &Options, name: &str) -> Result<()> {
        ArrayRef::create(self, options, name)
    }

    fn update(&self, options: &Options, name: &str) -> Result<Option<u64>> {
        ArrayRef::update(self, options, name)
    }
}

impl Publish for AnyValue {}
impl sealed::Publish for AnyValue {
    fn create(&self, options: &Options, name: &str) -> Result<()> {
        with_every_type!(self, AnyValue, array => array.create(options, name))
    }

    fn update(&self, options: &Options, name: &str) -> Result<Option<u64>> {
        with_every_type!(self, AnyValue, array => array.update(options, name))
    }
}

impl DataClient {
    /// Publishes an array under a name: the next version of what has it, if that is an array of its type and shape and has no writer that
    /// stays; otherwise something new, in the place of what has the name.
    ///
    /// Whoever reads sees the array before or this one, whole. The array is copied.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::Limit`] with what is used, asked and allowed; [`ServerError::NoServer`] if no server lives that
    /// could keep it; [`ServerError::Busy`] if a writer keeps what has the name, or a process was stopped at a bad moment;
    /// [`ServerError::NotYours`]; [`ServerError::Exists`] if what has the name is not the server's to replace.
    /// [`ErrorKind::OutOfSpace`] if there is no memory.
    pub fn put<A: Publish + ?Sized>(&self, item: &str, array: &A) -> Result<Put> {
        self.publish(item, array, true, true)
    }

    /// As [`put`](Self::put), for a name that nothing has.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::Exists`] if something has it; else as for [`put`](Self::put).
    pub fn create<A: Publish + ?Sized>(&self, item: &str, array: &A) -> Result<Put> {
        self.publish(item, array, true, false)
    }

    /// As [`put`](Self::put), for a name that something has.
    ///
    /// # Errors
    ///
    /// The source is [`ServerError::NoItem`] if nothing has it; else as for [`put`](Self::put).
    pub fn update<A: Publish + ?Sized>(&self, item: &str, array: &A) -> Result<Put> {
        self.publish(item, array, false, true)
    }

    fn publish<A: Publish + ?Sized>(
        &self,
        item: &str,
        array: &A,
        may_create: bool,
        may_update: bool,
    ) -> Result<Put> {
        let name = Name::item(self.name(), item)?.to_string();
        self.with_server(|catalog| self.publish_with(catalog, item, &name, array, may_create, may_update))
    }

    fn publish_with<A: Publish + ?Sized>(
        &self,
        catalog: &Arc<Catalog>,
        item: &str,
        name: &str,
        array: &A,
        may_create: bool,
        may_update: bool,
    ) -> Result<Put> {
        let start = Instant::now();
        loop {
            if !self.has(item) {
                if !may_create {
                    return Err(self.explain(item, None));
                }
                match array.create(&self.on_terms(catalog, name, None), name) {
                    Ok(()) => return Ok(Put { version: 1, how: How::Created }),
                    // Somebody was faster.
                    Err(_) if self.has(item) && start.elapsed() < PATIENCE => continue,
                    Err(error) => return Err(error),
                }
            }
            if !may_update {
                return Err(self.exists(item));
            }
            if let Some(version) = array.update(self.options(), name)? {
                return Ok(Put { version, how: How::Updated });
            }
            if let Some(old) = self.hold_to_swap(item, name)? {
                match array.create(&self.on_terms(catalog, name, Some(&old)), name) {
                    Ok(()) => return Ok(Put { version: 1, how: How::Swapped }),
                    // Somebody was faster.
                    Err(error) if has_lost_its_name(&error, &old) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Creates a double buffer for frames of a shape. Its [writer](DoubleBuffer::writer) may be this process, or any other of this user.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    ///
    /// # Example
    ///
    /// ```
    /// use ndpool::ndarray::{Ix1, Ix2};
    /// use ndpool::server::DataServer;
    ///
    /// let server = DataServer::new("camera_example")?;
    /// let camera = server.create_double_buffer::<u8, Ix2>("front", (480, 640))?;
    /// let mut writer = camera.writer()?;
    /// writer.write(|mut frame| frame.fill(7));
    /// assert_eq!(server.array::<u8, Ix2>("front")?.read()?.array[(0, 0)], 7);
    /// # Ok::<(), ndpool::Error>(())
    /// ```
    pub fn create_double_buffer<T: Element, D: Dimension>(
        &self,
        item: &str,
        shape: impl ndarray::IntoDimension<Dim = D>,
    ) -> Result<Item<DoubleBuffer<T, D>>> {
        let shape = shape.into_dimension();
        self.create_by(item, |options, name| DoubleBuffer::create_with(options, name, shape.clone()))
    }

    pub(super) fn create_by<S: super::Structure>(
        &self,
        item: &str,
        create: impl Fn(&Options, &str) -> Result<S>,
    ) -> Result<Item<S>> {
        let name = Name::item(self.name(), item)?.to_string();
        self.with_server(|catalog| {
            if self.has(item) {
                return Err(self.exists(item));
            }
            match create(&self.on_terms(catalog, &name, None), &name) {
                Ok(structure) => Ok(Item::new(structure, self.clone(), item)),
                Err(error) if is_no_server(&error) => Err(error),
                Err(error) if error.kind() == ErrorKind::Segment && self.has(item) => Err(self.exists(item)),
                Err(error) => Err(error),
            }
        })
    }

    pub(super) fn replace_by<S: super::Structure>(
        &self,
        item: &str,
        create: impl Fn(&Options, &str) -> Result<S>,
    ) -> Result<Item<S>> {
        let name = Name::item(self.name(), item)?.to_string();
        loop {
            if !self.has(item) {
                match self.create_by(item, &create) {
                    Err(error) if is_taken(&error) => continue,
                    other => return other,
                }
            }
            let Some(old) = self.hold_to_swap(item, &name)? else { continue };
            let swap = |catalog: &_| create(&self.on_terms(catalog, &name, Some(&old)), &name);
            match self.with_server(swap) {
                Ok(structure) => return Ok(Item::new(structure, self.clone(), item)),
                Err(error) if has_lost_its_name(&error, &old) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn exists(&self, item: &str) -> Error {
        ServerError::Exists { server: self.name().to_owned(), item: item.to_owned() }.into()
    }

    /// The options under which something is published, in the place of something or of nothing.
    fn on_terms(&self, catalog: &Arc<Catalog>, name: &str, replaces: Option<&Arc<Published>>) -> Options {
        let group_read = catalog.terms().group_read;
        let (catalog, name) = (Arc::clone(catalog), name.to_owned());
        let gate = Arc::new(Admission { catalog, name, replaces: replaces.is_some() });
        let terms = Terms { gate, replaces: replaces.cloned() };
        self.options().clone().keep(true).group_read(group_read).terms(terms)
    }

    /// Takes the writer's role of what has a name and is to lose it, until dropped: whoever writes it first must not be forgotten. `None` if
    /// the name has changed hands meanwhile.
    fn hold_to_swap(&self, item: &str, name: &str) -> Result<Option<Arc<Published>>> {
        let old = match Published::attach(self.options(), &name.parse()?, Kind::ALL) {
            Ok(old) => old,
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(self.explain(item, Some(error))),
        };
        if !old.page().is_served() {
            return Err(self.exists(item));
        }
        retry_while_busy(name, || match old.try_take(Role::Writer)? {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Busy, "")),
        })?;
        kill_point!("server.swap.held");
        Ok(old.is_current().then(|| Arc::new(old)))
    }
}

/// Whether something could not be swapped because the name is no longer what it was to be taken from.
fn has_lost_its_name(error: &Error, old: &Published) -> bool {
    error.kind() == ErrorKind::Busy && !old.has_name()
}

fn is_taken(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    matches!(source, Some(ServerError::Exists { .. }))
}

/// Tries again while another process writes, which takes a moment, unless it is a writer that stays.
fn retry_while_busy<R>(name: &str, mut attempt: impl FnMut() -> Result<R>) -> Result<R> {
    /// A writer that stays does so for longer than anybody likes to wait.
    const WRITER_PATIENCE: Duration = Duration::from_secs(2);
    let taken = Naps::new(WRITER_PATIENCE).until(|| match attempt() {
        Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
        other => other.map(Some),
    })?;
    taken.ok_or_else(|| {
        let seconds = WRITER_PATIENCE.as_secs();
        ServerError::Busy { name: name.to_owned(), doing: "writes", seconds }.into()
    })
}
