use crate::explore::Model;

/// What is done wrongly, to see that it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: the product.
    None,
    /// The supervisor links the manifest at home after the other.
    HomeLast,
    /// The supervisor unlinks the manifest at home before the other when it ends.
    HomeFirstAtTheEnd,
    /// A reaper unlinks the manifest at home though the other directory has another reaper.
    HomeThoughBusy,
    /// There is no manifest in the other directory: its segments are taken for dead by whoever looks there.
    NoManifestThere,
}

/// Who may hold a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Run,
    /// Comes by way of home.
    Home,
    /// Looks in the other directory alone.
    There,
    Last,
}

/// Names and locks of both directories: home, and the one with segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Disk {
    manifest: [bool; 2],
    lock: [Option<Who>; 2],
    segment: bool,
}

const HOME: usize = 0;
const THERE: usize = 1;

impl Disk {
    fn try_lock(&mut self, at: usize, who: Who) -> bool {
        let is_free = self.lock[at].is_none();
        if is_free {
            self.lock[at] = Some(who);
        }
        is_free
    }

    fn close(&mut self, who: Who) {
        for lock in &mut self.lock {
            if *lock == Some(who) {
                *lock = None;
            }
        }
    }
}

/// Next step of the supervisor; each creation is a lock and a link, which `Reaping` has one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Run {
    Manifest(usize),
    Segment,
    UnlinkSegment,
    UnlinkManifest(usize),
    Over,
}

/// Next step of a reaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reaper {
    LockHome,
    LookThere,
    LockThere,
    UnlinkSegment,
    UnlinkThere,
    UnlinkHome { is_busy: bool },
    Over,
}

/// A run with segments in a directory of the user's, found by way of the manifest at home.
///
/// *Goal:* as for [`Reaping`](crate::reaping::Reaping): nothing of a living run is reaped, and once everybody is dead or done a last
/// reaper, which looks at home alone, removes everything in both directories.
///
/// *Actors:* the supervisor; a reaper that comes by way of home; one that was pointed at the other directory; each may die between any two
/// steps; the last reaper.
///
/// *What would break it:* each [`Flaw`].
#[derive(Debug, Clone, Copy)]
pub struct Directories {
    /// What is done wrongly.
    pub flaw: Flaw,
}

/// Both directories, and where everybody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    disk: Disk,
    run: Run,
    lives: bool,
    home: Reaper,
    there: Reaper,
    last: Reaper,
    harm: bool,
}

impl Directories {
    fn run(&self, before: &State, add: &mut dyn FnMut(&'static str, State)) {
        let mut s = *before;
        let (first, second) = if self.flaw == Flaw::HomeLast { (THERE, HOME) } else { (HOME, THERE) };
        let (last_but_one, last) =
            if self.flaw == Flaw::HomeFirstAtTheEnd { (HOME, THERE) } else { (THERE, HOME) };
        let (what, next) = match before.run {
            Run::Manifest(nth) => {
                let at = if nth == 0 { first } else { second };
                if at == HOME || self.flaw != Flaw::NoManifestThere {
                    s.disk.try_lock(at, Who::Run);
                    s.disk.manifest[at] = true;
                }
                (
                    "the supervisor publishes a manifest",
                    if nth == 0 { Run::Manifest(1) } else { Run::Segment },
                )
            }
            Run::Segment => {
                s.disk.segment = true;
                ("the supervisor links a segment", Run::UnlinkSegment)
            }
            Run::UnlinkSegment => {
                s.disk.segment = false;
                ("the supervisor unlinks the segment", Run::UnlinkManifest(0))
            }
            Run::UnlinkManifest(nth) => {
                let at = if nth == 0 { last_but_one } else { last };
                s.disk.manifest[at] = false;
                s.disk.lock[at] = s.disk.lock[at].filter(|&who| who != Who::Run);
                s.lives = nth == 0;
                (
                    "the supervisor unlinks a manifest",
                    if nth == 0 { Run::UnlinkManifest(1) } else { Run::Over },
                )
            }
            Run::Over => return,
        };
        s.run = next;
        add(what, s);
        let mut s = State { run: Run::Over, lives: false, ..*before };
        s.disk.close(Who::Run);
        add("the supervisor dies", s);
    }

    fn reaper(&self, before: &State, at: Reaper, who: Who) -> Option<(&'static str, State, Reaper)> {
        let mut s = *before;
        let (what, next) = match at {
            Reaper::LockHome => {
                if !s.disk.manifest[HOME] || !s.disk.try_lock(HOME, who) {
                    ("a reaper finds no run at home, or a living one", Reaper::Over)
                } else {
                    ("a reaper locks the manifest at home", Reaper::LookThere)
                }
            }
            Reaper::LookThere => match s.disk.manifest[THERE] {
                true => ("a reaper finds the other manifest", Reaper::LockThere),
                // Whoever looks in that directory takes what has no manifest for dead; who comes from home does not look.
                false if who == Who::There && s.disk.segment => {
                    ("a reaper finds no manifest", Reaper::UnlinkSegment)
                }
                false => ("a reaper finds nothing in the other directory", self.after_there(who, false)),
            },
            Reaper::LockThere => match s.disk.manifest[THERE] && s.disk.try_lock(THERE, who) {
                true => ("a reaper locks the other manifest", Reaper::UnlinkSegment),
                false => (
                    "a reaper finds the other manifest locked",
                    self.after_there(who, s.disk.manifest[THERE]),
                ),
            },
            Reaper::UnlinkSegment => {
                s.harm |= s.lives && s.disk.segment;
                s.disk.segment = false;
                ("a reaper unlinks the segment", Reaper::UnlinkThere)
            }
            Reaper::UnlinkThere => {
                s.harm |= s.lives && s.disk.manifest[THERE];
                s.disk.manifest[THERE] = false;
                ("a reaper unlinks the other manifest", self.after_there(who, false))
            }
            Reaper::UnlinkHome { is_busy } => {
                if !is_busy || self.flaw == Flaw::HomeThoughBusy {
                    s.harm |= s.lives && s.disk.manifest[HOME];
                    s.disk.manifest[HOME] = false;
                }
                ("a reaper is done at home", Reaper::Over)
            }
            Reaper::Over => return None,
        };
        if next == Reaper::Over {
            s.disk.close(who);
        }
        Some((what, s, next))
    }

    fn after_there(&self, who: Who, is_busy: bool) -> Reaper {
        if who == Who::There { Reaper::Over } else { Reaper::UnlinkHome { is_busy } }
    }
}

impl Model for Directories {
    type State = State;

    fn initial(&self) -> State {
        State {
            disk: Disk::default(),
            run: Run::Manifest(0),
            lives: true,
            home: Reaper::LockHome,
            there: Reaper::LookThere,
            last: Reaper::LockHome,
            harm: false,
        }
    }

    fn steps(&self, state: &State, add: &mut dyn FnMut(&'static str, State)) {
        self.run(state, add);
        if let Some((what, s, home)) = self.reaper(state, state.home, Who::Home) {
            add(what, State { home, ..s });
            let mut s = State { home: Reaper::Over, ..*state };
            s.disk.close(Who::Home);
            add("a reaper dies", s);
        }
        if let Some((what, s, there)) = self.reaper(state, state.there, Who::There) {
            add(what, State { there, ..s });
            let mut s = State { there: Reaper::Over, ..*state };
            s.disk.close(Who::There);
            add("a reaper dies", s);
        }
    }

    fn last_steps(&self, state: &State, add: &mut dyn FnMut(&'static str, State)) {
        if let Some((what, s, last)) = self.reaper(state, state.last, Who::Last) {
            add(what, State { last, ..s });
        }
    }

    fn check(&self, state: &State) -> Result<(), String> {
        if state.harm { Err("something of a living run was reaped".to_owned()) } else { Ok(()) }
    }

    fn check_end(&self, state: &State) -> Result<(), String> {
        let is_clean = !state.disk.segment && state.disk.manifest == [false; 2];
        if is_clean { Ok(()) } else { Err("something is left".to_owned()) }
    }
}
