//! What can go wrong between a server, its clients and what is published.

use std::io;

use crate::DType;
use crate::error::{Error, ErrorKind};
use crate::shared::{is_none_of_ours, with_article};

/// Most names that a message lists.
const SHOWN_NAMES: usize = 8;

/// Why a server or a client cannot do what it was asked for; the [source](std::error::Error::source) of the
/// [`Error`].
///
/// # Example
///
/// ```
/// use ndpool::server::{DataClient, ServerError};
/// use std::error::Error as _;
///
/// let error = DataClient::connect("no_such_server").unwrap_err();
/// let source = error.source().and_then(|source| source.downcast_ref::<ServerError>());
/// assert!(matches!(source, Some(ServerError::NoServer { name, .. }) if name == "no_such_server"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No server has the name, and nothing is left of one.
    #[error("there is no server `{name}`")]
    NoServer {
        /// The name.
        name: String,
        /// Servers that there are.
        there: Vec<String>,
    },
    /// A living server has the name.
    #[error("there is a server `{name}` already, process {pid}")]
    Taken {
        /// The name.
        name: String,
        /// Its process, in its own namespace.
        pid: u32,
    },
    /// Nothing is published under the name.
    #[error("server `{server}` has no item `{item}`")]
    NoItem {
        /// The server.
        server: String,
        /// The item.
        item: String,
        /// Items that there are.
        there: Vec<String>,
    },
    /// Something is published under the name.
    #[error("server `{server}` has an item `{item}` already")]
    Exists {
        /// The server.
        server: String,
        /// The item.
        item: String,
    },
    /// The item is another kind of structure.
    #[error("`{name}` is {}, wanted {}", with_article(.found), with_article(.wanted))]
    WrongKind {
        /// The item, as `server/item`.
        name: String,
        /// What it is.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The elements have another type.
    #[error("`{name}` has elements of type {found}, wanted {wanted}")]
    WrongDType {
        /// The item, as `server/item`.
        name: String,
        /// The type that it has.
        found: DType,
        /// The type that was asked for.
        wanted: DType,
    },
    /// The array has another number of axes.
    #[error("`{name}` has {} axes, shape {shape:?}, wanted {wanted}", .shape.len())]
    WrongRank {
        /// The item, as `server/item`.
        name: String,
        /// The shape that it has.
        shape: Vec<usize>,
        /// The number of axes that was asked for.
        wanted: usize,
    },
    /// The array has other lengths.
    #[error("`{name}` has shape {shape:?}, wanted {wanted:?}")]
    WrongShape {
        /// The item, as `server/item`.
        name: String,
        /// The shape that it has.
        shape: Vec<usize>,
        /// The shape that was asked for.
        wanted: Vec<usize>,
    },
    /// The server may not hold so much, or so many.
    #[error("server `{server}` holds {used} {what}; {asked} more are asked for, and {allowed} are allowed")]
    Limit {
        /// The server.
        server: String,
        /// What there would be too much of: `bytes` or `items`.
        what: &'static str,
        /// What there is, without what is to be replaced.
        used: u64,
        /// What would come to it.
        asked: u64,
        /// What there may be.
        allowed: u64,
    },
    /// The file's mode does not let this user do that.
    #[error("user {user} may not {doing} `{name}`: it belongs to user {owner}, mode {mode:03o}")]
    NotYours {
        /// The server, or the item as `server/item`.
        name: String,
        /// `read` or `write`.
        doing: &'static str,
        /// This user.
        user: u32,
        /// The user whose it is.
        owner: u32,
        /// Permission bits of the file.
        mode: u32,
    },
    /// Another process is at it, and does not come to an end: it works on, or was stopped.
    #[error("another process {doing} `{name}`, for more than {seconds} s")]
    Busy {
        /// The server, or the item as `server/item`.
        name: String,
        /// What it does.
        doing: &'static str,
        /// How long was waited.
        seconds: u64,
    },
}

impl ServerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Limit { .. } => ErrorKind::OutOfSpace,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::WrongDType { .. } | Self::WrongRank { .. } | Self::WrongShape { .. } => ErrorKind::Shape,
            _ => ErrorKind::Segment,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NoServer { there, .. } if there.is_empty() => {
                "there is none at all: start one with `ndpool serve --name NAME FILE.npy` or `DataServer`".into()
            }
            Self::NoServer { there, .. } => listed(there),
            Self::NoItem { there, .. } if there.is_empty() => "it has none at all".into(),
            Self::NoItem { there, .. } => listed(there),
            Self::Taken { .. } => "choose another name, connect to it as a client, or end that process".into(),
            Self::Exists { .. } => "`put` or `update` changes what is there, `remove` takes it away".into(),
            Self::WrongKind { .. } => "`DataClient::info` tells what an item is".into(),
            Self::WrongDType { found, .. } => {
                format!("ask for elements of type {found}, or use `DataClient::any_array`")
            }
            Self::WrongRank { .. } => "ask for that number of axes, or for `IxDyn`".into(),
            Self::WrongShape { .. } => "ask for that shape, or for any with `DataClient::array`".into(),
            Self::Limit { .. } => {
                "remove something, or start the server with a higher `ServerBuilder::max_bytes` or `max_items`".into()
            }
            Self::NotYours { doing: "write", .. } => {
                "only the user whose server it is may write; attach for reading with `Options::read_only`".into()
            }
            Self::NotYours { .. } => {
                "its user can let members of his group read: `ServerBuilder::group_read`; say whose it is with `Options::owner`"
                    .into()
            }
            Self::Busy { .. } => "end that process, or let it come to an end, and try again".into(),
        }
    }
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().take(SHOWN_NAMES).map(|name| format!("`{name}`")).collect();
    let more = match names.len().saturating_sub(SHOWN_NAMES) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("there {verb} {}{more}", quoted.join(", "))
}

/// Whether an error is that a file was not there: what has the name by now is another question.
pub(super) fn is_not_found(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
}

/// Whether an error is that no server has the name, or none has it any more.
pub(super) fn is_no_server(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    matches!(source, Some(ServerError::NoServer { .. }))
}

/// Whether an error is that what was to be attached is gone, or nothing that this can attach to; and not that the system refuses just now.
pub(super) fn is_of_another(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    matches!(error.kind(), ErrorKind::Segment | ErrorKind::Npy | ErrorKind::Shape)
        && source.is_none_or(is_none_of_ours)
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Self::new(error.kind(), error.to_string()).with_hint(error.hint()).with_source(error)
    }
}
