//! `ndpool stress`: the chaos soak. Supervisors run jobs of all kinds, a killer kills them and their workers, shared memory runs
//! full, and every result is checked to the bit.
//!
//! ```text
//!  director ──── stdin: quiet, go ───► supervisor 0 … n−1 ──── pools ───► workers
//!     │  ▲                                 │                                │
//!     │  └──────── stdout: reports ────────┘                                │
//!     └───── signals through pidfds ───────►────────────────────────────────►
//! ```
//!
//! All are processes of this program. The director trusts no supervisor to be alive, and no clock while it is stopped; what it
//! signals it knows by a mark in the environment and holds by a pidfd.
//!
//! | file | concept |
//! |---|---|
//! | `chance` | random numbers with a seed |
//! | `tasks` | what workers run |
//! | `exact` | whether an outcome is right |
//! | `jobs` | the kinds of jobs |
//! | `report` | what supervisors tell |
//! | `holdings` | descriptors, mappings, memory |
//! | `supervisor` | the process that builds pools |
//! | `pidfd`, `herd` | the processes of a soak, and no others |
//! | `killer` | what happens to them |
//! | `shm` | a shared memory of one's own, and filling it |
//! | `figures` | the summary |
//! | `crew` | supervisors as the director has them |
//! | `director` | who runs all this |
//! | `shared` | `ndpool stress --shared`: the soak of what is shared by name |

mod chance;
mod crew;
mod director;
mod exact;
mod figures;
mod herd;
mod holdings;
mod jobs;
mod killer;
mod pidfd;
mod report;
mod shared;
mod shm;
mod supervisor;
mod tasks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::resource::{Resource, setrlimit};

use crate::args::StressArgs;
use crate::failure::Failure;
use crate::output::{print, print_json};
use director::Director;

pub use shared::run_actor as run_shared_actor;
pub use supervisor::run as run_supervisor;

const NOT_WANTED: &str = "--no-fill";

/// `ndpool stress`.
pub fn run(args: &StressArgs) -> Result<(), Failure> {
    // While there is but one thread.
    let private = if args.no_fill {
        Err(NOT_WANTED.into())
    } else {
        shm::make_private().map_err(|error| format!("a mount namespace is not permitted here: {error}"))
    };
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    if args.shared {
        return shared::run(args, seed, private.is_ok());
    }
    let io = |what: &'static str| move |error| Failure::Stress(format!("{what}: {error}"));
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::Stress(format!("signals cannot be handled: {error}")))?;
    // Crashes are meant; nobody wants to look at them.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let directory = Directory::make().map_err(io("cannot make a directory for the soak"))?;
    let director = Director::new(args, seed, directory.0.clone(), private.is_ok(), is_interrupted);
    let mut figures = director.run().map_err(io("a supervisor cannot be started"))?;
    drop(directory);
    if let Err(why) = private {
        figures.not_exercised.push(format!("a full /dev/shm: {why}"));
    }
    if figures.saved_files_checked == 0 {
        figures.not_exercised.push("files that a killed supervisor had saved: there was none".into());
    }
    if figures.quiet_points == 0 {
        figures
            .not_exercised
            .push("the end of all pools while supervisors live on: it was too short for that".into());
    }
    if figures.blocks_finished == 0 {
        figures.not_exercised.push("a death while rows are written back: no kill fell into it".into());
    }
    let orphans = figures.kills.values().any(|targets| targets.contains_key(&figures::Target::Orphan));
    if !orphans {
        figures
            .not_exercised
            .push("the death of a worker that cleans up after its supervisor: none was slow enough".into());
    }
    if args.json {
        print_json(&figures)?;
    } else {
        print(&figures.to_string())?;
    }
    if figures.is_clean() { Ok(()) } else { Err(Failure::Stress(what_broke(&figures))) }
}

fn what_broke(figures: &figures::Figures) -> String {
    let figures::Figures { seed, wrong, hangs, leaks, .. } = figures;
    format!(
        "{} wrong results, {} hangs, {} leaks\n(hint: this is a bug of ndpool or of the machine; please report it \
         with the summary and `--seed {seed}`)",
        wrong.n, hangs.n, leaks.n
    )
}

/// A directory for files of the soak, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn make() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("ndpool-stress.{}", std::process::id()));
        // Left by an earlier process of this number, if by anybody.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path)?;
        let this = Self(path);
        this.add("segments")?;
        this.add("tmp")?;
        Ok(this)
    }

    fn add(&self, name: &str) -> std::io::Result<()> {
        std::fs::create_dir(Path::new(&self.0).join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
