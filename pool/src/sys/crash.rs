//! The signal that ends a worker: what the kernel tells of it, noted by a handler before the process dies of it.
//!
//! How a process ended, the kernel tells whoever waits for it: a number. What only the process itself is told is the rest: the
//! address of a bad access, whether it was an access at all, and who sent the signal. The handler passes that on, then lets the
//! signal do what it would have done without it:
//!
//! - a handler that was there before (Rust's own, which tells stack overflows; a crash reporter's) is put back and called;
//! - if the default action is what remains, a bad access or instruction strikes again by itself when the handler returns,
//!   with its address for a core dump; every other signal is sent once more. Those that a process sent are among these, and
//!   those that the kernel makes without coming back to the instruction: of a timer, of the limit on processor time, of a
//!   breakpoint, of a forbidden system call.
//!
//! `SIGKILL` and `SIGSTOP` reach no handler, and of them the kernel tells nobody anything.

use super::signal::disposition;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a handler was told of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignalNote {
    pub(crate) number: i32,
    /// `si_code`: above zero the kernel's own reason, else how the signal was sent.
    pub(crate) code: i32,
    /// The address of a fault; zero for a signal that was sent.
    pub(crate) address: u64,
    /// The stack pointer where the signal struck; zero where this is not known.
    pub(crate) stack: u64,
    /// Who sent it; zero for a fault, and for a process outside of this one's PID namespace.
    pub(crate) sender_pid: u32,
    pub(crate) sender_uid: u32,
    /// The sender's name as the kernel keeps it: at most 15 bytes, then zeros.
    pub(crate) sender_name: [u64; 2],
}

impl SignalNote {
    /// Whether a process sent the signal, with `kill` or `raise` or the like.
    pub(crate) fn was_sent(&self) -> bool {
        matches!(self.code, libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE)
    }

    /// The name of the sender, if it was found.
    pub(crate) fn sender_name(&self) -> Option<String> {
        let bytes: Vec<u8> = self.sender_name.iter().flat_map(|word| word.to_le_bytes()).collect();
        let name = bytes.split(|&byte| byte == 0 || byte == b'\n').next()?;
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    }

    /// Whether the fault lies where a stack that grows too large meets its guard: close to the stack pointer.
    ///
    /// Code without stack probes may miss the guard page by the size of a frame; memory that close to the stack pointer is
    /// the stack's own or nothing.
    pub(crate) fn is_near_stack(&self) -> bool {
        const BELOW: u64 = 1 << 20;
        const ABOVE: u64 = 64 << 10;
        self.stack != 0
            && !self.was_sent()
            && (self.stack.saturating_sub(BELOW)..self.stack.saturating_add(ABOVE)).contains(&self.address)
    }
}

/// Signals of what a process does itself. The program's own handlers for them are called after this one.
const FAULTS: [Signal; 7] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGABRT,
];

/// Signals that come from elsewhere, a timer or another process, and end a process that does nothing about them.
const FROM_ELSEWHERE: [Signal; 10] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
];

const N_SIGNALS: usize = 64;

static NOTE: OnceLock<fn(&SignalNote)> = OnceLock::new();
/// The process that installed the handlers: a child that a task forks inherits them, but not the memory of the notes.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// What handled each signal before.
static BEFORE: [OnceLock<SigAction>; N_SIGNALS] = [const { OnceLock::new() }; N_SIGNALS];

/// Has `note` called with what the kernel tells of the signal that ends this process, in the signal's handler: `note` may do
/// nothing but store to atomics.
///
/// Signals from elsewhere for which the program has a handler, or which it ignores, are left alone.
///
/// # Errors
///
/// If the kernel refuses a handler, which it does not.
pub(crate) fn note_signals(note: fn(&SignalNote)) -> io::Result<()> {
    let _ = NOTE.set(note);
    OWNER.store(std::process::id(), Ordering::SeqCst);
    // On the alternate stack that the runtime gives every thread: the thread's own may be what overflowed.
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_RESTART;
    let action = SigAction::new(SigHandler::SigAction(handle), flags, SigSet::empty());
    // What the program handles or ignores among these is its own business.
    let from_elsewhere = FROM_ELSEWHERE.into_iter().filter(|&signal| is_default(signal));
    for signal in FAULTS.into_iter().chain(from_elsewhere) {
        // SAFETY: `handle` does only what a handler may do, as argued there.
        let before = unsafe { sigaction(signal, &action) }?;
        let _ = BEFORE[signal as usize].set(before);
    }
    Ok(())
}

/// Whether nothing but the default action is in place for a signal.
fn is_default(signal: Signal) -> bool {
    disposition(signal) == Ok(libc::SIG_DFL)
}

/// Whether a signal comes again by itself when its handler returns: the kernel made it before an instruction had any effect,
/// and the process comes back to that instruction.
fn strikes_again(signal: Signal, code: libc::c_int) -> bool {
    code > 0 && matches!(signal, Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE)
}

/// Notes the signal, then lets it do what it would have done without this handler.
///
/// All that it does is allowed in a handler: system calls, atomics, memory on the stack. Who survives the signal, because of a
/// handler that was there before, finds the `errno` that it had.
extern "C" fn handle(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let errno = Errno::last_raw();
    note_and_pass_on(number, info, context);
    Errno::set_raw(errno);
}

fn note_and_pass_on(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Ok(signal) = Signal::try_from(number) else { return };
    // SAFETY: the kernel gives a handler a valid `siginfo`, which nobody else has.
    let told = unsafe { &*info };
    if std::process::id() == OWNER.load(Ordering::SeqCst)
        && let Some(note) = NOTE.get()
    {
        note(&note_of(told, context));
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let before = BEFORE[number as usize].get().copied().unwrap_or(default);
    // SAFETY: what is put back was in place before this handler was.
    let _ = unsafe { sigaction(signal, &before) };
    match before.handler() {
        SigHandler::Handler(handler) => handler(number),
        SigHandler::SigAction(handler) => handler(number, info, context),
        SigHandler::SigIgn | SigHandler::SigDfl => {}
    }
    // A handler that meant to survive is still in place; one that gave up has left the default action behind.
    if !strikes_again(signal, told.si_code) && is_default(signal) {
        // Blocked while its handler runs: it strikes as this one returns.
        let _ = raise(signal);
    }
}

fn note_of(info: &libc::siginfo_t, context: *mut libc::c_void) -> SignalNote {
    let mut note = SignalNote {
        number: info.si_signo,
        code: info.si_code,
        address: 0,
        stack: stack_pointer(context),
        sender_pid: 0,
        sender_uid: 0,
        sender_name: [0; 2],
    };
    if note.was_sent() {
        // SAFETY: the code says that a process sent the signal, so these fields are filled in.
        note.sender_pid = unsafe { info.si_pid() }.cast_unsigned();
        // SAFETY: as above.
        note.sender_uid = unsafe { info.si_uid() };
        note.sender_name = name_of(note.sender_pid);
    } else if info.si_code > 0 {
        // SAFETY: of a signal that the kernel made, the field is filled in or holds bytes that mean nothing; any are valid.
        note.address = unsafe { info.si_addr() }.addr() as u64;
    }
    note
}

/// The stack pointer where the signal struck.
fn stack_pointer(context: *mut libc::c_void) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the kernel gives a handler with `SA_SIGINFO` a valid context, which nobody else has.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        context.uc_mcontext.gregs[libc::REG_RSP as usize].cast_unsigned()
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: as above.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        context.uc_mcontext.sp
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = context;
        0
    }
}

/// The name of a process that has just sent a signal, without allocating anything.
fn name_of(pid: u32) -> [u64; 2] {
    let mut path = [0_u8; 32];
    let mut at = 0;
    let mut push = |byte: u8| {
        path[at] = byte;
        at += 1;
    };
    b"/proc/".iter().copied().for_each(&mut push);
    let mut digits = [0_u8; 10];
    let (mut rest, mut n_digits) = (pid, 0);
    while rest > 0 {
        digits[n_digits] = b'0' + (rest % 10) as u8;
        rest /= 10;
        n_digits += 1;
    }
    digits[..n_digits].iter().rev().copied().for_each(&mut push);
    b"/comm".iter().copied().for_each(&mut push);
    // SAFETY: the path ends with a zero: of 32 bytes at most 21 were written.
    let fd = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let mut name = [0_u8; 16];
    if fd >= 0 {
        // SAFETY: the buffer is as long as the call is told.
        unsafe { libc::read(fd, name.as_mut_ptr().cast(), name.len()) };
        // SAFETY: the descriptor was opened here, and nobody else has it.
        unsafe { libc::close(fd) };
    }
    let (first, second) = name.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
    [word(first), word(second)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_name() {
        let this = std::fs::read_to_string("/proc/self/comm").unwrap();
        let sender_name = name_of(std::process::id());
        let note = SignalNote {
            number: 15,
            code: libc::SI_USER,
            address: 0,
            stack: 0,
            sender_pid: std::process::id(),
            sender_uid: 0,
            sender_name,
        };
        assert_eq!(note.sender_name().as_deref(), Some(this.trim_end()));
        assert_eq!(name_of(0), [0; 2]);
        assert!(note.was_sent());
    }

    #[test]
    fn who_survives_a_signal_finds_its_errno() {
        // Nobody sent it: the name that is looked for does not exist, and the calls that look for it fail.
        let _ = NOTE.set(|_| ());
        OWNER.store(std::process::id(), Ordering::SeqCst);
        // SAFETY: any bytes are a `siginfo`, zeroed ones too.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        (info.si_signo, info.si_code) = (libc::SIGURG, libc::SI_USER);
        // SAFETY: numbers and pointers that may be null.
        let mut context: libc::ucontext_t = unsafe { std::mem::zeroed() };
        Errno::EXDEV.set();
        // The default action is to do nothing.
        handle(libc::SIGURG, &raw mut info, (&raw mut context).cast());
        assert_eq!(Errno::last(), Errno::EXDEV);
    }

    #[test]
    fn only_a_fault_close_to_the_stack_pointer_is_an_overflow() {
        let note = |address, stack, code| SignalNote {
            number: libc::SIGSEGV,
            code,
            address,
            stack,
            sender_pid: 0,
            sender_uid: 0,
            sender_name: [0; 2],
        };
        assert!(note(0x7000_0000, 0x7000_0008, 2).is_near_stack());
        assert!(note(0x7000_0000, 0x7000_8000, 1).is_near_stack());
        assert!(!note(0, 0x7000_0000, 1).is_near_stack());
        assert!(!note(0x7000_0000, 0x7000_0008, libc::SI_USER).is_near_stack());
        assert!(!note(0x7000_0000, 0, 1).is_near_stack());
        assert!(!note(0x7100_0000, 0x7000_0000, 1).is_near_stack());
    }
}
