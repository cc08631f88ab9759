//! The worker: looks at what is published, again and again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use num_complex::Complex;

use super::figures::{Figures, figures};
use super::metrics::describe_metrics;
use crate::error::{Error, Result};
use crate::ops::dynamic::for_every_type;
use crate::segment::DType;
use crate::server::any_frame::with_type_of;
use crate::server::{AnyReader, DataClient, Item, ItemInfo, ServerError, State};
use crate::shared::{Column, Event, Kind, SharedFrame};

/// A worker that computes [`Figures`] of everything that a data server publishes, without copying it.
///
/// Each [`pass`](Self::pass) looks once at every array, double buffer and frame, column by column. What has the version that it had
/// in the pass before is not computed again; what was replaced is attached anew; what is new is found, and what was removed
/// forgotten. A server that ends and comes again is as if it had removed and created its items.
///
/// [`run`](Self::run) does so every interval, publishes [metrics](super), and stops on an [`Event`]. A worker is a process of its
/// own, a thread, or a task of a pool:
///
/// ```
/// use ndpool::server::{Analytics, DataClient, DataServer};
/// use ndpool::shared::Event;
/// use ndpool::{Pool, task};
/// use std::time::Duration;
///
/// /// Looks at a server ten times a second until it is told to stop; returns how often it did.
/// #[task]
/// fn analyse(server: &str, stop: &str) -> ndpool::Result<u64> {
///     let stop = Event::attach(stop)?;
///     Analytics::new(DataClient::connect(server)?).run(Duration::from_millis(100), &stop, |_| ())
/// }
///
/// ndpool::init();
/// # let (server, stop) = (format!("task-{}", std::process::id()), format!("task-stop-{}", std::process::id()));
/// # let (server, stop) = (server.as_str(), stop.as_str());
/// let prices = DataServer::builder(server).start()?;
/// prices.put("close", &ndpool::ndarray::array![1.0, 2.0, 6.0])?;
/// let event = Event::create(stop)?;
///
/// let pool = Pool::builder().workers(1).build()?;
/// let job = pool.submit(analyse(server, stop))?;
/// event.set(); // wakes it at once
/// assert!(job.join()? > 0);
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Debug)]
pub struct Analytics {
    client: DataClient,
    only: Option<String>,
    attached: BTreeMap<String, Attached>,
}

/// An item that was looked at.
#[derive(Debug)]
struct Attached {
    item: Held,
    /// What was seen last.
    seen: Vec<Seen>,
}

#[derive(Debug)]
enum Held {
    Array(Item<AnyReader>),
    Frame(Item<SharedFrame>),
}

/// An array, a matrix or a column of a frame, as it was seen.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Seen {
    /// The item.
    pub item: String,
    /// The column, of a frame that has named columns.
    pub column: Option<String>,
    /// The version; 0 if nothing was written yet.
    pub version: u64,
    /// When that version was written.
    pub written: Option<SystemTime>,
    /// Type of the elements.
    pub dtype: DType,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// The figures; `None` if there are no elements, or nothing was written yet.
    pub figures: Option<Figures>,
}

/// What one look at everything has found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pass {
    /// The server.
    pub server: String,
    /// Whether it lives.
    pub is_alive: bool,
    /// What was seen, by item and column.
    pub seen: Vec<Seen>,
    /// Number of items whose figures were computed; those of the others are those of the pass before.
    pub n_computed: usize,
    /// Items that could not be looked at, and why.
    pub failed: Vec<(String, Error)>,
    /// How long it took.
    pub took: Duration,
}

impl Analytics {
    /// A worker that looks at all items of a server.
    pub fn new(client: DataClient) -> Self {
        Self { client, only: None, attached: BTreeMap::new() }
    }

    /// Looks at this item only. It may not be there yet.
    #[must_use]
    pub fn only(mut self, item: impl Into<String>) -> Self {
        self.only = Some(item.into());
        self
    }

    /// The client through which it looks.
    pub fn client(&self) -> &DataClient {
        &self.client
    }

    /// Looks at everything once.
    ///
    /// # Errors
    ///
    /// If the server's directory cannot be read, or the system refuses to show what is in it, for want of descriptors for instance. That
    /// there is no server, or that an item cannot be read, is said in the [`Pass`].
    pub fn pass(&mut self) -> Result<Pass> {
        let start = Instant::now();
        let (is_alive, infos) = match self.client.items() {
            Ok(infos) => (self.client.is_alive(), infos),
            Err(error) if is_gone(&error) => (false, Vec::new()),
            Err(error) => return Err(error),
        };
        let wanted = |info: &&ItemInfo| self.only.as_ref().is_none_or(|only| *only == info.name);
        let mut attached = std::mem::take(&mut self.attached);
        let (mut seen, mut failed, mut n_computed) = (Vec::new(), Vec::new(), 0);
        for info in infos.iter().filter(wanted) {
            match self.look(info, attached.remove(&info.name)) {
                Ok(Some((now, is_new))) => {
                    n_computed += usize::from(is_new);
                    seen.extend(now.seen.iter().cloned());
                    self.attached.insert(info.name.clone(), now);
                }
                Ok(None) => {}
                // It was removed since the list was made.
                Err(error) if is_gone(&error) => {}
                Err(error) => failed.push((info.name.clone(), error)),
            }
        }
        let (server, took) = (self.client.name().to_owned(), start.elapsed());
        Ok(Pass { server, is_alive, seen, n_computed, failed, took })
    }

    /// Looks at everything every interval, publishes the metrics, and calls `each`, until the event is set. Returns the number of
    /// passes, of which there is one at least.
    ///
    /// Between passes it sleeps on the event, so that it stops at once. Passes begin at whole intervals from the first one on; those
    /// that fall into a pass that takes longer are left out.
    ///
    /// # Errors
    ///
    /// As for [`pass`](Self::pass).
    ///
    /// # Panics
    ///
    /// If `every` is zero.
    pub fn run(&mut self, every: Duration, stop: &Event, mut each: impl FnMut(&Pass)) -> Result<u64> {
        assert!(!every.is_zero(), "an interval of no length");
        describe_metrics();
        let start = Instant::now();
        let mut n_passes = 0;
        loop {
            let pass = self.pass()?;
            pass.publish();
            each(&pass);
            n_passes += 1;
            if stop.wait_timeout(until_next(start.elapsed(), every)) {
                return Ok(n_passes);
            }
        }
    }

    /// Looks at one item, which may have been attached before; says whether its figures are new. `None` if it is of no kind that has any.
    fn look(&self, info: &ItemInfo, attached: Option<Attached>) -> Result<Option<(Attached, bool)>> {
        let is_current = |held: &Attached| match &held.item {
            Held::Array(item) => item.state() == State::Current,
            Held::Frame(item) => item.state() == State::Current,
        };
        let mut attached = match attached.filter(is_current) {
            Some(attached) => attached,
            None => {
                let item = match info.file.kind {
                    Kind::DoubleBuffer => Held::Array(self.client.any_array(&info.name)?),
                    Kind::Frame | Kind::Matrix => Held::Frame(self.client.frame(&info.name)?),
                    _ => return Ok(None),
                };
                Attached { item, seen: Vec::new() }
            }
        };
        let version = match &attached.item {
            Held::Array(item) => item.version(),
            Held::Frame(item) => item.version(),
        };
        let is_new = attached.seen.first().is_none_or(|seen| seen.version != version);
        if is_new {
            attached.seen = match &mut attached.item {
                Held::Array(item) => vec![see_array(info, &mut *item)?],
                Held::Frame(item) => see_frame(info, item)?,
            };
        } else {
            // The list is older than the look: a version that came between them was seen with the time of the one before.
            attached.seen.iter_mut().for_each(|seen| seen.written = info.changed);
        }
        Ok(Some((attached, is_new)))
    }
}

macro_rules! see_array {
    ($($variant:ident($t:ty)),*) => {
        /// An array, without a copy if it can be lent.
        fn see_array(info: &ItemInfo, reader: &mut AnyReader) -> Result<Seen> {
            let (version, figures) = match reader {
                $(AnyReader::$variant(_, reader) => {
                    let figures = reader.read_with(|view| figures(view))?;
                    (reader.number(), figures)
                })*
            };
            Ok(Seen {
                item: info.name.clone(),
                column: None,
                version,
                written: info.changed,
                dtype: reader.dtype(),
                shape: reader.shape().to_vec(),
                // Before the first version there are zeros.
                figures: figures.filter(|_| version != 0),
            })
        }
    };
}
for_every_type!(see_array);

/// All columns of one version.
fn see_frame(info: &ItemInfo, item: &Item<SharedFrame>) -> Result<Vec<Seen>> {
    let schema = item.schema();
    item.read(|snapshot| {
        let seen = |column: Option<&str>, dtype, shape: &[usize], figures| Seen {
            item: info.name.clone(),
            column: column.map(String::from),
            version: snapshot.version(),
            written: info.changed,
            dtype,
            shape: shape.to_vec(),
            figures,
        };
        if let Some(dtype) = schema.matrix_dtype() {
            let figures = with_type_of!(dtype, T => figures(snapshot.matrix::<T>()?));
            return Ok(vec![seen(None, dtype, &[schema.n_rows(), schema.n_cols()], figures)]);
        }
        let see = |column: &Column| {
            let (name, dtype) = (column.name(), column.dtype());
            let figures = with_type_of!(dtype, T => figures(snapshot.column::<T>(name)?));
            Ok(seen(Some(name), dtype, &[schema.n_rows()], figures))
        };
        schema.columns().iter().map(see).collect()
    })
}

/// Whether an error says that there is no such server or item.
fn is_gone(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<ServerError>());
    matches!(source, Some(ServerError::NoServer { .. } | ServerError::NoItem { .. }))
}

/// Time from `elapsed` to the next whole interval.
///
/// # Panics
///
/// If `every` is zero.
pub fn until_next(elapsed: Duration, every: Duration) -> Duration {
    let into = elapsed.as_nanos() % every.as_nanos();
    every - Duration::from_nanos(u64::try_from(into).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::DataServer;

    #[test]
    fn a_version_that_is_newer_than_the_list_gets_its_own_time_with_the_next() {
        let server = DataServer::new(&format!("analytics-time-{}", std::process::id())).unwrap();
        server.put("x", &ndarray::array![1.0]).unwrap();
        let worker = Analytics::new(server.client().clone());
        let before = server.info("x").unwrap();
        let after = loop {
            server.put("x", &ndarray::array![2.0]).unwrap();
            let after = server.info("x").unwrap();
            // Times are those of the kernel's ticks.
            if after.changed != before.changed {
                break after;
            }
        };
        let (held, _) = worker.look(&before, None).unwrap().unwrap();
        assert_eq!(held.seen[0].version, after.file.version);
        let (held, is_new) = worker.look(&after, Some(held)).unwrap().unwrap();
        assert_eq!((held.seen[0].written, is_new), (after.changed, false));
    }

    #[test]
    fn passes_begin_at_whole_intervals() {
        let ms = Duration::from_millis;
        for (elapsed, left) in [(0, 100), (1, 99), (99, 1), (100, 100), (250, 50)] {
            assert_eq!(until_next(ms(elapsed), ms(100)), ms(left));
        }
    }
}
