//! Goal: of each death it is told how the process ended and what probably was the cause, with what says so.
//!
//! Method: real processes end in every way there is: by faults of native code, by signals from a process whose number is known, by
//! `exit`, by what tasks leave behind. The record in the error and in `Pool::deaths` is compared field by field.

use ndpool::{Block, Cause, Death, ErrorKind, Fate, Pool, Sender, Stderr, WorkerExit, task};
use ndpool_tests::{Actor, End, Gate, Run, kill, overflow, role, wait_for_deaths, watchdog};
use nix::sys::signal::{SigHandler, Signal};
use nix::unistd::Pid;
use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

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
        // What this program was started with is a worker's too, and a shell's background has two of these ignored.
        // SAFETY: no handler is installed.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }.unwrap();
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
