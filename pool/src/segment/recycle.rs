//! The bounded list of files to be used again.
//!
//! A fresh page costs a fault of about a microsecond when it is first touched, a page that this process has mapped already costs
//! nothing. So the file of a dropped segment waits here for an owner of about its size, with its mapping.
//!
//! Bounds, so that memory comes back when arrays are dropped: at most [`MAX_FILES`] files, and at most [`MIN_BYTES`] or as much
//! as live segments hold, whichever is more. So a program that works with large arrays and replaces them in turn has them
//! recycled, keeps at most as much idle as it uses, and one that has dropped them keeps a quarter of a gigabyte. What is
//! over goes, oldest first. When space runs out, all of it goes before an error is given.

use super::layout::Kind;
use super::storage::Storage;

/// As many files as may wait; each holds a descriptor, of which a process usually has 1024.
pub(super) const MAX_FILES: usize = 64;

/// As many bytes as may wait, however little is in use.
pub(super) const MIN_BYTES: usize = 256 << 20;

/// Files without an owner, oldest first.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    files: Vec<Storage>,
    bytes: usize,
}

impl Shelf {
    /// Takes the smallest file that has room for `file_len` bytes and is at most an eighth, or 64 KiB, too long.
    pub(super) fn take(&mut self, kind: Kind, file_len: usize) -> Option<Storage> {
        let most = file_len.saturating_add((file_len / 8).max(64 << 10));
        let fits =
            |storage: &Storage| storage.kind == kind && (file_len..=most).contains(&storage.file_len());
        let candidates = self.files.iter().enumerate().filter(|(_, storage)| fits(storage));
        // Of equal ones the youngest, whose pages are the likeliest to be in a cache.
        let (best, _) = candidates.rev().min_by_key(|(_, storage)| storage.file_len())?;
        let storage = self.files.remove(best);
        self.bytes -= storage.file_len();
        Some(storage)
    }

    /// Adds a file and returns those that are over the bounds, to be dropped by a caller that holds no lock.
    pub(super) fn put(&mut self, storage: Storage, live_bytes: usize) -> Vec<Storage> {
        self.bytes += storage.file_len();
        self.files.push(storage);
        let limit = live_bytes.max(MIN_BYTES);
        let mut over = Vec::new();
        while self.files.len() > MAX_FILES || self.bytes > limit {
            let oldest = self.files.remove(0);
            self.bytes -= oldest.file_len();
            over.push(oldest);
        }
        over
    }

    /// Empties the list.
    pub(super) fn clear(&mut self) -> Vec<Storage> {
        self.bytes = 0;
        std::mem::take(&mut self.files)
    }
}
