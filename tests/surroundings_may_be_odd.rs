//! Goal: a pool works whatever its program's surroundings are: no stdin, nobody who reads stdout, an empty environment, a
//! working directory that is gone, another locale; a program file that is replaced or deleted while it runs; other code
//! that forks, ignores SIGCHLD or waits for every child; threads that end; callers that panic.
//!
//! Method: `support/bin/plain.rs`, an ordinary program, is started in such surroundings, and must do all that it does at
//! other times. What a program does to itself, tests do in processes of their own.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Block, ErrorKind, Pool, Stderr, WorkerExit, call, task};
use ndpool_tests::{Actor, Gate, Run, kill, play, role, wait_until, watchdog};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PLAIN: &str = env!("CARGO_BIN_EXE_plain");
const FOREIGN: &str = env!("CARGO_BIN_EXE_foreign-worker");
const TWINS: &str = env!("CARGO_BIN_EXE_twins");

#[task]
fn add(mut x: ArrayViewMut1<i64>) -> Sum<i64> {
    x += 1;
    Sum(x.sum())
}

#[task]
fn add_behind(gate: &str, mut x: ArrayViewMut1<i64>) {
    Gate::pass(gate);
    x += 1;
}

#[task]
fn abort_in(which: usize, block: &Block, mut x: ArrayViewMut1<i64>) {
    x += 1;
    if block.index() == which {
        std::process::abort();
    }
}

#[task(name = "foreign/who")]
fn who(name: &str) -> (String, String) {
    panic!("not here, {name}")
}

/// A directory for files of one test, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ndpool-odd.{}.{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the ordinary program under a shell that prepares its surroundings.
fn under_a_shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, PLAIN]);
    command
}

#[track_caller]
fn succeeds(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(!text.contains("panicked"), "{text}");
}

#[ndpool::test]
fn without_standard_streams() {
    let _watchdog = watchdog();
    for closed in ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"] {
        succeeds(&under_a_shell(&format!("exec \"$0\" {closed}")).output().unwrap());
    }
}

#[ndpool::test]
fn with_nobody_who_reads_what_is_printed() {
    let _watchdog = watchdog();
    // Pipes whose readers are gone: what the abort prints is forwarded into one of them.
    let broken = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let status = Command::new(PLAIN).stdin(Stdio::null()).stdout(broken()).stderr(broken()).status().unwrap();
    assert!(status.success(), "{status}");
}

#[ndpool::test]
fn in_an_empty_environment_and_any_locale() {
    let _watchdog = watchdog();
    succeeds(&Command::new(PLAIN).env_clear().output().unwrap());
    let latin_1 = OsStr::from_bytes(b"caf\xe9");
    for locale in [OsStr::new("C"), OsStr::new("de_DE.ISO-8859-1"), OsStr::new("ja_JP.EUC-JP"), latin_1] {
        succeeds(
            &Command::new(PLAIN)
                .env("LC_ALL", locale)
                .env("LANG", locale)
                .env("CAFE", latin_1)
                .output()
                .unwrap(),
        );
    }
}

#[ndpool::test]
fn a_directory_for_temporary_files_that_cannot_have_sockets_is_an_error() {
    let _watchdog = watchdog();
    let scratch = Scratch::new("sockets");
    let latin_1 = scratch.0.join(OsStr::from_bytes(b"caf\xe9"));
    let long = scratch.join(&"long".repeat(20));
    for (directory, is_there) in [(latin_1, true), (long, true), (scratch.join("missing"), false)] {
        if is_there {
            std::fs::create_dir(&directory).unwrap();
        }
        let output = Command::new(PLAIN).env("TMPDIR", &directory).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{}: {text}", output.status);
        assert!(text.contains("TMPDIR") && !text.contains("panicked"), "{text}");
        assert!(!is_there || std::fs::read_dir(&directory).unwrap().count() == 0, "something is left");
    }
}

#[ndpool::test]
fn in_a_working_directory_that_is_gone() {
    let _watchdog = watchdog();
    let scratch = Scratch::new("directory");
    let gone = scratch.join("gone");
    std::fs::create_dir(&gone).unwrap();
    succeeds(&under_a_shell("rmdir \"$PWD\" && exec \"$0\"").current_dir(&gone).output().unwrap());
    assert!(!gone.exists());
}

/// Starts a copy of the ordinary program, does something to its file, has it replace its workers.
fn while_it_runs(name: &str, meddle: impl FnOnce(&Path)) {
    let scratch = Scratch::new(name);
    let program = scratch.join("program");
    std::fs::copy(PLAIN, &program).unwrap();
    let mut child =
        Command::new(&program).arg("twice").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    meddle(&program);
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert!(child.wait().unwrap().success());
}

#[ndpool::test]
fn though_the_programs_file_is_deleted() {
    let _watchdog = watchdog();
    while_it_runs("deleted", |program| std::fs::remove_file(program).unwrap());
}

#[ndpool::test]
fn though_the_programs_file_is_replaced() {
    let _watchdog = watchdog();
    // As an installation does: another file takes the name.
    while_it_runs("replaced", |program| {
        let new = program.with_extension("new");
        std::fs::copy(TWINS, &new).unwrap();
        std::fs::rename(new, program).unwrap();
    });
}

#[ndpool::test]
fn a_worker_program_that_turns_bad_is_told_and_tried_again_when_it_is_mended() {
    let _watchdog = watchdog();
    let scratch = Scratch::new("turns-bad");
    let (program, crashing) = (scratch.join("program"), scratch.join("crashing"));
    std::fs::write(&crashing, "#!/bin/sh\necho 'libfoo.so.3: cannot open' >&2\nexit 127\n").unwrap();
    std::fs::set_permissions(&crashing, PermissionsExt::from_mode(0o755)).unwrap();
    let point_at = |target: &Path| {
        let new = scratch.join("new");
        symlink(target, &new).unwrap();
        std::fs::rename(new, &program).unwrap();
    };
    point_at(Path::new(FOREIGN));
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).worker_program(&program).build().unwrap();
    let run = Run::of(&pool);
    assert_eq!(pool.run(who("one")).unwrap().0, "hello one");
    let lose_all = || {
        let old = pool.worker_pids();
        old.iter().for_each(|&pid| assert!(kill(pid)));
        wait_until(|| !pool.worker_pids().iter().any(|pid| old.contains(pid)));
    };
    point_at(&crashing);
    lose_all();
    for _ in 0..2 {
        let error = pool.run(who("two")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Start, "{error}");
        assert!(error.to_string().contains("libfoo.so.3: cannot open"), "{error}");
    }
    point_at(Path::new(FOREIGN));
    assert_eq!(pool.run(who("three")).unwrap().0, "hello three");
    // Another program is refused for good: jobs in flight count on the tasks of the first.
    wait_until(|| pool.worker_pids().len() == 2);
    point_at(Path::new(TWINS));
    lose_all();
    let error = pool.run(who("four")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DuplicateTask | ErrorKind::BuildMismatch), "{error}");
    drop(pool);
    run.assert_gone();
}

/// Has a test play a role alone, in a process of its own.
fn alone(test: &str) {
    play(Actor::command(&[], test, "alone"));
}

/// A pool loses workers while idle and at work, and has a block that kills every worker.
fn lose_workers(may_be_unknown: bool) {
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build().unwrap();
    let run = Run::of(&pool);
    let mut x = pool.zeros::<i64, _>(40).unwrap();
    for round in 1..=5 {
        pool.worker_pids().into_iter().for_each(|pid| _ = kill(pid));
        assert_eq!(pool.run(add(&mut x).block_rows(4)).unwrap().0, 40 * round);
        let gate = Gate::new();
        let mut y = pool.zeros::<i64, _>(2).unwrap();
        let job = pool.submit(add_behind(gate.name(), &mut y).block_rows(1)).unwrap();
        gate.wait_for(2);
        pool.worker_pids().into_iter().for_each(|pid| _ = kill(pid));
        gate.open();
        job.join().unwrap();
        assert_eq!(y.view().to_vec(), [1, 1]);
    }
    let error = pool.run(abort_in(5, &mut x).block_rows(4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    assert_eq!(error.failed_blocks().not_applied(), [5]);
    match error.worker_exit() {
        Some(WorkerExit::Unknown) if may_be_unknown => {}
        exit => assert_eq!(exit.and_then(WorkerExit::signal_name), Some("SIGABRT"), "{error}"),
    }
    assert_eq!(x.view().sum(), 40 * 6 - 4);
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn though_the_program_ignores_the_ends_of_its_children() {
    const NAME: &str = "though_the_program_ignores_the_ends_of_its_children";
    let _watchdog = watchdog();
    if role().is_none() {
        return alone(NAME);
    }
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
    lose_workers(true);
}

#[ndpool::test]
fn though_other_code_waits_for_all_children() {
    const NAME: &str = "though_other_code_waits_for_all_children";
    let _watchdog = watchdog();
    if role().is_none() {
        return alone(NAME);
    }
    std::thread::spawn(|| {
        loop {
            // Takes whichever child has ended, as process managers do; without any it has an error.
            let _ = nix::sys::wait::waitpid(None, None);
        }
    });
    lose_workers(true);
}

#[ndpool::test]
fn though_the_thread_that_built_the_pool_has_ended() {
    let _watchdog = watchdog();
    let pool = std::thread::spawn(|| Pool::builder().workers(2).build().unwrap()).join().unwrap();
    let pids = pool.worker_pids();
    let mut x = pool.zeros::<i64, _>(40).unwrap();
    assert_eq!(pool.run(add(&mut x).block_rows(4)).unwrap().0, 40);
    assert_eq!(
        std::thread::scope(|scope| scope.spawn(|| pool.run(add(&mut x)).unwrap().0).join().unwrap()),
        80
    );
    assert_eq!((pool.worker_pids(), pool.stats().workers_lost), (pids, 0));
}

#[ndpool::test]
fn though_a_forked_child_exits_as_programs_do() {
    const NAME: &str = "though_a_forked_child_exits_as_programs_do";
    let _watchdog = watchdog();
    if role().is_none() {
        return alone(NAME);
    }
    let pool = Pool::builder().workers(2).build().unwrap();
    let run = Run::of(&pool);
    let mut x = pool.zeros::<i64, _>(100).unwrap();
    let (files, pids) = (run.files().len(), pool.worker_pids());
    // SAFETY: the child runs what is registered to run at its exit, which is what is tested, and nothing else.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: ends the process.
        unsafe { libc::exit(0) };
    }
    let mut status = 0;
    // SAFETY: the child of the line above; the status is this function's.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    assert_eq!((run.files().len(), pool.worker_pids()), (files, pids));
    assert_eq!(pool.run(add(&mut x)).unwrap().0, 100);
    drop((pool, x));
    run.assert_gone();
}

#[ndpool::test]
fn though_a_caller_panics_with_a_job_in_flight() {
    let _watchdog = watchdog();
    let gate = Gate::new();
    let pool = Pool::builder().workers(2).build().unwrap();
    let run = Run::of(&pool);
    let mut x = pool.zeros::<i64, _>(64).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _job = pool.submit(add_behind(gate.name(), &mut x).block_rows(1)).unwrap();
        gate.wait_for(2);
        panic!("enough");
    }));
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&"enough"));
    // The job was cancelled, but for the blocks in hand; nobody writes once the view is there.
    gate.open();
    assert_eq!(x.view().sum(), 2);
    assert_eq!(pool.run(add(&mut x)).unwrap().0, 66);
    // The same with a pool of the thread's own.
    let gate = Gate::new();
    let (send, receive) = std::sync::mpsc::channel();
    let gate_name = gate.name().to_owned();
    let thread = std::thread::spawn(move || {
        let pool = Pool::builder().workers(2).shutdown_grace(std::time::Duration::ZERO).build().unwrap();
        let mut x = pool.zeros::<i64, _>(64).unwrap();
        let _job = pool.submit(add_behind(&gate_name, &mut x)).unwrap();
        send.send(Run::of(&pool)).unwrap();
        panic!("enough");
    });
    let result = thread.join();
    let thread_run = receive.recv().unwrap();
    assert!(result.is_err());
    thread_run.assert_gone();
    assert_eq!(pool.run(call(|x: i64| x + 1, 1)).unwrap(), 2);
    drop((pool, x));
    run.assert_gone();
}

/// Built here, since the programs of tests are built to unwind; what they depend on is used as it is.
fn built_to_abort() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--locked", "--package", "ndpool-tests", "--bin", "aborts"])
        .args(["--message-format", "json", "--", "-C", "panic=abort"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs this test");
    let executable = |line: &[u8]| -> Option<PathBuf> {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    output.stdout.split(|&byte| byte == b'\n').find_map(executable).expect("cargo says where it is")
}

#[ndpool::test]
fn a_panic_that_aborts_is_a_death_with_its_text() {
    let program = built_to_abort();
    let _watchdog = watchdog();
    let output = Command::new(program).output().unwrap();
    succeeds(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["aborts", "WorkerLost Some(\"SIGABRT\") 8"], "{text}");
    assert!(text.contains("9 is too much for me") && text.contains("aborts.rs:"), "{text}");
}
