//! Processes: watching, signalling and waiting for them without ever naming one that is gone.
//!
//! A process identifier may be reused as soon as its process was waited for, so a signal goes through a pidfd,
//! or to the group of a process that has ended and was not waited for yet.

use super::kill_point;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A process that is watched: readable once it has ended, and never another process.
#[derive(Debug)]
pub(crate) struct ProcessHandle {
    pidfd: OwnedFd,
    pid: u32,
}

/// How a process ended, as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    Signal {
        number: i32,
        core_dumped: bool,
    },
    /// Somebody else waited for it, or `SIGCHLD` is ignored.
    Unknown,
}

impl ProcessHandle {
    /// A handle of the process that has this identifier now.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is none; the errors of `pidfd_open(2)`.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: `pidfd_open` takes two integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::pid_t::try_from(pid).unwrap_or(-1), 0) };
        let fd = Errno::result(fd)?;
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the call has just made this descriptor, and nobody else has it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { pidfd, pid })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The descriptor to poll: readable once the process has ended.
    pub(crate) fn as_poll_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Sends a signal to the process, if it has not ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: the descriptor is open, and a null `siginfo` is allowed: the kernel fills one in.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal as i32,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match Errno::result(result) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        wait_readable(&[self.as_poll_fd()], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
    }

    /// Waits for a child that has ended, after everything in its process group was killed; tells how it ended, and the
    /// most bytes that it had resident, if the kernel says so.
    ///
    /// The child is the leader of its group. While it is a zombie its identifier, and so the group's, cannot be
    /// reused: that is when the group is signalled.
    pub(crate) fn bury(&self) -> (Ended, Option<u64>) {
        let fd = || Id::PIDFd(self.pidfd.as_fd());
        let is_zombie = loop {
            match waitid(fd(), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Err(Errno::EINTR) => {}
                // Any other error is of nix alone, which knows no real-time signals: one has ended the process.
                result => break result != Err(Errno::ECHILD),
            }
        };
        if is_zombie {
            let leader = Pid::from_raw(self.pid.cast_signed());
            // ESRCH: nobody else was in the group.
            kill_point!("bury.zombie");
            let _ = kill(Pid::from_raw(-leader.as_raw()), Signal::SIGKILL);
            kill_point!("bury.group_killed");
        }
        self.reap()
    }

    /// The last wait. Made by hand: the call of the C library has no resource usage, and nix knows no real-time signals.
    fn reap(&self) -> (Ended, Option<u64>) {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        let result = loop {
            // SAFETY: the descriptor is open; the kernel writes a `siginfo` and a `rusage`, to memory of their types.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_waitid,
                    libc::P_PIDFD,
                    self.pidfd.as_raw_fd(),
                    info.as_mut_ptr(),
                    libc::WEXITED,
                    usage.as_mut_ptr(),
                )
            };
            match Errno::result(result) {
                Err(Errno::EINTR) => {}
                result => break result,
            }
        };
        if result.is_err() {
            return (Ended::Unknown, None);
        }
        // SAFETY: any bytes are a `siginfo`, zeroed ones too, and the kernel has written it.
        let info = unsafe { info.assume_init() };
        // SAFETY: any bytes are a `rusage`, zeroed ones too, and the kernel has written it.
        let usage = unsafe { usage.assume_init() };
        // SAFETY: a successful wait fills in the fields of SIGCHLD.
        let status = unsafe { info.si_status() };
        let ended = match info.si_code {
            libc::CLD_EXITED => Ended::Code(status),
            code @ (libc::CLD_KILLED | libc::CLD_DUMPED) => {
                Ended::Signal { number: status, core_dumped: code == libc::CLD_DUMPED }
            }
            _ => Ended::Unknown,
        };
        (ended, u64::try_from(usage.ru_maxrss).ok().map(|kib| kib << 10))
    }
}

/// The most bytes that this process has had resident, itself or one that it was started by.
pub(crate) fn peak_resident_bytes() -> Option<u64> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).ok()?;
    u64::try_from(usage.max_rss()).ok().map(|kib| kib << 10)
}

/// Waits until one of the descriptors can be read, was closed at the other end or failed, or the time is over;
/// tells which.
pub(crate) fn wait_readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<_> = fds.iter().map(|&fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Rounded up, so that a caller with a deadline does not spin through the last millisecond.
    let millis = |limit: Duration| limit.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
    let timeout = match timeout {
        None => PollTimeout::NONE,
        Some(limit) => PollTimeout::try_from(millis(limit)).unwrap_or(PollTimeout::MAX),
    };
    match nix::poll::poll(&mut polled, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(vec![false; fds.len()]),
        Err(error) => return Err(error.into()),
    }
    Ok(polled.iter().map(|fd| fd.any().unwrap_or(false)).collect())
}

/// Has the kernel send this process `SIGCONT` when the thread that started it ends, so that a stopped worker
/// wakes up and finds its supervisor gone.
pub(crate) fn resume_when_parent_ends() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGCONT)?)
}

/// Gives this process a name for `ps` and `top`; at most 15 bytes are kept.
pub(crate) fn set_process_name(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        // Only an unmapped pointer can make it fail.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Gives this process as many descriptors and as much memory as it may have.
pub(crate) fn lift_soft_limits() {
    for resource in [Resource::RLIMIT_NOFILE, Resource::RLIMIT_AS, Resource::RLIMIT_DATA] {
        // Whoever may not raise a limit goes on with what there is.
        let _ = getrlimit(resource).and_then(|(_, hard)| setrlimit(resource, hard, hard));
    }
}

/// Has the kernel prefer this process over its parent when memory runs out: a worker is replaced, a supervisor is not.
pub(crate) fn offer_to_die_first() {
    // Only a process that may not even raise its own score is refused; it is then as likely as its parent.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}

/// Closes the descriptors that this process inherited by accident: those beyond the standard three that are not
/// close-on-exec. What this process has opened itself is, as Rust and the C library open it.
pub(crate) fn close_inherited_descriptors() {
    // Without /proc they stay open; they cost their memory, and keep pipes of others open.
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd > 2)
        .collect();
    for fd in numbers {
        // SAFETY: asking for a descriptor's flags changes nothing, whether it is open or not.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
            // SAFETY: a descriptor without the flag came through `exec`: nothing in this process owns it.
            unsafe { libc::close(fd) };
        }
    }
}

/// Ends this process and all others of its group at once.
pub(crate) fn kill_own_group() -> ! {
    let _ = kill(Pid::from_raw(0), Signal::SIGKILL);
    // A signal to oneself is delivered before the call returns; this is for a system that does otherwise.
    std::process::abort();
}

/// Restricts this process to one processor.
pub(crate) fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    let mut set = nix::sched::CpuSet::new();
    set.set(cpu)?;
    Ok(nix::sched::sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// The processors that this process may use.
pub(crate) fn usable_cpus() -> Vec<usize> {
    let Ok(set) = nix::sched::sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..nix::sched::CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect()
}

/// A descriptor by which one thread wakes another out of a poll.
#[derive(Debug)]
pub(crate) struct Wakeup(nix::sys::eventfd::EventFd);

impl Wakeup {
    pub(crate) fn new() -> io::Result<Self> {
        use nix::sys::eventfd::{EfdFlags, EventFd};
        Ok(Self(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?))
    }

    pub(crate) fn wake(&self) {
        // Only an overflow of the counter can make it fail, and then the other thread is awake.
        let _ = self.0.write(1);
    }

    pub(crate) fn clear(&self) {
        let _ = self.0.read();
    }

    pub(crate) fn as_poll_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
