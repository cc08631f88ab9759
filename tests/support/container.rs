//! Programs in namespaces of their own: as much of a container as a test needs, made by `unshare` and a shell script.

use crate::actor::Actor;
use std::process::Command;

/// Set where namespaces and control groups must be had: a test that would skip fails then.
const REQUIRED: &str = "NDPOOL_TEST_REQUIRE_NAMESPACES";

/// Says why a test ends early.
///
/// # Panics
///
/// If the environment says that it must not.
pub fn skip(reason: &str) {
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and {reason}");
    println!("skipped: {reason}");
}

/// How programs are set apart from this one.
#[derive(Debug, Clone)]
pub struct Container {
    wrapper: Vec<String>,
}

impl Container {
    /// Namespaces by options of `unshare`, prepared by a script that runs in them first. `None` where they are not
    /// permitted, once the reason was printed.
    ///
    /// Who is not root becomes root in a user namespace first, unless the options say who to be in one: many machines
    /// permit that to everybody.
    pub fn new(options: &[&str], script: &str) -> Option<Self> {
        let is_root = nix::unistd::geteuid().is_root() || options.contains(&"--user");
        let as_root: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
        let script = format!("{{ {script}; }} && exec \"$0\" \"$@\"");
        let wrapper = [&["unshare"], as_root, options, &["sh", "-c", &script]].concat();
        let container = Self { wrapper: wrapper.into_iter().map(str::to_owned).collect() };
        match container.trial().output() {
            Ok(output) if output.status.success() => Some(container),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                skip(&format!("`{}` is not permitted: {text}", container.wrapper.join(" ")));
                None
            }
            Err(error) => {
                skip(&format!("there is no `unshare`: {error}"));
                None
            }
        }
    }

    /// With another `/dev/shm`, mounted with these options.
    pub fn with_shared_memory(options: &str) -> Option<Self> {
        let script = format!("mount -t tmpfs -o {options} none /dev/shm");
        Self::new(&["--mount", "--propagation", "private"], &script)
    }

    fn trial(&self) -> Command {
        let mut command = Command::new(&self.wrapper[0]);
        command.args(&self.wrapper[1..]).arg("true");
        command
    }

    /// The command by which a test of this binary plays a role in the container.
    pub fn command(&self, test: &str, role: &str) -> Command {
        let wrapper: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        Actor::command(&wrapper, test, role)
    }

    /// Starts a test of this binary in the container, for a role.
    pub fn start(&self, test: &str, role: &str) -> Actor {
        Actor::spawn(self.command(test, role))
    }

    /// Has a test play a role in the container to its end.
    ///
    /// # Panics
    ///
    /// If it fails there.
    #[track_caller]
    pub fn play(&self, test: &str, role: &str) {
        play(self.command(test, role));
    }
}

/// Runs the command of an actor to its end.
///
/// # Panics
///
/// If it fails.
#[track_caller]
pub fn play(mut command: Command) {
    let output = command.output().expect("it can be started");
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes this process one of another user, for good; processes that it starts are that user's too.
///
/// # Panics
///
/// If it is not root, or has more threads than can be told.
pub fn become_user(id: u32) {
    become_member(id, id);
}

/// As [`become_user`], of this group and no other.
///
/// # Panics
///
/// As [`become_user`] does.
pub fn become_member(user: u32, group: u32) {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    setgroups(&[]).expect("root may");
    setresgid(group, group, group).expect("root may");
    setresuid(user, user, user).expect("root may");
    // As if the user had started it: its own /proc entries belong to it again.
    nix::sys::prctl::set_dumpable(true).expect("this is no special program");
}
