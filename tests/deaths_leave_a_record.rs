//! Goal: no worker dies without a record that says when, which, how and probably why, and what it was doing; and a record is left
//! of nothing else.
//!
//! Method: real processes end in every way there is: by faults of native code, by signals from a process whose number is known,
//! by `exit`, by the pool's own hand, by the memory controller. The record in the error and in `Pool::deaths` is
//! compared field by field, and the counters with the number of records.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Block, Cause, Death, ErrorKind, Fate, Pool, Sender, Stderr, WorkerExit, task};
use ndpool_tests::{Actor, Gate, Killer, Run, kill, role, wait_until, watchdog};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    NullPointer,
    WildPointer,
    ShortFile,
    NoSuchInstruction,
    DivideByZero,
    Abort,
    StackOverflow,
    DoublePanic,
    Alarm,
    Trap,
    Raise(i32),
    Exit(i32),
}

impl End {
    fn happen(self) {
        match self {
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
            Self::NoSuchInstruction => no_such_instruction(),
            Self::DivideByZero => divide_by_zero(),
            Self::Abort => std::process::abort(),
            Self::StackOverflow => {
                black_box(overflow(0));
            }
            Self::DoublePanic => {
                struct PanicsToo;
                impl Drop for PanicsToo {
                    fn drop(&mut self) {
                        panic!("the second panic");
                    }
                }
                let _guard = PanicsToo;
                panic!("the first panic");
            }
            Self::Alarm => alarm(),
            Self::Trap => trap(),
            Self::Raise(number) => nix::sys::signal::raise(number.try_into().unwrap()).unwrap(),
            Self::Exit(code) => std::process::exit(code),
        }
    }
}

fn write_to(place: *mut u8) {
    // SAFETY: there is none: this is the native code with a bug that a pool is for. The process dies here.
    unsafe { libc::memset(black_box(place).cast(), 1, 1) };
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

#[expect(unconditional_recursion, reason = "to overflow the stack")]
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 512]);
    overflow(depth + 1) + room[7]
}

/// No `Debug`: the record names its type.
#[derive(Clone, Serialize, Deserialize)]
struct Opaque(u16);

#[task]
fn ends(
    end: End,
    label: &str,
    opaque: Opaque,
    block: &Block,
    x: ArrayView2<f32>,
    #[out] mut y: ArrayViewMut1<i64>,
) {
    let _ = (label, opaque.0, x.len());
    y.fill(1);
    if block.index() == 2 {
        eprintln!("about to end");
        end.happen();
    }
}

#[task]
fn alone(end: Option<End>) -> u32 {
    if let Some(end) = end {
        end.happen();
    }
    7
}

/// Waits at the gate in its first attempt, then ends if it is told to.
#[task]
fn waits(block: &Block, gate: &str, end: Option<End>) -> u32 {
    if block.attempt() == 0 {
        Gate::pass(gate);
        end.into_iter().for_each(End::happen);
    }
    block.attempt()
}

#[task]
fn increment(block: &Block, mut x: ArrayViewMut1<i64>) -> Sum<usize> {
    x += 1;
    Sum(block.rows().len())
}

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).stderr(Stderr::Keep).build().unwrap()
}

/// The one record of a pool whose first call ended so.
fn death_of(end: End) -> Arc<Death> {
    let pool = pool(1);
    let run = Run::of(&pool);
    let pid = pool.worker_pids()[0];
    let before = SystemTime::now();
    let error = pool.run(alone(Some(end)).attempts(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let deaths = pool.deaths();
    assert_eq!(deaths.len(), 1, "{end:?}: {deaths:?}");
    assert_eq!(error.death(), Some(&*deaths[0]), "the error's record is the pool's");
    assert_eq!(error.worker_exit(), Some(&deaths[0].exit));
    let Death { time, worker, pid: dead, block, n_begun, evidence, .. } = &*deaths[0];
    assert!((before..=SystemTime::now()).contains(time), "{time:?}");
    assert_eq!((*worker, *dead, *n_begun), (0, Some(pid), 1));
    let block = block.as_ref().unwrap();
    assert!(block.task.ends_with("::alone") && block.had_begun, "{block:?}");
    assert_eq!((block.index, block.n_blocks, block.attempt, block.fate), (0, 1, 0, Fate::GivenUp));
    assert_eq!(block.arguments[0].to_string(), format!("end = Some({end:?})"));
    assert!(!evidence.is_empty(), "{end:?}");
    let text = error.to_string();
    assert!(text.contains("probable cause: ") && text.contains(&evidence[0]), "{text}");
    assert!(text.contains(&format!("its arguments: end = Some({end:?})")), "{text}");
    // The pool works on, and no further record is made of its shutdown.
    assert_eq!(pool.run(alone(None)).unwrap(), 7);
    assert_eq!((pool.stats().workers_lost, pool.deaths().len()), (1, 1));
    let death = Arc::clone(&deaths[0]);
    drop(pool);
    run.assert_gone();
    println!("{death}\n");
    death
}

#[ndpool::test]
fn faults_of_native_code_are_told_apart() {
    let _watchdog = watchdog();
    for (end, signal, cause, evidence) in [
        (End::NullPointer, "SIGSEGV", Cause::InvalidAccess, "null pointer"),
        (End::WildPointer, "SIGSEGV", Cause::InvalidAccess, "no process can have"),
        (End::ShortFile, "SIGBUS", Cause::BusError, "at address 0x"),
        (End::NoSuchInstruction, "SIGILL", Cause::IllegalInstruction, "at address 0x"),
        (End::DivideByZero, "SIGFPE", Cause::Arithmetic, "SIGFPE"),
        (End::Abort, "SIGABRT", Cause::Abort, "abort"),
        (End::StackOverflow, "SIGABRT", Cause::StackOverflow, "has overflowed its stack"),
        (End::DoublePanic, "SIGABRT", Cause::Panic, "the first panic"),
    ] {
        let death = death_of(end);
        assert_eq!((death.exit.signal_name(), &death.cause), (Some(signal), &cause), "{death}");
        assert!(death.evidence.iter().any(|sentence| sentence.contains(evidence)), "{death}");
    }
}

#[ndpool::test]
fn what_the_kernel_sends_once_ends_a_worker_too() {
    let _watchdog = watchdog();
    // A worker that outlives it waits for ever.
    let death = death_of(End::Alarm);
    assert_eq!((death.exit.signal_name(), &death.cause), (Some("SIGALRM"), &Cause::Signal), "{death}");
    assert!(death.evidence[0].contains("a timer of its own"), "{death}");
    // A task that goes on after it has its block applied.
    let death = death_of(End::Trap);
    assert_eq!((death.exit.signal_name(), &death.cause), (Some("SIGTRAP"), &Cause::Signal), "{death}");
    if cfg!(target_arch = "x86_64") {
        assert!(death.evidence[0].starts_with("SIGTRAP: a trap instruction"), "{death}");
    }
}

/// Waits for so many records of a pool.
fn wait_for_deaths(pool: &Pool, n: usize) -> Vec<Arc<Death>> {
    wait_until(|| pool.deaths().len() >= n);
    pool.deaths()
}

fn send(pid: u32, signal: Signal) {
    nix::sys::signal::kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// This process, as the kernel names it.
fn this_sender() -> (u32, Option<String>) {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    (std::process::id(), Some(name.trim_end().to_owned()))
}

#[ndpool::test]
fn a_signal_is_told_with_the_process_that_sent_it() {
    let _watchdog = watchdog();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGALRM,
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGABRT,
        Signal::SIGILL,
    ] {
        let (pool, gate) = (pool(1), Gate::new());
        let job = pool.submit(waits(gate.name(), None).attempts(1)).unwrap();
        gate.wait_for(1);
        let pid = pool.worker_pids()[0];
        send(pid, signal);
        let deaths = wait_for_deaths(&pool, 1);
        gate.open();
        // Not the block's doing, so its only attempt is not used up.
        assert_eq!(job.join().unwrap(), 1, "{signal}");
        let death = &deaths[0];
        assert_eq!((death.pid, death.exit.signal_name()), (Some(pid), Some(signal.as_str())), "{death}");
        let Cause::Killed { by: Some(Sender { pid, name, .. }) } = &death.cause else { panic!("{death}") };
        assert_eq!((*pid, name.clone()), this_sender(), "{death}");
        let block = death.block.as_ref().unwrap();
        assert_eq!((block.had_begun, block.fate), (true, Fate::RunAgain), "{death}");
        assert!(death.to_string().contains(&format!("killed by process {pid} (")), "{death}");
        assert_eq!(pool.deaths().len(), 1);
    }
}

#[ndpool::test]
fn of_sigkill_it_is_said_that_nobody_is_told() {
    let _watchdog = watchdog();
    let pool = pool(2);
    // Idle.
    let pids = pool.worker_pids();
    pids.iter().for_each(|&pid| assert!(kill(pid)));
    let deaths = wait_for_deaths(&pool, 2);
    for death in &deaths {
        assert!(pids.contains(&death.pid.unwrap()));
        assert_eq!((&death.cause, death.exit.signal_name()), (&Cause::Killed { by: None }, Some("SIGKILL")));
        assert!(death.block.is_none() && death.n_begun == 0, "{death}");
        assert!(death.evidence[0].contains("tells nobody"), "{death}");
        assert!(death.to_string().contains("block: none in hand"), "{death}");
    }
    assert_eq!(pool.run(alone(None)).unwrap(), 7);
    assert_eq!(pool.stats().workers_lost, 2);
}

#[ndpool::test]
fn a_signal_to_itself_and_an_exit_are_the_tasks_own_doing() {
    let _watchdog = watchdog();
    for signal in [Signal::SIGFPE, Signal::SIGILL, Signal::SIGTERM, Signal::SIGSEGV, Signal::SIGUSR2] {
        let death = death_of(End::Raise(signal as i32));
        assert_eq!(
            (death.exit.signal_name(), &death.cause),
            (Some(signal.as_str()), &Cause::Signal),
            "{death}"
        );
        assert!(death.evidence[0].contains("to itself"), "{death}");
    }
    for code in [0, 3, 71, 255] {
        let death = death_of(End::Exit(code));
        assert_eq!((&death.exit, &death.cause), (&WorkerExit::Code(code), &Cause::Exit), "{death}");
        assert!(death.evidence[0].contains(&format!(
            "the task, or something that it called, ended the process with exit({code})"
        )));
    }
}

#[ndpool::test]
fn a_real_time_signal_is_a_signal_too() {
    let _watchdog = watchdog();
    let pool = pool(1);
    // SAFETY: takes numbers only.
    unsafe { libc::kill(pool.worker_pids()[0] as i32, libc::SIGRTMIN() + 3) };
    let deaths = wait_for_deaths(&pool, 1);
    assert_eq!(deaths[0].exit, WorkerExit::Signal { number: libc::SIGRTMIN() + 3, core_dumped: false });
    assert_eq!(deaths[0].cause, Cause::Killed { by: None });
}

#[ndpool::test]
fn a_thread_that_a_task_left_behind_is_told_from_the_task() {
    #[task]
    fn leaves_a_thread(gate: &str) -> bool {
        let gate = gate.to_owned();
        std::thread::spawn(move || {
            Gate::pass(&gate);
            std::process::exit(0);
        });
        true
    }
    let _watchdog = watchdog();
    let (pool, gate) = (pool(1), Gate::new());
    assert!(pool.run(leaves_a_thread(gate.name())).unwrap());
    gate.open();
    let deaths = wait_for_deaths(&pool, 1);
    assert_eq!((&deaths[0].exit, &deaths[0].cause), (&WorkerExit::Code(0), &Cause::Exit));
    assert!(deaths[0].block.is_none() && deaths[0].n_begun == 1, "{}", deaths[0]);
    assert!(deaths[0].evidence[0].contains("while no task was running"), "{}", deaths[0]);
}

#[ndpool::test]
fn a_stack_of_native_code_is_told_by_its_pointer() {
    /// Overflows the stack of a thread that the runtime does not know, which has an alternate stack all the same.
    #[task]
    fn overflows_without_rust() {
        extern "C" fn body(_: *mut libc::c_void) -> *mut libc::c_void {
            let alternate = Box::leak(vec![0_u8; 1 << 16].into_boxed_slice());
            let stack =
                libc::stack_t { ss_sp: alternate.as_mut_ptr().cast(), ss_flags: 0, ss_size: alternate.len() };
            // SAFETY: the memory is leaked, so it stays, and nobody else uses it.
            unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
            black_box(overflow(0));
            std::ptr::null_mut()
        }
        let mut thread = std::mem::MaybeUninit::uninit();
        // SAFETY: the thread's body is a function, and its number is written to memory of its type.
        unsafe { libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), body, std::ptr::null_mut()) };
        // SAFETY: the call has written the number.
        let thread = unsafe { thread.assume_init() };
        // SAFETY: the thread was just made, and nobody else waits for it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    }
    let _watchdog = watchdog();
    let pool = pool(1);
    let error = pool.run(overflows_without_rust().attempts(1)).unwrap_err();
    let death = error.death().unwrap();
    assert_eq!((death.exit.signal_name(), &death.cause), (Some("SIGSEGV"), &Cause::StackOverflow), "{death}");
    assert!(death.evidence[0].contains("next to the stack pointer"), "{death}");
    assert!(error.hint().is_some_and(|hint| hint.contains("recursion")), "{error}");
}

#[ndpool::test]
fn who_is_waited_for_by_others_still_has_a_cause() {
    const TEST: &str = "who_is_waited_for_by_others_still_has_a_cause";
    let _watchdog = watchdog();
    if role().is_some() {
        // The kernel then keeps no status of children that end.
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        let pool = pool(2);
        let error = pool.run(alone(Some(End::NullPointer)).attempts(1)).unwrap_err();
        let death = error.death().unwrap();
        assert_eq!((&death.exit, &death.cause), (&WorkerExit::Unknown, &Cause::InvalidAccess), "{death}");
        assert!(death.evidence[0].contains("somebody else waited"), "{death}");
        assert!(kill(pool.worker_pids()[0]));
        assert_eq!(wait_for_deaths(&pool, 2)[1].cause, Cause::Unknown);
        assert_eq!(pool.run(alone(None)).unwrap(), 7);
        return;
    }
    let supervisor = Actor::start(TEST, "supervisor");
    let (text, status) = supervisor.let_go();
    assert!(status.success(), "{text}");
}

/// Held by a test while its job runs.
static WANTED: Mutex<()> = Mutex::new(());

/// Its `Debug` wants what the caller holds.
#[derive(Clone, Serialize, Deserialize)]
struct Shy;

impl std::fmt::Debug for Shy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let _wanted = WANTED.lock();
        f.write_str("shy")
    }
}

/// Panics when it is shown, and once more when that panic's payload is dropped.
#[derive(Clone, Serialize, Deserialize)]
struct Explosive;

impl std::fmt::Debug for Explosive {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::panic_any(Payload)
    }
}

struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        panic!("a payload was dropped");
    }
}

/// As deep as it was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Deep(Option<Box<Deep>>);

#[task]
fn shy_ends(shy: Shy, n: u32) {
    let _ = (shy, n);
    std::process::abort();
}

#[task]
fn explosive_ends(explosive: Explosive) {
    let _ = explosive;
    std::process::abort();
}

#[task]
fn deep_ends(deep: Deep) {
    std::mem::forget(deep);
    std::process::abort();
}

#[ndpool::test]
fn an_argument_whose_debug_waits_for_the_caller_holds_up_no_sweep() {
    let _watchdog = watchdog();
    let pool = pool(1);
    let wanted = WANTED.lock().unwrap();
    let error = pool.run(shy_ends(Shy, 3).attempts(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let deaths = pool.deaths();
    assert_eq!(deaths.len(), 2);
    for death in &deaths {
        let arguments = &death.block.as_ref().unwrap().arguments;
        assert_eq!(arguments[0].to_string(), "shy = (deaths_leave_a_record::Shy, not shown)");
        assert_eq!(arguments[1].to_string(), "n = (u32, not shown)");
    }
    assert_eq!(pool.run(alone(None)).unwrap(), 7);
    drop(wanted);
}

#[ndpool::test]
fn a_caller_that_holds_stderr_is_not_waited_for_with_a_dead_workers_lines() {
    let _watchdog = watchdog();
    let pool = Pool::builder().workers(1).stderr(Stderr::Forward).build().unwrap();
    let held = std::io::stderr().lock();
    let error = pool.run(alone(Some(End::StackOverflow)).attempts(1)).unwrap_err();
    drop(held);
    assert!(!error.death().unwrap().stderr.is_empty(), "{error}");
}

#[ndpool::test]
fn a_panic_of_an_argument_that_panics_again_ends_no_thread_of_the_pool() {
    let _watchdog = watchdog();
    let pool = pool(1);
    let error = pool.run(explosive_ends(Explosive).attempts(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let death = error.death().unwrap();
    let argument = death.block.as_ref().unwrap().arguments[0].to_string();
    assert!(argument.contains("panicked"), "{argument}");
    assert_eq!(pool.run(alone(None)).unwrap(), 7);
}

#[ndpool::test]
fn an_argument_that_is_deeper_than_a_threads_stack_is_survived() {
    let _watchdog = watchdog();
    let test = || {
        let pool = pool(1);
        for depth in [20_000, 60_000] {
            let mut deep = Deep(None);
            for _ in 0..depth {
                deep = Deep(Some(Box::new(deep)));
            }
            // By its own recursion in the worker, or by the task.
            let error = pool.run(deep_ends(deep).attempts(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
            let death = error.death().unwrap();
            let argument = death.block.as_ref().unwrap().arguments[0].to_string();
            assert!(argument.starts_with("deep = "), "{argument}");
        }
        assert_eq!(pool.run(alone(None)).unwrap(), 7);
    };
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(test).unwrap();
    thread.join().unwrap();
}

#[ndpool::test]
fn whoever_listens_to_events_is_told() {
    use tracing::field::{Field, Visit};
    use tracing::{Event, Level, Metadata, Subscriber, span};

    static EVENTS: Mutex<Vec<BTreeMap<&'static str, String>>> = Mutex::new(Vec::new());
    struct Listener;
    struct Fields(BTreeMap<&'static str, String>);
    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.insert(field.name(), format!("{value:?}"));
        }
    }
    impl Subscriber for Listener {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::WARN
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(BTreeMap::new());
            event.record(&mut fields);
            EVENTS.lock().unwrap().push(fields.0);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    let _watchdog = watchdog();
    tracing::subscriber::set_global_default(Listener).unwrap();
    let pool = pool(1);
    let error = pool.run(alone(Some(End::Exit(9))).attempts(1)).unwrap_err();
    let pid = error.death().unwrap().pid.unwrap().to_string();
    // Tests of other pools run beside this one.
    let is_ours = |event: &BTreeMap<_, _>| event.get("pid") == Some(&pid);
    wait_until(|| EVENTS.lock().unwrap().iter().any(is_ours));
    let events = EVENTS.lock().unwrap();
    let event = events.iter().find(|event| is_ours(event)).unwrap();
    for (field, value) in [
        ("worker", "0"),
        ("message", "a worker died"),
        ("exit", "exited with code 9"),
        ("cause", "called exit"),
        ("block", "0"),
        ("attempt", "0"),
        ("task", "\"deaths_leave_a_record::alone\""),
        ("arguments", "\"end = Some(Exit(9))\""),
    ] {
        assert_eq!(event.get(field).map(String::as_str), Some(value), "{field} of {event:?}");
    }
}

#[ndpool::test]
fn a_listener_that_waits_for_the_caller_or_panics_keeps_no_job_from_ending() {
    use tracing::{Event, Level, Metadata, Subscriber, span};
    const TEST: &str = "a_listener_that_waits_for_the_caller_or_panics_keeps_no_job_from_ending";

    struct Listener {
        must_panic: bool,
    }
    impl Subscriber for Listener {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::WARN
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &Event<'_>) {
            if self.must_panic {
                std::panic::panic_any(Payload);
            }
            let _wanted = WANTED.lock();
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    let _watchdog = watchdog();
    if let Some(role) = role() {
        let must_panic = role == "panics";
        tracing::subscriber::set_global_default(Listener { must_panic }).unwrap();
        let pool = pool(1);
        let wanted = WANTED.lock().unwrap();
        // Every attempt but the first needs the slot to be filled again.
        let error = pool.run(alone(Some(End::Abort)).attempts(3)).unwrap_err();
        assert_eq!((error.kind(), pool.deaths().len()), (ErrorKind::WorkerLost, 3), "{error}");
        assert_eq!(pool.run(alone(None)).unwrap(), 7);
        drop(pool);
        drop(wanted);
        return;
    }
    for role in ["waits", "panics"] {
        let (text, status) = Actor::start(TEST, role).let_go();
        assert!(status.success(), "{role}: {text}");
    }
}

#[ndpool::test]
fn the_pools_own_kills_are_recorded_with_their_reason() {
    let _watchdog = watchdog();
    let (pool, gate) = (pool(2), Gate::new());
    let limit = Duration::from_millis(60);
    let error = pool.run(waits(gate.name(), None).block_timeout(limit).attempts(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.death().map(|death| &death.cause), Some(&Cause::BlockTimeout), "{error}");
    let error = pool.run(waits(gate.name(), None).deadline(limit)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    let deaths = wait_for_deaths(&pool, 2);
    assert_eq!(deaths[0].exit, WorkerExit::TimedOut(limit));
    assert_eq!((&deaths[1].exit, &deaths[1].cause), (&WorkerExit::PastDeadline, &Cause::Deadline));
    assert_eq!(deaths[1].block.as_ref().map(|block| block.fate), Some(Fate::GivenUp));
    assert_eq!(pool.stats().workers_lost, 2);
}

#[ndpool::test]
fn a_block_is_recorded_with_its_arguments_and_arrays() {
    let _watchdog = watchdog();
    let pool = pool(2);
    let x = pool.full::<f32, _>((10, 3), 0.5).unwrap();
    let mut y = pool.zeros::<i64, _>(10).unwrap();
    let label = "x".repeat(200);
    let call = ends(End::Abort, &label, Opaque(300), &x, &mut y).block_rows(4).attempts(2).name("my job");
    let error = pool.run(call).unwrap_err();
    assert_eq!(error.failed_blocks().not_applied(), [2]);
    let deaths = pool.deaths();
    assert_eq!(deaths.len(), 2);
    for (attempt, death) in deaths.iter().enumerate() {
        let block = death.block.as_ref().unwrap();
        assert_eq!((&*block.job, block.index, block.n_blocks), ("my job", 2, 3));
        assert_eq!((block.attempt, &*block.task), (attempt as u32, "deaths_leave_a_record::ends"));
        assert_eq!(block.fate, [Fate::RunAgain, Fate::GivenUp][attempt]);
        assert_eq!(death.stderr, ["about to end"]);
        let arguments: Vec<_> = block.arguments.iter().map(ToString::to_string).collect();
        assert_eq!(arguments[0], "end = Abort");
        // Cut off, the quotation mark at its start counted.
        assert_eq!(arguments[1], format!("label = \"{}…", "x".repeat(79)));
        assert_eq!(arguments[2], "opaque = (deaths_leave_a_record::Opaque, 2 bytes)");
        let [of_x, of_y] = block.arrays.as_slice() else { panic!("{death}") };
        assert_eq!(
            (of_x.name.as_deref(), &*of_x.shape, &*of_x.dtype),
            (Some("x"), [2, 3].as_slice(), "float32")
        );
        assert_eq!((of_x.n_bytes, &*of_x.access, &*of_y.access), (24, "read", "out"));
        assert!(of_x.segment.contains(&x.segment_name()), "{death}");
        assert_eq!((of_y.name.as_deref(), &*of_y.shape, of_y.n_bytes), (Some("y"), [2].as_slice(), 16));
    }
    assert_eq!(error.death(), Some(&*deaths[1]));
    // Calls of a map each have their own.
    let results: Vec<_> =
        pool.map((0..40).map(|i| alone((i == 17).then_some(End::Exit(i))).attempts(1))).collect();
    assert!(results.iter().enumerate().all(|(i, result)| result.is_ok() == (i != 17)));
    let death = results[17].as_ref().unwrap_err().death().unwrap();
    assert_eq!(death.block.as_ref().unwrap().arguments[0].text, "Some(Exit(17))");
}

#[ndpool::test]
fn an_argument_that_cannot_be_shown_harms_nothing() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Shy;
    impl std::fmt::Debug for Shy {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("not today")
        }
    }
    #[task]
    fn dies_of(shy: Shy, big: Vec<u8>) -> usize {
        let _ = shy;
        if big.is_empty() { 0 } else { std::process::abort() }
    }
    let _watchdog = watchdog();
    let pool = pool(1);
    let error = pool.run(dies_of(Shy, vec![1]).attempts(1)).unwrap_err();
    let text = &error.death().unwrap().block.as_ref().unwrap().arguments;
    assert!(text[0].text.contains("panicked"), "{text:?}");
    let error = pool.run(dies_of(Shy, vec![1; 4 << 20]).attempts(1)).unwrap_err();
    let text = &error.death().unwrap().block.as_ref().unwrap().arguments;
    assert_eq!(text[1].to_string(), "big = (alloc::vec::Vec<u8>, not shown)");
    assert_eq!(pool.run(dies_of(Shy, Vec::new())).unwrap(), 0);
    // A function without a macro has no names, and a generic one no `Debug`.
    let error = pool
        .run(ndpool::call(|code: i32| std::process::exit(code), 5).then(|()| ()).attempts(1))
        .unwrap_err();
    let text = &error.death().unwrap().block.as_ref().unwrap().arguments;
    assert_eq!(text[0].to_string(), "argument = (i32, 1 byte)");
}

#[ndpool::test]
fn memory_that_the_worker_had_is_told() {
    #[task]
    fn fills_and_dies(n_bytes: usize) {
        black_box(vec![1_u8; n_bytes]);
        std::process::abort();
    }
    let _watchdog = watchdog();
    let pool = pool(1);
    let n_bytes = 300 << 20;
    let error = pool.run(fills_and_dies(n_bytes).attempts(1)).unwrap_err();
    let peak = error.death().unwrap().peak_resident_bytes.unwrap();
    assert!((n_bytes as u64..2 * n_bytes as u64).contains(&peak), "{peak}");
}

/// A program of one's own, in a directory that is removed with it.
struct Script(std::path::PathBuf);

impl Script {
    fn new(name: &str, text: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ndpool-script.{}.{name}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("worker");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[ndpool::test]
fn deaths_at_the_start_are_recorded_too() {
    let _watchdog = watchdog();
    // A program that works once, then not any more: the pool exists, so that its records can be asked for.
    let script = Script::new("start", "");
    let write = |text: &str| {
        // A new file: the old one may be running.
        let fresh = script.0.with_extension("new");
        std::fs::write(&fresh, text).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&fresh, &script.0).unwrap();
    };
    let foreign = env!("CARGO_BIN_EXE_foreign-worker");
    std::fs::copy(foreign, &script.0).unwrap();
    let pool = Pool::builder().workers(1).worker_program(&script.0).stderr(Stderr::Keep).build().unwrap();
    write("#!/bin/sh\necho cannot find libfoo >&2\nexit 127\n");
    assert!(kill(pool.worker_pids()[0]));
    let deaths = wait_for_deaths(&pool, 3);
    assert_eq!(deaths[0].cause, Cause::Killed { by: None });
    assert_eq!(
        (&deaths[1].exit, &deaths[1].cause),
        (&WorkerExit::Code(127), &Cause::DidNotStart),
        "{}",
        deaths[1]
    );
    assert_eq!(deaths[1].stderr, ["cannot find libfoo"]);
    assert!(deaths[1].pid.is_some() && deaths[1].block.is_none());
    std::fs::remove_file(&script.0).unwrap();
    // Five failures in a row, some of them by a program that is not there any more.
    wait_until(|| pool.deaths().len() == 6);
    let deaths = pool.deaths();
    for death in &deaths[1..] {
        assert_eq!(death.cause, Cause::DidNotStart, "{death}");
        assert_eq!(death.pid.is_none(), death.exit == WorkerExit::NeverStarted, "{death}");
    }
    assert_eq!(pool.stats().workers_lost, 6);
}

#[ndpool::test]
fn a_pool_that_cannot_be_built_says_how_its_workers_ended() {
    let _watchdog = watchdog();
    let build =
        |program: &str| Pool::builder().workers(1).worker_program(program).stderr(Stderr::Keep).build();
    let error = build("/nowhere/worker").unwrap_err();
    let death = error.death().unwrap();
    assert_eq!((error.kind(), &death.exit), (ErrorKind::Start, &WorkerExit::NeverStarted), "{error}");
    assert_eq!((&death.cause, death.pid), (&Cause::DidNotStart, None), "{death}");
    assert!(death.evidence[0].contains("/nowhere/worker"), "{death}");
    let script = Script::new("segfault", "#!/bin/sh\nkill -SEGV $$\n");
    let error = build(script.0.to_str().unwrap()).unwrap_err();
    let death = error.death().unwrap();
    assert_eq!((error.kind(), death.exit.signal_name()), (ErrorKind::Start, Some("SIGSEGV")), "{error}");
    assert!(death.evidence.contains(&"it ended before it said hello".to_owned()), "{death}");
}

#[ndpool::test]
fn of_a_cancelled_job_it_is_said_that_nothing_is_run_again() {
    let _watchdog = watchdog();
    let (pool, gate) = (pool(1), Gate::new());
    let job = pool.submit(waits(gate.name(), None)).unwrap();
    gate.wait_for(1);
    job.cancel();
    assert!(kill(pool.worker_pids()[0]));
    let deaths = wait_for_deaths(&pool, 1);
    assert_eq!(deaths[0].block.as_ref().map(|block| block.fate), Some(Fate::Cancelled), "{}", deaths[0]);
    assert_eq!(job.join().unwrap_err().kind(), ErrorKind::Cancelled);
}

#[ndpool::test]
fn records_agree_with_the_counters() {
    let _watchdog = watchdog();
    let pool = pool(3);
    let killer = Killer::new(5, Duration::from_millis(3));
    let mut x = pool.zeros::<i64, _>(1 << 20).unwrap();
    while pool.stats().workers_lost < 150 {
        killer.during(&pool, || pool.run(increment(&mut x).block_rows(1 << 14)).unwrap());
    }
    let n = |fate| {
        pool.deaths()
            .iter()
            .filter(|death| death.block.as_ref().is_some_and(|block| block.fate == fate))
            .count()
    };
    // The last ones may still be on their way.
    wait_until(|| {
        let stats = pool.stats();
        stats.workers_lost == pool.deaths().len() as u64
            && stats.blocks_redone == n(Fate::RunAgain) as u64
            && stats.blocks_finished == n(Fate::Applied) as u64
    });
    println!("{:?}", pool.stats());
    assert!(n(Fate::RunAgain) > 0 && n(Fate::GivenUp) == 0);
}

#[ndpool::test]
fn who_was_asked_to_end_leaves_no_record() {
    let _watchdog = watchdog();
    // Replaced after their share of blocks.
    let busy = Pool::builder().workers(2).max_tasks_per_worker(3).stderr(Stderr::Keep).build().unwrap();
    let results: Vec<_> = busy.map((0..100).map(|_| alone(None))).collect::<ndpool::Result<_>>().unwrap();
    assert_eq!(results, [7; 100]);
    assert_eq!((busy.deaths().len(), busy.stats().workers_lost), (0, 0));
    assert!(busy.stats().workers_started > 20);
    // Replaced by a fresh one, for a block that was charged with the death of another.
    let pool = pool(2);
    let mut x = pool.zeros::<i64, _>(40).unwrap();
    pool.run(increment(&mut x).block_rows(1)).unwrap();
    pool.run(alone(Some(End::Abort)).attempts(2)).unwrap_err();
    assert_eq!((pool.deaths().len(), pool.stats().workers_lost), (2, 2));
    // An exit of the task's own in its last block is none.
    let one = Pool::builder().workers(1).max_tasks_per_worker(1).stderr(Stderr::Keep).build().unwrap();
    one.run(alone(Some(End::Exit(0))).attempts(1)).unwrap_err();
    assert_eq!(one.deaths().iter().map(|death| &death.cause).collect::<Vec<_>>(), [&Cause::Exit]);
}

#[ndpool::test]
fn the_last_records_are_kept_and_all_are_counted() {
    let _watchdog = watchdog();
    let pool = pool(2);
    let killer = Killer::new(11, Duration::from_millis(1));
    let mut x = pool.zeros::<i64, _>(4_000).unwrap();
    let mut n_rounds = 0;
    while pool.stats().workers_lost < 300 {
        killer.during(&pool, || pool.run(increment(&mut x).block_rows(100)).unwrap());
        n_rounds += 1;
    }
    assert!(x.view().iter().all(|&v| v == n_rounds));
    let (deaths, stats) = (pool.deaths(), pool.stats());
    assert!(stats.workers_lost >= 300 && deaths.len() == 256, "{stats:?}, {} records", deaths.len());
    assert!(deaths.is_sorted_by_key(|death| death.time), "the oldest first");
    for death in &deaths {
        assert_eq!(death.cause, Cause::Killed { by: None }, "{death}");
        if let Some(block) = &death.block {
            assert_ne!(block.fate, Fate::GivenUp, "{death}");
        }
    }
}
