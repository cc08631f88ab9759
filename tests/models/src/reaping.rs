use crate::explore::Model;

/// How files come by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `O_TMPFILE`: a file has no name until it is published.
    Nameless,
    /// A file system that does not know it: a temporary name first, which others can see.
    Temporary,
}

/// What is done wrongly, to see that it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: the product.
    None,
    /// The manifest is linked, then locked.
    LinkBeforeLock,
    /// A manifest with a temporary name is not looked at again once it is locked.
    NoLookAfterLock,
    /// The first segment is linked before the manifest.
    SegmentBeforeManifest,
    /// A reaper that finds no manifest lists what to remove only then: **was in the product**.
    ListAfterOpen,
    /// A reaper takes the lock for granted.
    NoLock,
    /// A forked child unlocks what it inherited instead of closing it.
    UnlockInChild,
    /// A forked child keeps what it inherited, for ever.
    KeepInChild,
}

const N_INODES: usize = 2;
const N_SEGMENTS: u8 = 2;

/// Who has a file open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Opener {
    /// The supervisor, or what it forked: one open file, one lock.
    Run,
    Reaper(u8),
    Lister,
}

/// What the kernel keeps: one directory, and the locks on the inodes of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Kernel {
    /// The inode under the manifest's name.
    manifest: Option<u8>,
    /// Whether `new.n` is a name, of inode `n`.
    temporary: [bool; N_INODES],
    /// Names of segments, a bit each.
    segments: u8,
    exclusive: [Option<Opener>; N_INODES],
    /// Whether the lister has its shared lock.
    shared: [bool; N_INODES],
}

impl Kernel {
    fn is_linked(&self, inode: u8) -> bool {
        self.manifest == Some(inode) || self.temporary[usize::from(inode)]
    }

    fn try_exclusive(&mut self, inode: u8, opener: Opener) -> bool {
        let i = usize::from(inode);
        let is_free = self.exclusive[i].is_none() && !self.shared[i];
        if is_free {
            self.exclusive[i] = Some(opener);
        }
        is_free
    }

    fn release(&mut self, opener: Opener) {
        for lock in &mut self.exclusive {
            if *lock == Some(opener) {
                *lock = None;
            }
        }
        if opener == Opener::Lister {
            self.shared = [false; N_INODES];
        }
    }

    fn is_empty(&self) -> bool {
        self.manifest.is_none() && self.temporary == [false; N_INODES] && self.segments == 0
    }
}

/// Next step of the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Run {
    Create(u8),
    Lock(u8),
    Look(u8),
    Link(u8),
    LockLate(u8),
    Untemporary(u8),
    Segment(u8),
    UnlinkSegment(u8),
    UnlinkManifest,
    Close,
    /// Ended, or given up before anything was visible.
    Over,
    Dead,
}

/// What the supervisor forked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Child {
    None,
    /// Has not run yet: it has the open file.
    Holding,
    Gone,
}

/// Next step of a reaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reaper {
    /// Lists the directory for runs.
    Survey,
    /// Asks whether the run lives, by a shared lock.
    Ask,
    /// Lists what the run has.
    List,
    /// Opens the manifest.
    Open {
        listed: Listed,
    },
    Lock {
        inode: u8,
    },
    ListUnderLock,
    Unlink {
        listed: Listed,
        has_lock: bool,
    },
    /// Has opened a temporary name and locks it.
    UnlinkTemporary {
        listed: Listed,
        has_lock: bool,
        inode: u8,
    },
    UnlinkManifest,
    Over,
}

/// Names that were seen and are still to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Listed {
    segments: u8,
    temporary: [bool; N_INODES],
}

/// Next step of who lists runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lister {
    Open,
    Probe { inode: u8 },
    Close,
    Over,
}

/// The lease of a run and the end of what it left.
///
/// *Goal:* no segment and no manifest of a living run is ever removed by another, and no reaper keeps a run from beginning; once everybody is dead or done, one more reaper that
/// is left alone removes everything.
///
/// *Actors:* a supervisor that creates, locks and links its manifest, links two segments, and ends in order; a child that it forks at
/// any moment after it has the lock, and that closes what it inherited when it first runs; two reapers; one who lists runs and
/// probes with a shared lock; a last reaper. All but the last may die between any two steps; the kernel then closes what they
/// had open.
///
/// *What would break it:* each [`Flaw`].
#[derive(Debug, Clone, Copy)]
pub struct Reaping {
    /// How files come by their names.
    pub naming: Naming,
    /// What is done wrongly.
    pub flaw: Flaw,
}

/// The directory, the locks, and where everybody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    kernel: Kernel,
    run: Run,
    child: Child,
    reapers: [Reaper; 2],
    last: Reaper,
    lister: Lister,
    /// What was done to a living run.
    harm: Option<&'static str>,
}

impl State {
    fn lives(&self) -> bool {
        !matches!(self.run, Run::Over | Run::Dead)
    }

    fn harm(&mut self, what: &'static str) {
        if self.lives() {
            self.harm = Some(what);
        }
    }

    /// The supervisor's open file goes, and the lock with it unless a child has the file too.
    fn close_run(&mut self) {
        if self.child != Child::Holding {
            self.kernel.release(Opener::Run);
        }
    }
}

impl Reaping {
    fn run(&self, before: &State, add: &mut dyn FnMut(&'static str, State)) {
        let mut s = *before;
        let next_try = |n: u8| if usize::from(n) + 1 < N_INODES { Run::Create(n + 1) } else { Run::Over };
        let (what, next) = match before.run {
            Run::Create(n) => {
                s.kernel.temporary[usize::from(n)] = self.naming == Naming::Temporary;
                let early = self.flaw == Flaw::LinkBeforeLock;
                ("the supervisor creates a manifest", if early { Run::Link(n) } else { Run::Lock(n) })
            }
            Run::Lock(n) => match s.kernel.try_exclusive(n, Opener::Run) {
                true => ("the supervisor locks it", Run::Look(n)),
                false => {
                    s.kernel.temporary[usize::from(n)] = false;
                    ("the supervisor finds it locked", next_try(n))
                }
            },
            Run::Look(n) => {
                let must_look = self.naming == Naming::Temporary && self.flaw != Flaw::NoLookAfterLock;
                if must_look && !s.kernel.is_linked(n) {
                    s.close_run();
                    ("the supervisor finds it without a name", next_try(n))
                } else {
                    if self.flaw == Flaw::SegmentBeforeManifest {
                        s.kernel.segments |= 1;
                    }
                    ("the supervisor writes it", Run::Link(n))
                }
            }
            Run::Link(n) => {
                if self.naming == Naming::Temporary && !s.kernel.temporary[usize::from(n)] {
                    s.close_run();
                    s.harm = Some("the manifest could not be published");
                    ("the supervisor cannot link it", Run::Over)
                } else {
                    s.kernel.manifest = Some(n);
                    let late = self.flaw == Flaw::LinkBeforeLock;
                    ("the supervisor links it", if late { Run::LockLate(n) } else { Run::Untemporary(n) })
                }
            }
            Run::LockLate(n) => {
                s.kernel.try_exclusive(n, Opener::Run);
                ("the supervisor locks it", Run::Untemporary(n))
            }
            Run::Untemporary(n) => {
                s.kernel.temporary[usize::from(n)] = false;
                ("the supervisor removes the temporary name", Run::Segment(0))
            }
            Run::Segment(i) => {
                s.kernel.segments |= 1 << i;
                let next = if i + 1 < N_SEGMENTS { Run::Segment(i + 1) } else { Run::UnlinkSegment(0) };
                ("the supervisor links a segment", next)
            }
            Run::UnlinkSegment(i) => {
                s.kernel.segments &= !(1 << i);
                let next = if i + 1 < N_SEGMENTS { Run::UnlinkSegment(i + 1) } else { Run::UnlinkManifest };
                ("the supervisor unlinks a segment", next)
            }
            Run::UnlinkManifest => {
                s.kernel.manifest = None;
                ("the supervisor unlinks the manifest", Run::Close)
            }
            Run::Close => {
                s.close_run();
                ("the supervisor closes the manifest", Run::Over)
            }
            Run::Over | Run::Dead => return,
        };
        s.run = next;
        add(what, s);

        let mut s = *before;
        s.run = Run::Dead;
        s.close_run();
        add("the supervisor dies", s);

        if before.child == Child::None && before.kernel.exclusive.contains(&Some(Opener::Run)) {
            add("the supervisor forks", State { child: Child::Holding, ..*before });
        }
    }

    fn child(&self, before: &State, add: &mut dyn FnMut(&'static str, State)) {
        if before.child != Child::Holding || self.flaw == Flaw::KeepInChild {
            return;
        }
        let mut s = State { child: Child::Gone, ..*before };
        if self.flaw == Flaw::UnlockInChild || matches!(before.run, Run::Dead | Run::Over) {
            s.kernel.release(Opener::Run);
        }
        // Its death does the same.
        add("the child closes what it inherited", s);
    }

    fn reaper(&self, before: &State, at: Reaper, who: Opener) -> Option<(&'static str, State, Reaper)> {
        let mut s = *before;
        let listed = |kernel: &Kernel| Listed { segments: kernel.segments, temporary: kernel.temporary };
        let (what, next) = match at {
            Reaper::Survey => match s.kernel.is_empty() {
                true => ("a reaper finds nothing", Reaper::Over),
                false => ("a reaper finds the run", Reaper::Ask),
            },
            Reaper::Ask => {
                let locked = s.kernel.manifest.is_some_and(|n| s.kernel.exclusive[usize::from(n)].is_some());
                match locked && self.flaw != Flaw::NoLock {
                    true => ("a reaper finds it alive", Reaper::Over),
                    false => ("a reaper takes it for dead", Reaper::List),
                }
            }
            Reaper::List => ("a reaper lists its files", Reaper::Open { listed: listed(&s.kernel) }),
            Reaper::Open { listed: before_opening } => match s.kernel.manifest {
                Some(inode) => ("a reaper opens the manifest", Reaper::Lock { inode }),
                None => {
                    let late = self.flaw == Flaw::ListAfterOpen;
                    if late {
                        (
                            "a reaper finds no manifest",
                            Reaper::Unlink {
                                listed: Listed { segments: u8::MAX, ..before_opening },
                                has_lock: false,
                            },
                        )
                    } else {
                        (
                            "a reaper finds no manifest",
                            Reaper::Unlink { listed: before_opening, has_lock: false },
                        )
                    }
                }
            },
            Reaper::Lock { inode } => match s.kernel.try_exclusive(inode, who) || self.flaw == Flaw::NoLock {
                true => ("a reaper locks the manifest", Reaper::ListUnderLock),
                false => ("a reaper finds the manifest locked", Reaper::Over),
            },
            Reaper::ListUnderLock => (
                "a reaper lists under the lock",
                Reaper::Unlink { listed: listed(&s.kernel), has_lock: true },
            ),
            Reaper::Unlink { listed: mut rest, has_lock } => {
                if rest.segments == u8::MAX {
                    // Listed only now.
                    rest.segments = s.kernel.segments;
                    ("a reaper lists late", Reaper::Unlink { listed: rest, has_lock })
                } else if rest.segments != 0 {
                    let bit = rest.segments & rest.segments.wrapping_neg();
                    if s.kernel.segments & bit != 0 {
                        s.harm("a segment was reaped");
                    }
                    s.kernel.segments &= !bit;
                    rest.segments &= !bit;
                    ("a reaper unlinks a segment", Reaper::Unlink { listed: rest, has_lock })
                } else if let Some(n) = rest.temporary.iter().position(|&is_there| is_there) {
                    rest.temporary[n] = false;
                    match s.kernel.temporary[n] {
                        true => {
                            let inode = n as u8;
                            (
                                "a reaper opens a temporary name",
                                Reaper::UnlinkTemporary { listed: rest, has_lock, inode },
                            )
                        }
                        false => ("a temporary name is gone", Reaper::Unlink { listed: rest, has_lock }),
                    }
                } else if has_lock {
                    ("a reaper is done with the files", Reaper::UnlinkManifest)
                } else {
                    ("a reaper is done", Reaper::Over)
                }
            }
            Reaper::UnlinkTemporary { listed, has_lock, inode } => {
                // Locking and unlinking in one step would hide what comes between: the lock is taken here, the name goes next.
                let i = usize::from(inode);
                if s.kernel.exclusive[i] == Some(who) {
                    s.kernel.temporary[i] = false;
                    s.kernel.exclusive[i] = None;
                    ("a reaper unlinks a temporary name", Reaper::Unlink { listed, has_lock })
                } else if s.kernel.try_exclusive(inode, who) {
                    ("a reaper locks a temporary name", at)
                } else {
                    ("a reaper finds a temporary name locked", Reaper::Unlink { listed, has_lock })
                }
            }
            Reaper::UnlinkManifest => {
                if s.kernel.manifest.is_some() {
                    s.harm("the manifest was reaped");
                }
                s.kernel.manifest = None;
                ("a reaper unlinks the manifest", Reaper::Over)
            }
            Reaper::Over => return None,
        };
        if next == Reaper::Over {
            s.kernel.release(who);
        }
        Some((what, s, next))
    }

    fn reapers(&self, before: &State, add: &mut dyn FnMut(&'static str, State)) {
        for i in 0..before.reapers.len() {
            let who = Opener::Reaper(i as u8);
            let Some((what, mut s, next)) = self.reaper(before, before.reapers[i], who) else { continue };
            s.reapers[i] = next;
            add(what, s);
            let mut s = *before;
            s.reapers[i] = Reaper::Over;
            s.kernel.release(who);
            add("a reaper dies", s);
        }
    }

    fn lister(before: &State, add: &mut dyn FnMut(&'static str, State)) {
        let mut s = *before;
        let (what, next) = match before.lister {
            Lister::Open => match s.kernel.manifest {
                Some(inode) => ("a lister opens the manifest", Lister::Probe { inode }),
                None => ("a lister finds no manifest", Lister::Over),
            },
            Lister::Probe { inode } => {
                if s.kernel.exclusive[usize::from(inode)].is_none() {
                    s.harm("a listing said that it is dead");
                    s.kernel.shared[usize::from(inode)] = true;
                }
                ("a lister probes", Lister::Close)
            }
            Lister::Close => {
                s.kernel.release(Opener::Lister);
                ("a lister closes, or dies", Lister::Over)
            }
            Lister::Over => return,
        };
        s.lister = next;
        add(what, s);
    }
}

impl Model for Reaping {
    type State = State;

    fn initial(&self) -> State {
        State {
            kernel: Kernel::default(),
            run: Run::Create(0),
            child: Child::None,
            reapers: [Reaper::Survey; 2],
            last: Reaper::Survey,
            lister: Lister::Open,
            harm: None,
        }
    }

    fn steps(&self, state: &State, add: &mut dyn FnMut(&'static str, State)) {
        self.run(state, add);
        self.child(state, add);
        self.reapers(state, add);
        Self::lister(state, add);
    }

    fn last_steps(&self, state: &State, add: &mut dyn FnMut(&'static str, State)) {
        if let Some((what, s, last)) = self.reaper(state, state.last, Opener::Reaper(2)) {
            add(what, State { last, ..s });
        }
    }

    fn check(&self, state: &State) -> Result<(), String> {
        state.harm.map_or(Ok(()), |harm| Err(format!("{harm} while the run lived")))
    }

    fn check_end(&self, state: &State) -> Result<(), String> {
        if state.kernel.is_empty() { Ok(()) } else { Err("something is left".to_owned()) }
    }
}
