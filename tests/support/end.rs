use serde::{Deserialize, Serialize};
use std::hint::black_box;

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum End {
    Well,
    NullPointer,
    WildPointer,
    ShortFile,
    /// A page of a mapped file that somebody has cut off.
    CutFile,
    NoSuchInstruction,
    DivideByZero,
    Abort,
    StackOverflow,
    Panic,
    PanicWithNumber,
    /// A payload that panics when it is dropped.
    PanicWithGrudge,
    DoublePanic,
    Alarm,
    Trap,
    Raise(i32),
    Exit(i32),
}

impl End {
    /// Ends the caller so; returns from [`End::Well`] alone, and from signals that are survived.
    pub fn happen(self) {
        match self {
            Self::Well => {}
            Self::NullPointer => write_to(std::ptr::null_mut()),
            // Beyond the half of the address space that processes have.
            Self::WildPointer => write_to(std::ptr::without_provenance_mut(0xdead_beef_dead_beef)),
            Self::ShortFile => {
                let file =
                    nix::sys::memfd::memfd_create("short", nix::sys::memfd::MFdFlags::empty()).unwrap();
                // SAFETY: a new mapping at a place of the kernel's choice. It has no memory behind it, which is the point.
                let start = unsafe {
                    let (length, protection) = (4096, libc::PROT_READ | libc::PROT_WRITE);
                    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
                    libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd, 0)
                };
                write_to(start.cast());
            }
            Self::CutFile => touch_what_was_cut_off(),
            Self::NoSuchInstruction => no_such_instruction(),
            Self::DivideByZero => divide_by_zero(),
            Self::Abort => std::process::abort(),
            Self::StackOverflow => {
                black_box(overflow(0));
            }
            Self::Panic => panic!("the answer is {}", 42),
            Self::PanicWithNumber => std::panic::panic_any(17_u8),
            Self::PanicWithGrudge => std::panic::panic_any(Grudge("not even dropped in peace")),
            Self::DoublePanic => {
                let _grudge = Grudge("the second panic");
                panic!("the first panic");
            }
            Self::Alarm => alarm(),
            Self::Trap => trap(),
            Self::Raise(number) => nix::sys::signal::raise(number.try_into().unwrap()).unwrap(),
            Self::Exit(code) => std::process::exit(code),
        }
    }
}

/// Panics with this text when it is dropped.
#[derive(Debug)]
pub struct Grudge(pub &'static str);

impl Drop for Grudge {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

fn write_to(place: *mut u8) {
    // SAFETY: there is none: this is the native code with a bug that a pool is for. The process dies here.
    unsafe { libc::memset(black_box(place).cast(), 1, 1) };
}

fn touch_what_was_cut_off() {
    let path = std::env::temp_dir().join(format!("ndpool-cut.{}", std::process::id()));
    let file =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.set_len(8192).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: a new mapping, wherever there is room.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), 8192, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    file.set_len(0).unwrap();
    // SAFETY: there is none: the page is gone, and the process dies here.
    black_box(unsafe { start.cast::<u8>().read_volatile() });
}

fn no_such_instruction() {
    // SAFETY: the instruction is defined to be undefined: it raises SIGILL and does nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("ud2");
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("udf #0");
    }
}

fn divide_by_zero() {
    // SAFETY: division by zero raises SIGFPE, which is the point; the registers it changes are declared.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("div {0}", in(reg) 0_u64, inout("rax") 1_u64 => _, inout("rdx") 0_u64 => _);
    }
    // Other processors divide by zero and go on.
    #[cfg(not(target_arch = "x86_64"))]
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGFPE).unwrap();
}

/// Has a timer of the kernel strike, once, and waits for it: it may strike in any thread.
fn alarm() {
    let soon = libc::timeval { tv_sec: 0, tv_usec: 1 };
    let once = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: soon };
    // SAFETY: the time is read from memory of its type, and none is asked for.
    let result = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const once, std::ptr::null_mut()) };
    assert_eq!(result, 0);
    loop {
        // SAFETY: takes no arguments.
        unsafe { libc::pause() };
    }
}

/// A breakpoint that no debugger has set: execution goes on after it.
fn trap() {
    // SAFETY: the instruction raises SIGTRAP and does nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("int3");
    }
    // Elsewhere execution may come back to the instruction.
    #[cfg(not(target_arch = "x86_64"))]
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGTRAP).unwrap();
}

/// Overflows the stack, whichever it is.
#[expect(unconditional_recursion, reason = "to overflow the stack")]
pub fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 512]);
    overflow(depth + 1) + room[7]
}
