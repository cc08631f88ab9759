//! The names of files in shared memory.
//!
//! ```text
//!   ndpool.<run id: 16 hex digits>.manifest     the run's lease
//!   ndpool.<run id: 16 hex digits>.<number>     a segment
//!   ndpool.<run id: 16 hex digits>.new.<number> not published yet, where a file system cannot do without a name
//! ```
//!
//! Only names of exactly these forms are ever taken for a run's and removed by a reaper. Published arrays
//! (`ndpool.<name>`) are not among them.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The identity of a pool's run: 64 random bits, written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(u64);

impl RunId {
    pub(crate) const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is not the 16 lower-case hexadecimal digits of a [`RunId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a run id of 16 lower-case hexadecimal digits")]
pub struct ParseRunIdError;

impl FromStr for RunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, ParseRunIdError> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.as_bytes().iter().all(is_digit) {
            return Err(ParseRunIdError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ParseRunIdError)
    }
}

/// The name of a file that belongs to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(super) run: RunId,
    pub(super) role: Role,
}

/// What the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Segment(u64),
    New(u64),
    Manifest,
}

impl Name {
    pub(super) fn new(run: RunId, role: Role) -> Self {
        Self { run, role }
    }

    /// Reads a name; `None` for every name that is not one of ours to the letter.
    pub(crate) fn parse(name: &OsStr) -> Option<Self> {
        let rest = name.to_str()?.strip_prefix("ndpool.")?;
        let (run, role) = rest.split_once('.')?;
        let role = match role.strip_prefix("new.") {
            Some(number) => Role::New(number.parse().ok()?),
            None if role == "manifest" => Role::Manifest,
            None => Role::Segment(role.parse().ok()?),
        };
        let parsed = Self { run: run.parse().ok()?, role };
        // A number can be written in several ways ("007", "+7"); only ours counts.
        (*name == *parsed.to_string()).then_some(parsed)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ndpool.{}.", self.run)?;
        match self.role {
            Role::Segment(number) => write!(f, "{number}"),
            Role::New(number) => write!(f, "new.{number}"),
            Role::Manifest => f.write_str("manifest"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let run = RunId::new(0x7f3a);
        for role in [Role::Manifest, Role::Segment(0), Role::Segment(u64::MAX), Role::New(12)] {
            let name = Name::new(run, role);
            assert_eq!(Name::parse(OsStr::new(&name.to_string())), Some(name));
        }
        assert_eq!(Name::new(run, Role::Segment(4)).to_string(), "ndpool.0000000000007f3a.4");
    }

    #[test]
    fn other_names_are_left_alone() {
        let id = "0123456789abcdef";
        for name in [
            "ndpool".to_owned(),
            "ndpool.prices".to_owned(),
            "ndpool.prices.manifest".to_owned(),
            format!("ndpool.{id}"),
            format!("ndpool.{id}."),
            format!("ndpool.{id}.manifest2"),
            format!("ndpool.{id}.007"),
            format!("ndpool.{id}.+7"),
            format!("ndpool.{id}.-7"),
            format!("ndpool.{id}.7.8"),
            format!("ndpool.{id}.new."),
            format!("ndpool.{}.7", id.to_uppercase()),
            format!("ndpool.{}.7", &id[1..]),
            format!("ndpool.+{}.7", &id[1..]),
            format!(" ndpool.{id}.7"),
            format!("ndpool.{id}.18446744073709551616"),
        ] {
            assert_eq!(Name::parse(OsStr::new(&name)), None, "{name}");
        }
    }
}
