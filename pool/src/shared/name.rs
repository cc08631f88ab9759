//! The names under which structures are found.
//!
//! ```text
//!   prices          ndpool.prices              a structure, or a server's catalog
//!   prices/close    ndpool.prices.close        what a server named `prices` keeps
//!                   ndpool.+<16 hex digits>    about to take the place of another
//! ```
//!
//! No name is one of a run's files (`segment::names`), which begin with 16 hexadecimal digits.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// Longest part of a name, in bytes.
const MAX_PART_LEN: usize = 64;

/// A name of one part or two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    first: String,
    second: Option<String>,
}

impl Name {
    /// The name of an item of a server.
    pub(crate) fn item(server: &str, item: &str) -> Result<Self> {
        format!("{server}/{item}").parse()
    }

    /// The first part: the server's name, of what a server keeps.
    pub(crate) fn first(&self) -> &str {
        &self.first
    }

    /// The second part.
    pub(crate) fn second(&self) -> Option<&str> {
        self.second.as_deref()
    }

    /// The name of the file.
    pub(crate) fn file_name(&self) -> String {
        match &self.second {
            None => format!("ndpool.{}", self.first),
            Some(second) => format!("ndpool.{}.{second}", self.first),
        }
    }

    /// Reads the name of a file; `None` for those that are none of ours.
    pub(crate) fn of_file(name: &OsStr) -> Option<Self> {
        let rest = name.to_str()?.strip_prefix("ndpool.")?;
        rest.replacen('.', "/", 1).parse().ok().filter(|_| !rest.contains('/'))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first)?;
        self.second.iter().try_for_each(|second| write!(f, "/{second}"))
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (first, second) = match text.split_once('/') {
            Some((first, second)) => (first, Some(second)),
            None => (text, None),
        };
        let is_of_a_run = first.len() == 16 && first.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_of_a_run || !is_part(first) || !second.is_none_or(is_part) {
            let message = format!("`{}` cannot be the name of a shared structure", text.escape_debug());
            return Err(Error::new(ErrorKind::InvalidArgument, message).with_hint(
                "wanted is `name` or `server/name`: letters, digits, `_` and `-`, up to 64 of them in each part, beginning with a \
                 letter or `_`, and the first not 16 hexadecimal digits",
            ));
        }
        Ok(Self { first: first.to_owned(), second: second.map(str::to_owned) })
    }
}

fn is_part(part: &str) -> bool {
    let begins = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins
        && part.len() <= MAX_PART_LEN
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The name of a file that waits to take the place of another, until it does.
pub(super) fn waiting_file_name(random: u64) -> String {
    format!("ndpool.+{random:016x}")
}

/// Whether a file has such a name.
pub(super) fn is_waiting_file_name(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_prefix("ndpool.+"));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (text, file) in [
            ("prices", "ndpool.prices"),
            ("prices/close", "ndpool.prices.close"),
            ("_a-1/Z", "ndpool._a-1.Z"),
            ("cafe", "ndpool.cafe"),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!((name.to_string().as_str(), name.file_name().as_str()), (text, file));
            assert_eq!(Name::of_file(OsStr::new(file)), Some(name));
        }
    }

    #[test]
    fn other_names_are_refused() {
        let long = "x".repeat(65);
        for text in [
            "",
            "/",
            "a/",
            "/b",
            "a/b/c",
            "1a",
            "-a",
            "a.b",
            "a b",
            "ä",
            "../a",
            "a/..",
            "a/1",
            "0123456789abcdef",
            "abcdefabcdefabcd",
            "abcdefabcdefabcd/x",
            &long,
        ] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
        for file in ["ndpool", "ndpool.", "ndpool.a.b.c", "ndpool.a/b", "prices", "ndpool.+0123456789abcdef"]
        {
            assert_eq!(Name::of_file(OsStr::new(file)), None, "{file}");
        }
        assert_eq!(Name::of_file(OsStr::new("ndpool.abcdefabcdefabcd.manifest")), None);
        assert!(is_waiting_file_name(OsStr::new(&waiting_file_name(7))));
    }
}
