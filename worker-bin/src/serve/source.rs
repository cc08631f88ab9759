//! A file, the item that it is published as, and what was published last.

use std::io;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use ndpool::ops::dynamic::AnyValue;
use ndpool::server::DataServer;

use super::quiet::{Quiet, Stamp};
use crate::args::usage;
use crate::exchange::{how, stem, unfit_name};
use crate::failure::Failure;
use crate::output::shape_text;

/// A file that is published.
#[derive(Debug)]
pub struct Source {
    item: String,
    path: PathBuf,
    /// The state of the file that was published, or could not be.
    seen: Option<Stamp>,
    /// Whether the user knows that somebody else writes the item.
    told_busy: bool,
}

/// What has become of a file.
#[derive(Debug)]
pub enum State {
    /// It is the next version; a line that says so.
    Published(String),
    /// It is as it was, or is not there.
    Unchanged,
    /// Somebody is writing it, or the item; what is to be told of that, once.
    Busy(Option<Failure>),
}

impl Source {
    /// Sources from arguments of the form `FILE.npy` or `ITEM=FILE.npy`.
    pub fn all(arguments: &[String]) -> Result<Vec<Self>, Failure> {
        let mut sources: Vec<Self> = Vec::new();
        for argument in arguments {
            let (item, path) = item_and_path(argument);
            if let Some(other) = sources.iter().find(|other| other.item == item) {
                let (this, other) = (path.display(), other.path.display());
                let message = format!("{other} and {this} are both item `{item}`: say ITEM={this}");
                return Err(Failure::Usage(usage("serve", ErrorKind::ArgumentConflict, message)));
            }
            sources.push(Self { item, path: path.into(), seen: None, told_busy: false });
        }
        Ok(sources)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Publishes the file if it has changed since.
    ///
    /// A file that cannot be published is tried again when it has changed.
    pub fn publish(&mut self, server: &DataServer) -> Result<State, Failure> {
        match (Stamp::now(&self.path), self.seen) {
            (Ok(now), Some(seen)) if now == seen => return Ok(State::Unchanged),
            // It goes and comes again when it is replaced by hand.
            (Err(error), Some(_)) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Unchanged),
            _ => {}
        }
        let failed = |error| Failure::File(self.path.clone(), error);
        let Some(quiet) = Quiet::open(&self.path).map_err(failed)? else { return Ok(State::Busy(None)) };
        let known_as = quiet.path();
        let loaded = AnyValue::load_npy(&known_as);
        let Some(stamp) = quiet.close().map_err(failed)? else { return Ok(State::Busy(None)) };
        let before = self.seen.replace(stamp);
        let array = loaded.map_err(|error| Failure::Named { path: self.path.clone(), known_as, error })?;
        let put = match server.put(&self.item, &array) {
            Ok(put) => put,
            Err(error) if error.kind() == ndpool::ErrorKind::Busy => {
                // The file will not change once more for that.
                self.seen = before;
                let is_told = std::mem::replace(&mut self.told_busy, true);
                return Ok(State::Busy((!is_told).then(|| error.into())));
            }
            Err(error) => return Err(unfit_name(error, &self.path, &self.item, "ITEM=FILE.npy")),
        };
        self.told_busy = false;
        let name = format!("{}/{}", server.name(), self.item);
        let what = format!("{} {}", shape_text(array.shape()), array.dtype());
        Ok(State::Published(format!("{} {name}: version {}, {what}", how(put.how), put.version)))
    }
}

/// `ITEM=FILE.npy`, or a file whose name without the ending is the item's.
fn item_and_path(argument: &str) -> (String, &Path) {
    match argument.split_once('=') {
        Some((item, path)) if !item.contains('/') => (item.to_owned(), Path::new(path)),
        _ => (stem(Path::new(argument)), Path::new(argument)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_named_by_their_files_or_by_hand() {
        for (argument, item, path) in [
            ("data/close.npy", "close", "data/close.npy"),
            ("last=data/close-1.npy", "last", "data/close-1.npy"),
            ("a/b=c/close.npy", "close", "a/b=c/close.npy"),
            ("close.npy", "close", "close.npy"),
        ] {
            assert_eq!(item_and_path(argument), (item.to_owned(), Path::new(path)));
        }
    }

    #[test]
    fn two_files_cannot_be_one_item() {
        let error = Source::all(&["a/x.npy".into(), "b/x.npy".into()]).unwrap_err();
        assert!(error.to_string().contains("item `x`"), "{error}");
    }
}
