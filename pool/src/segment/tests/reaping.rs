//! Goal: what is dead is reaped and what lives is not, whoever dies at whichever moment. Method: real processes, killed.

use std::fs::{self, File};
use std::mem::ManuallyDrop;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::segment::reap::reap_run_when_free;
use crate::segment::{Backing, DType, Fill, Run, RunId, Segment, list_in, reap_in};
use crate::sys::fork::fork_for_test;
use crate::sys::lock::Lease;
use crate::testing::{actor, ready, role, scratch_directory, skip, wait_until_ready};

const ACTOR: &str = "segment::tests::reaping::plays_a_role";

/// Not a test by itself: what the processes that other tests start and kill do.
/// Reaps one directory; how many dead runs there were.
fn reap_directory(directory: &Path) -> usize {
    reap_in(&[directory.to_owned()], false).unwrap().len()
}

#[test]
fn plays_a_role() {
    let Some((role, directory)) = role() else { return };
    match role.as_str() {
        "supervisor" => {
            let _held = supervise(&directory, Backing::Named);
            ready();
        }
        "supervisor with files" => {
            let _held = supervise(&directory.join("home"), Backing::File(directory.join("there")));
            ready();
        }
        "supervisor whose child ends" => {
            // The child drops its copy of the last handles; the parent keeps its own to the end.
            let held = ManuallyDrop::new(supervise(&directory, Backing::Named));
            let child = fork_for_test(move || drop(ManuallyDrop::into_inner(held)));
            nix::sys::wait::waitpid(child, None).unwrap();
            ready();
        }
        "supervisor whose child stays" => {
            let _held = supervise(&directory, Backing::Named);
            // The child says so itself, since it is without our descriptors only once it runs. It ends when the test closes the
            // input, which both of us share.
            fork_for_test(ready);
            std::io::stdin().read_line(&mut String::new()).unwrap();
        }
        "reaper" => {
            let manifest = find(&directory, "manifest");
            let _lease = Lease::try_exclusive(File::open(manifest).unwrap()).unwrap().unwrap();
            fs::remove_file(find(&directory, "1")).unwrap();
            ready();
        }
        role => panic!("no role {role}"),
    }
}

fn supervise(home: &Path, backing: Backing) -> (Arc<Run>, Vec<Arc<Segment>>) {
    let run = Run::create_at(backing, home).unwrap();
    let segments = (0..3).map(|_| Segment::npy(&run, DType::F64, &[100], Fill::Zero).unwrap()).collect();
    (run, segments)
}

fn find(directory: &Path, tail: &str) -> PathBuf {
    let ends = |path: &PathBuf| path.extension().is_some_and(|extension| extension == tail);
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).find(ends).unwrap()
}

fn start(role: &str, directory: &Path) -> Child {
    let mut child = actor(&[], ACTOR, role, directory).spawn().unwrap();
    assert!(wait_until_ready(&mut child));
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn the_dead_are_reaped_and_the_living_are_spared() {
    let directory = scratch_directory("reap");
    let (living, dying) = (start("supervisor", &directory), start("supervisor", &directory));
    let places = [directory.clone()];
    let all = list_in(&places).unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|info| info.alive && info.segments.len() == 3 && info.program.is_some()));
    assert_eq!(reap_directory(&directory), 0);
    let pid = dying.id();
    kill(dying);
    let dead = reap_in(&places, true).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].pid, dead[0].alive), (Some(pid), false));
    assert_eq!(dead[0].len_bytes(), 3 * 3 * 4096);
    assert_eq!(count(&directory), 8, "a dry run removes nothing");
    assert_eq!(reap_in(&places, false).unwrap(), dead);
    assert_eq!(count(&directory), 4);
    assert!(list_in(&places).unwrap().iter().all(|info| info.alive));
    kill(living);
    assert_eq!(reap_directory(&directory), 1);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_reaper_killed_half_way_is_taken_over() {
    let directory = scratch_directory("reap-half");
    kill(start("supervisor", &directory));
    let reaper = start("reaper", &directory);
    assert_eq!(reap_directory(&directory), 0, "one reaper at a time");
    kill(reaper);
    assert_eq!(count(&directory), 3);
    assert_eq!(reap_directory(&directory), 1);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_forked_child_that_ends_takes_nothing_with_it() {
    let directory = scratch_directory("reap-fork");
    let supervisor = start("supervisor whose child ends", &directory);
    assert_eq!(count(&directory), 4);
    assert!(list_in(std::slice::from_ref(&directory)).unwrap()[0].alive);
    assert_eq!(reap_directory(&directory), 0);
    kill(supervisor);
    assert_eq!(reap_directory(&directory), 1);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_forked_child_that_stays_does_not_keep_the_lease() {
    let directory = scratch_directory("reap-fork-stays");
    let mut supervisor = start("supervisor whose child stays", &directory);
    let input = supervisor.stdin.take();
    kill(supervisor);
    assert_eq!(reap_directory(&directory), 1);
    drop(input);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn other_directories_are_found_through_the_manifest_at_home() {
    let directory = scratch_directory("reap-files");
    let (home, there) = (directory.join("home"), directory.join("there"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&there).unwrap();
    let supervisor = start("supervisor with files", &directory);
    let all = list_in(std::slice::from_ref(&home)).unwrap();
    assert_eq!(all.iter().map(|info| info.segments.len()).collect::<Vec<_>>(), [0, 3]);
    kill(supervisor);
    let reaped = reap_in(std::slice::from_ref(&home), false).unwrap();
    assert_eq!(reaped.iter().map(|info| info.segments.len()).collect::<Vec<_>>(), [0, 3]);
    // A worker is told the directories; knowing home is enough.
    kill(start("supervisor with files", &directory));
    let run = list_in(std::slice::from_ref(&home)).unwrap()[0].run;
    assert!(reap_run_when_free(run, std::slice::from_ref(&home), Duration::ZERO).unwrap());
    assert_eq!((count(&home), count(&there)), (0, 0));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_worker_reaps_its_run_and_no_other() {
    let directory = scratch_directory("reap-run");
    let (living, dying) = (start("supervisor", &directory), start("supervisor", &directory));
    let all = list_in(std::slice::from_ref(&directory)).unwrap();
    let run_of = |child: &Child| all.iter().find(|info| info.pid == Some(child.id())).unwrap().run;
    let (live, dead) = (run_of(&living), run_of(&dying));
    let places = [directory.clone()];
    assert!(!reap_run_when_free(dead, &places, Duration::ZERO).unwrap(), "its supervisor lives");
    kill(dying);
    assert!(reap_run_when_free(dead, &places, Duration::ZERO).unwrap());
    assert!(reap_run_when_free(dead, &places, Duration::ZERO).unwrap(), "again is no harm");
    assert!(!reap_run_when_free(live, &places, Duration::ZERO).unwrap());
    assert_eq!(count(&directory), 4);
    kill(living);
    assert_eq!(reap_directory(&directory), 1);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn only_our_plain_files_are_removed() {
    let directory = scratch_directory("reap-others");
    let run = RunId::new(0x1234);
    let orphan = directory.join(format!("ndpool.{run}.7"));
    fs::write(&orphan, "no manifest").unwrap();
    let unfinished = directory.join(format!("ndpool.{run}.new.8"));
    fs::write(&unfinished, "nor this").unwrap();
    let kept = ["ndpool.prices", "other", "ndpool.0000000000001234.7x"].map(|name| directory.join(name));
    kept.iter().for_each(|path| fs::write(path, "not ours").unwrap());
    let folder = directory.join(format!("ndpool.{run}.9"));
    fs::create_dir(&folder).unwrap();
    let link = directory.join("ndpool.0000000000005678.1");
    std::os::unix::fs::symlink(&kept[0], &link).unwrap();
    let planted = directory.join("ndpool.0000000000005678.manifest");
    std::os::unix::fs::symlink(&kept[0], &planted).unwrap();
    assert_eq!(reap_directory(&directory), 1);
    assert!(!orphan.exists() && !unfinished.exists());
    assert!(kept.iter().all(|path| path.exists()) && folder.exists() && link.exists() && planted.exists());
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_file_that_is_being_created_is_left_alone() {
    let directory = scratch_directory("reap-new");
    let path = directory.join("ndpool.0000000000001234.new.0");
    let lease = Lease::try_exclusive(File::create(&path).unwrap()).unwrap().unwrap();
    reap_directory(&directory);
    assert!(path.exists());
    drop(lease);
    reap_directory(&directory);
    assert!(!path.exists());
    fs::remove_dir(directory).unwrap();
}

#[test]
fn recorded_sockets_go_with_the_run() {
    let directory = scratch_directory("reap-socket");
    let run = Run::create_at(Backing::Named, &directory).unwrap();
    let of_its_own = directory.join(".tmpAbCd");
    fs::create_dir(&of_its_own).unwrap();
    let (socket, file) = (of_its_own.join("socket"), directory.join("not a socket"));
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::write(&file, "").unwrap();
    for path in [&socket, &file] {
        run.make_socket(|| Ok(path), |path| path.as_path()).unwrap();
    }
    // A copy of the manifest under another run's name is as good as that run's death.
    let other = directory.join("ndpool.0000000000001234.manifest");
    fs::copy(directory.join(format!("ndpool.{}.manifest", run.id())), other).unwrap();
    assert_eq!(reap_directory(&directory), 1);
    assert!(!of_its_own.exists());
    assert!(file.exists());
    drop(run);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn processes_of_another_pid_namespace_are_told_apart() {
    let directory = scratch_directory("reap-namespace");
    let wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let mut command = actor(&wrapper, ACTOR, "supervisor", &directory);
    let Ok(mut child) = command.stderr(Stdio::piped()).spawn() else {
        skip("there is no `unshare`");
        return;
    };
    if wait_until_ready(&mut child) {
        let info = &list_in(std::slice::from_ref(&directory)).unwrap()[0];
        assert_eq!((info.pid, info.alive), (Some(1), true));
        assert_eq!(reap_directory(&directory), 0);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(count(&directory), 0);
    } else {
        skip("a new PID namespace is not permitted");
        child.wait().unwrap();
    }
    fs::remove_dir_all(directory).unwrap();
}
