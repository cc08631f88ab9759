//! What a process can be to a file: locks on bytes far beyond its end, which the kernel drops when the process ends, however it ends.
//!
//! All who use a file share the lock that says so; each of the others is one process's at a time. Seats are numbers for handles, to be
//! written into words of shared memory, and known to be dead when their lock is free.

/// Highest number of a seat; 0 is nobody's.
pub(crate) const LAST_SEAT: u16 = 4095;

/// What a process can be to a file, each a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Uses it; shared.
    Attached,
    /// Takes its name away, or gives it to another file.
    Name,
    /// Writes versions.
    Writer,
    /// Serves.
    Server,
    /// Changes what a server has.
    Catalog,
    /// Has this number.
    Seat(u16),
}

impl Role {
    /// The byte that is locked.
    pub(super) fn byte(self) -> u64 {
        const BASE: u64 = 1 << 40;
        match self {
            Self::Attached => BASE,
            Self::Name => BASE + 1,
            Self::Writer => BASE + 2,
            Self::Server => BASE + 3,
            Self::Catalog => BASE + 4,
            Self::Seat(number) => BASE + 4096 + u64::from(number),
        }
    }
}
