//! What a child made by `fork` must not inherit.
//!
//! A lock of the kind that [`lock`](super::lock) takes belongs to the open file, which parent and child share after a `fork`: while
//! the child keeps the descriptor, the lock survives the parent, and its death goes unnoticed. Descriptors registered here are
//! closed in every such child before `fork` returns there. (A child made by `exec` is no concern: all our descriptors are
//! close-on-exec.)
//!
//! ```text
//!   free (-1) ── close_in_forked_child ──▶ fd ── keep_in_forked_child ──▶ free
//!                                          └── fork, in the child: closed ──▶ free
//! ```
//!
//! The handler runs in a child of what may have been a program with many threads, so it only swaps atomics and calls `close`;
//! slots are never freed.

use std::os::fd::RawFd;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

const FREE: RawFd = -1;
const SLOTS: usize = 64;

/// Slots for descriptors; when all are in use, one more block of them is hung to the last.
struct Block {
    slots: [AtomicI32; SLOTS],
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Self {
        Self { slots: [const { AtomicI32::new(FREE) }; SLOTS], next: AtomicPtr::new(ptr::null_mut()) }
    }

    fn next(&self) -> Option<&'static Self> {
        // Acquire pairs with the release in `grow`: whoever sees the block sees its slots.
        let next = self.next.load(Ordering::Acquire);
        // SAFETY: the pointer is null or was leaked from a box by `grow`, so it is valid for ever.
        unsafe { next.as_ref() }
    }

    fn grow(&self) -> &'static Self {
        let new = Box::into_raw(Box::new(Self::new()));
        match self.next.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {}
            Err(_) => {
                // SAFETY: `new` came from a box a moment ago and was not published, because the exchange failed.
                drop(unsafe { Box::from_raw(new) });
            }
        }
        self.next().expect("a block was just hung here")
    }
}

static FIRST: Block = Block::new();

/// Closes `fd` in every child made by `fork` from now on, until [`keep_in_forked_child`].
pub(crate) fn close_in_forked_child(fd: RawFd) {
    install();
    let mut block = &FIRST;
    loop {
        for slot in &block.slots {
            if slot.compare_exchange(FREE, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
        }
        block = block.next().unwrap_or_else(|| block.grow());
    }
}

/// Takes back [`close_in_forked_child`], before the descriptor is closed and its number used again.
pub(crate) fn keep_in_forked_child(fd: RawFd) {
    let mut block = Some(&FIRST);
    while let Some(here) = block {
        for slot in &here.slots {
            if slot.compare_exchange(fd, FREE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
        }
        block = here.next();
    }
}

/// The process that now creates something, to be asked about later by [`is_forked`].
pub(crate) fn owner_pid() -> u32 {
    std::process::id()
}

/// Whether this process is not the one that created something, but was forked from it.
pub(crate) fn is_forked(owner: u32) -> bool {
    owner != std::process::id()
}

/// How many forks lie between this process and the one that first registered a descriptor.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The same number as before, unless this process was forked meanwhile from the one that asked then. Of use to whoever has
/// registered a descriptor; it costs one load, where [`is_forked`] asks the system.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

unsafe extern "C" {
    // The `libc` crate does not declare it for Linux; glibc and musl both have it.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> libc::c_int;
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler is a function that lives as long as the program and has the signature that is asked for.
        let failed = unsafe { pthread_atfork(None, None, Some(close_all)) };
        assert_eq!(failed, 0, "pthread_atfork is out of memory");
    });
}

/// Runs in the child, where only this thread exists.
unsafe extern "C" fn close_all() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let mut block = Some(&FIRST);
    while let Some(here) = block {
        for slot in &here.slots {
            let fd = slot.swap(FREE, Ordering::AcqRel);
            if fd != FREE {
                // SAFETY: the descriptor was registered as one that the child must not have; its owner does nothing in a
                // child, so nobody uses or closes it again.
                unsafe { libc::close(fd) };
            }
        }
        block = here.next();
    }
}

/// Forks; the child runs `child` and ends without running anything else of the program.
#[cfg(test)]
pub(crate) fn fork_for_test(child: impl FnOnce()) -> nix::unistd::Pid {
    // SAFETY: tests call this in a process of their own, in which no other thread holds a lock that `child` wants.
    match unsafe { nix::unistd::fork() }.expect("cannot fork") {
        nix::unistd::ForkResult::Parent { child } => child,
        nix::unistd::ForkResult::Child => {
            let code = i32::from(std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).is_err());
            // SAFETY: `_exit` takes no pointers and does not return.
            unsafe { libc::_exit(code) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(fd: RawFd) -> usize {
        let mut block = Some(&FIRST);
        let mut n = 0;
        while let Some(here) = block {
            n += here.slots.iter().filter(|slot| slot.load(Ordering::Acquire) == fd).count();
            block = here.next();
        }
        n
    }

    #[test]
    fn more_descriptors_than_a_block_has_slots_are_remembered_and_forgotten() {
        // Numbers that no process has open.
        let fds = 1 << 30..(1 << 30) + 3 * SLOTS as RawFd;
        fds.clone().for_each(close_in_forked_child);
        assert!(fds.clone().all(|fd| registered(fd) == 1));
        fds.clone().for_each(keep_in_forked_child);
        assert!(fds.clone().all(|fd| registered(fd) == 0));
        keep_in_forked_child(fds.start);
    }
}
