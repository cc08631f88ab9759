use crate::scenario::{self, End, OLD_FILE, ROOM_BYTES, SHARED_MEMORY};
use crate::shared;
use ndpool::{Backing, Pool, Stderr};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::fmt::Write;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a player is to be told to do to itself: `<point>:<hit>:<who>`, or `-` for nothing but its prelude.
struct Order<'a> {
    point: &'a str,
    hit: u64,
    who: &'a str,
}

impl<'a> Order<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(':');
        let (point, hit, who) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { point, hit: hit.parse().ok()?, who })
    }
}

/// Has a scenario played, and prints in one line what came of it; fails with all that is wrong.
pub fn direct(scenario: &str, order: &str, directory: &Path) -> ExitCode {
    let memory = SharedMemory::own();
    // Orphans become children of this process, which can wait for them.
    nix::sys::prctl::set_child_subreaper(true).expect("every kernel since 3.4 can do that");
    let scenario = scenario::find(scenario);
    let order = Order::parse(order);
    let hits = directory.join("hits");

    let structures = if memory.is_own { PathBuf::from(SHARED_MEMORY) } else { directory.join("structures") };
    fs::create_dir_all(&structures).expect("the directory is there");

    let mut kill = String::new();
    for (index, point) in scenario.prelude.iter().enumerate() {
        let _ = write!(kill, "{point}:{};", scenario::prelude_file_in(directory, index).display());
    }
    let mut player = Command::new("/proc/self/exe");
    match &order {
        Some(Order { point, hit, who }) => _ = write!(kill, "{point}:{hit}:{who}:{}", hits.display()),
        None => _ = player.env("NDPOOL_KILL_TRACE", directory.join("trace")),
    }
    player.args(["play", scenario.name]).env("NDPOOL_KILL", kill).env(shared::DIRECTORY, &structures);
    let output = fs::File::create(directory.join("output")).expect("the directory is there");
    player.stdin(Stdio::null()).stderr(output.try_clone().expect("a descriptor is left")).stdout(output);
    let mut player = player.spawn().expect("the program can be started again");
    let pid = player.id();
    let status = player.wait().expect("it is a child");
    wait_for_orphans();

    let mut wrong = Vec::new();
    // A byte for each hit.
    let n_hits = fs::metadata(&hits).map_or(0, |found| found.len());
    let was_passed = n_hits > 0 || hits.with_extension("idle").exists();
    let was_killed = order.as_ref().is_some_and(|order| n_hits >= order.hit);
    let kills_supervisor = was_killed && order.as_ref().is_some_and(|order| order.who != "worker");
    let has_ended_alone = ends_so(status, scenario.end);
    let was_player_killed = status.signal() == Some(libc::SIGKILL) && !has_ended_alone;
    let may_end_so = has_ended_alone || was_player_killed && kills_supervisor;
    if !may_end_so {
        wrong.push(format!("the player ended with {status}"));
    }

    let left = memory.left_by(pid);
    if was_killed && !was_player_killed && scenario.end == End::WithSuccess && !left.is_empty() {
        wrong.push(format!("a player that ended well left {left:?}"));
    }
    check_saved_file(directory, was_player_killed, &mut wrong);
    let next = std::panic::catch_unwind(|| {
        if scenario.is_shared {
            ndpool::server::reap_in(&structures, true, false).unwrap();
            ndpool::shared::reap_in(&structures, true, false).unwrap();
            return;
        }
        let pool = Pool::builder().workers(1).backing(Backing::Named).stderr(Stderr::Keep).build().unwrap();
        drop(scenario::steps(&pool));
    });
    if next.is_err() {
        wrong.push("the next pool, or reaping, does not work".into());
    }
    let mut left_after = memory.left_by(pid);
    left_after.extend((!memory.is_own).then(|| names_in(&structures)).into_iter().flatten());
    if !left_after.is_empty() || memory.is_used() {
        wrong.push(format!(
            "after the next pool there is {left_after:?}, memory in use: {}",
            memory.is_used()
        ));
    }
    let strays = strays(directory, was_player_killed);
    if !strays.is_empty() {
        wrong.push(format!("in the directory for temporary files there is {strays:?}"));
    }

    let outcome = match &order {
        Some(_) if !was_passed => "unreached",
        Some(_) if n_hits == 0 => "nobody",
        Some(_) if !was_killed => "unreached",
        Some(_) | None if !was_player_killed && !matches!(scenario.end, End::BySignal(libc::SIGKILL)) => {
            "exact"
        }
        _ if left.is_empty() => "workers",
        _ => "next",
    };
    println!("{outcome}");
    if wrong.is_empty() {
        return ExitCode::SUCCESS;
    }
    wrong.iter().for_each(|what| println!("{what}"));
    println!("{}", fs::read_to_string(directory.join("output")).unwrap_or_default());
    ExitCode::FAILURE
}

fn ends_so(status: ExitStatus, end: End) -> bool {
    match end {
        End::WithSuccess => status.success(),
        End::BySignal(signal) => status.signal() == Some(signal),
    }
}

/// Waits until this process has no children: none of the player's processes is left then, since who loses its parent becomes a
/// child of this one.
fn wait_for_orphans() {
    loop {
        match waitpid(None, Some(WaitPidFlag::empty())) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::EINTR) => {}
            Ok(other) => panic!("{other:?}"),
            Err(Errno::ECHILD) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// `/dev/shm` as this process and its children see it.
struct SharedMemory {
    /// Whether nobody else sees it.
    is_own: bool,
}

impl SharedMemory {
    /// Hides the machine's behind one of its own, where that is permitted.
    fn own() -> Self {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let isolated = unshare(CloneFlags::CLONE_NEWNS).or_else(|_| {
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
            let write = |file: &str, text: String| fs::write(file, text).map_err(|_| Errno::EPERM);
            write("/proc/self/setgroups", "deny".into())?;
            write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
            write("/proc/self/gid_map", format!("{gid} {gid} 1"))
        });
        let none: Option<&str> = None;
        let mounted = isolated
            .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
            .and_then(|()| {
                let size = format!("size={ROOM_BYTES}");
                mount(Some("tmpfs"), SHARED_MEMORY, Some("tmpfs"), MsFlags::empty(), Some(&*size))
            });
        if let Err(error) = mounted {
            eprintln!("no shared memory of its own ({error}): what a player leaves is found by its process");
        }
        Self { is_own: mounted.is_ok() }
    }

    /// Files that a player has left.
    fn left_by(&self, player: u32) -> Vec<String> {
        if self.is_own {
            return names_in(SHARED_MEMORY.as_ref());
        }
        let runs = ndpool::list().expect("shared memory can be listed");
        let dead = runs.into_iter().filter(|run| run.pid == Some(player));
        dead.map(|run| format!("run {} with {} segments", run.run, run.segments.len())).collect()
    }

    /// Whether it holds memory, and goes on doing so: the kernel may take a moment to free the last pages.
    fn is_used(&self) -> bool {
        let is_used_now = || {
            let statistics = nix::sys::statvfs::statvfs(SHARED_MEMORY).expect("it is mounted");
            statistics.blocks() != statistics.blocks_free()
        };
        let start = Instant::now();
        while self.is_own && is_used_now() {
            if start.elapsed() > PATIENCE {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// What is there, or in the directory of arrays, and belongs to nobody.
fn strays(directory: &Path, was_player_killed: bool) -> Vec<String> {
    const KNOWN: [&str; 6] = ["arrays", "structures", "corpse.hits", "trace", "output", "saved.npy"];
    const KNOWN_STARTS: [&str; 3] = ["hits", "prelude", "ndpool-gate."];
    let is_half_saved = |name: &str| was_player_killed && name.starts_with(".saved.npy");
    // Two things are not promised. Who is killed while it saves leaves the temporary file. And the directory of a socket gets
    // its name inside of `ipc-channel`: a supervisor that is killed before it has noted the name leaves it.
    let may_be_unnoted = |name: &str| was_player_killed && name.starts_with(".tmp");
    let is_known = |name: &String| {
        KNOWN.contains(&&**name)
            || KNOWN_STARTS.iter().any(|start| name.starts_with(start))
            || is_half_saved(name)
            || may_be_unnoted(name)
    };
    let mut names = names_in(directory);
    names.retain(|name| !is_known(name));
    names.extend(names_in(&directory.join("arrays")));
    names
}

/// A file that was saved over is whole: the old one or the new one.
fn check_saved_file(directory: &Path, may_be_old: bool, wrong: &mut Vec<String>) {
    let path: PathBuf = directory.join("saved.npy");
    let Ok(bytes) = fs::read(&path) else { return };
    if bytes == OLD_FILE || bytes.is_empty() {
        if !may_be_old {
            wrong.push("the file was not saved".into());
        }
        return;
    }
    let is_whole = Pool::builder()
        .in_process()
        .build()
        .and_then(|pool| pool.load_npy::<u64, ndarray::Ix2>(&path))
        .is_ok();
    if !is_whole {
        wrong.push(format!("half of a file was saved: {} bytes", bytes.len()));
    }
}
