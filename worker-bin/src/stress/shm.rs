//! A shared memory of the soak's own, small enough to be filled: a tmpfs over `/dev/shm`, seen by this process and those that it
//! starts.
//!
//! It takes a mount namespace, and, without the right to make one, a user namespace around it. Where neither is permitted,
//! shared memory is the machine's, and is not filled.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;

use super::chance::Chance;

pub const DIRECTORY: &str = "/dev/shm";
const SIZE: &str = "size=320m,mode=1777";
/// What fills it; not a name of a pool's.
const BALLAST: &str = "/dev/shm/stress-ballast";

/// Gives this process a shared memory of its own. Threads started before are left behind: there must be none.
///
/// # Errors
///
/// Why that is not permitted; nothing has changed then but, maybe, the namespace.
pub fn make_private() -> io::Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    let none: Option<&str> = None;
    // What is mounted here from now on is seen by nobody else.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), DIRECTORY, Some("tmpfs"), flags, Some(SIZE))?;
    Ok(())
}

/// Bytes that are taken.
pub fn used_bytes() -> io::Result<u64> {
    let stat = statvfs(Path::new(DIRECTORY))?;
    Ok((stat.blocks() - stat.blocks_free()) * stat.fragment_size())
}

fn free_bytes() -> io::Result<u64> {
    let stat = statvfs(Path::new(DIRECTORY))?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// Fills shared memory now and then, but for a little, and frees it.
#[derive(Debug)]
pub struct Pressure {
    chance: Chance,
    ballast: Option<File>,
    next: Instant,
    pub n_fills: u64,
}

impl Pressure {
    pub fn new(chance: Chance) -> Self {
        Self { chance, ballast: None, next: Instant::now(), n_fills: 0 }
    }

    /// Does what it is time for.
    pub fn step(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        if self.ballast.is_some() {
            self.release();
            self.next = Instant::now() + self.chance.millis(200..2_500);
        } else {
            // Sometimes nothing is left, sometimes enough for small things.
            let left = if self.chance.one_in(3) { 0 } else { self.chance.within(0..8 << 20) };
            self.fill(left);
            self.next = Instant::now() + self.chance.millis(20..400);
        }
    }

    fn fill(&mut self, left: u64) {
        let Ok(file) = File::create(BALLAST) else { return };
        let mut len = 0;
        // Piece by piece: others allocate at the same time, and a piece that is not to be had whole is not had at all.
        for piece in [8 << 20, 64 << 10, 4 << 10] {
            while free_bytes().is_ok_and(|free| free >= left + piece)
                && fallocate(&file, FallocateFlags::empty(), len, piece as i64).is_ok()
            {
                len += piece as i64;
            }
        }
        self.n_fills += u64::from(len > 0);
        self.ballast = Some(file);
    }

    /// Frees all.
    pub fn release(&mut self) {
        if self.ballast.take().is_some() {
            // Gone with its name, since nobody holds it any more.
            let _ = fs::remove_file(BALLAST);
        }
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        self.release();
    }
}
