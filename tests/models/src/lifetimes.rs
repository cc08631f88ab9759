use crate::explore::Model;

/// What is done wrongly, to see that it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: the product.
    None,
    /// Whoever removes what nobody uses looks whether somebody has it attached, and does not take that lock alone.
    NoExclusive,
    /// Whoever attaches does not look at the name once he has the lock.
    NoLookOnceAttached,
    /// A name is taken away without its file's lock.
    NoNameLock,
    /// Whoever has the lock of a name does not look whether it is still that file's.
    NoLookOnceHeld,
    /// He looks whether the file has a name, not whether it has this one: **was in the product**.
    AnyNameWillDo,
    /// A file is linked, then locked.
    LinkBeforeLock,
    /// A file is linked, then filled.
    LinkBeforeFill,
    /// Without nameless files, the maker does not look whether a reaper was faster than his lock: **was in the product**.
    NoLookOnceMade,
    /// Whoever leaves looks for others first, and lets go then: **was in the product**.
    LookBeforeLeaving,
    /// Whoever swaps unlinks the old file and links the new one.
    SwapByUnlink,
    /// A reaper does not care for files that wait to take another's place.
    WaitingStays,
}

/// How a file exists before it has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Without any (`O_TMPFILE`).
    Nameless,
    /// With a temporary one.
    Temporary,
}

/// What an actor is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Uses the file that has the name in the beginning, and leaves.
    User,
    /// Creates a file under the name, uses it, and leaves.
    Creator,
    /// Creates one over the name, uses it, and leaves.
    Swapper,
    /// Attaches to what has the name, uses it, and leaves.
    Attacher,
    /// Takes the name away.
    Remover,
    /// Removes what nobody uses.
    Reaper,
}

const N_ACTORS: usize = 4;
const N_FILES: usize = 4;

/// Why a name is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    /// To remove what nobody uses, as the last one out or as a reaper.
    Reap,
    /// To take the name away, whoever uses the file.
    Remove,
    /// As `Reap`, so that this new file can have the name.
    Clear(u8),
    /// To give it to this new file.
    Swap(u8),
}

/// Next step of an actor. Numbers are files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    /// Makes a file.
    Make,
    /// Attaches to the file that he makes.
    Lock(u8),
    /// Looks whether it still has its temporary name.
    LookMade(u8),
    Fill(u8),
    /// Gives it the name, if that is free.
    Link(u8),
    /// Locks or fills what was linked too early.
    Late(u8),
    /// Drops the temporary name.
    Tidy(u8),
    /// Gives it a name to wait under.
    Wait(u8),
    /// Opens what has the name, to attach to it.
    Open,
    /// Attaches; whether it was named then is noted.
    Share(u8),
    /// Looks whether it still has the name.
    LookShared(u8, bool),
    Use(u8),
    /// Is not attached any more, and looks whether anybody is.
    Away(u8),
    /// As `Away`, in the wrong order: has not let go yet.
    LetGo(u8, bool),
    /// Opens what has the name, to hold the name.
    Hold(Purpose),
    /// Takes its lock.
    Grip(Purpose, u8),
    /// Looks whether the name is still that file's.
    LookHeld(Purpose, u8),
    /// Holds it.
    Held(Purpose, u8),
    /// Has it attached alone.
    Alone(Purpose, u8),
    /// Unlinked it, to link this one.
    Gap(u8),
    /// Takes the name for this one, if nobody has it.
    Claim(u8),
    /// Opens what waits under the name of this actor.
    Sweep(u8),
    /// Takes it alone.
    SweepTake(u8, u8),
    SweepUnlink(u8, u8),
    Over,
    Dead,
}

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct File {
    is_there: bool,
    is_made: bool,
    /// Who has it attached, a bit each.
    attached: u8,
    /// Who has it attached alone.
    alone: Option<u8>,
    /// Who holds the lock of its name.
    holder: Option<u8>,
}

/// The life of a published file: creation, attaching, the last one out, reaping, removal, replacement.
///
/// *Goal:* the name never leads to what is half made; what somebody uses is removed by nobody but who means to; nobody takes a name away
/// without the lock of the file that has it; who attaches has got what the name led to; a swap never shows nothing; nothing stays
/// once all have left, or, if some have died instead, once a reaper has come.
///
/// *Actors:* up to four, each with a [`Part`], who may be paused or die between any two steps, or lose their patience with a lock; in
/// the end, one more reaper.
///
/// *What would break it:* each [`Flaw`].
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Who takes part.
    pub cast: &'static [Part],
    /// How files are made.
    pub naming: Naming,
    /// What is done wrongly.
    pub flaw: Flaw,
    /// Deaths, and times that somebody loses his patience, at most.
    pub max_deaths: u8,
}

/// Names, files, locks, and where everybody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    name: Option<u8>,
    /// What waits, or is being made, under a name of its maker's.
    waiting: [Option<u8>; N_ACTORS],
    files: [File; N_FILES],
    actors: [At; N_ACTORS],
    n_deaths: u8,
    /// Whether the name was taken away on purpose, or never given.
    may_be_free: bool,
    is_reaped: bool,
    harm: Option<&'static str>,
}

impl State {
    fn file(&mut self, file: u8) -> &mut File {
        &mut self.files[usize::from(file)]
    }

    /// Closes all that an actor has open.
    fn close(&mut self, actor: u8) {
        for file in &mut self.files {
            file.attached &= !(1 << actor);
            file.alone = file.alone.filter(|&other| other != actor);
            file.holder = file.holder.filter(|&other| other != actor);
        }
    }

    /// Closes what was opened for the name, and keeps what is used.
    fn let_name_go(&mut self, actor: u8) {
        for file in &mut self.files {
            file.alone = file.alone.filter(|&other| other != actor);
            file.holder = file.holder.filter(|&other| other != actor);
        }
    }

    fn has_names(&self, file: u8) -> bool {
        self.name == Some(file) || self.waiting.contains(&Some(file))
    }

    fn is_used(&self, file: u8) -> bool {
        self.actors.iter().any(|at| at.uses() == Some(file))
    }

    fn take_name_away(&mut self, actor: u8, to: Option<u8>, is_meant: bool) {
        // If nothing has the name, unlinking it is an error.
        if let Some(file) = self.name {
            if self.file(file).holder != Some(actor) {
                self.harm = Some("a name was taken away without its file's lock");
            } else if !is_meant && self.is_used(file) {
                self.harm = Some("what is used was removed");
            }
        }
        self.name = to;
    }
}

impl At {
    /// What an actor uses: who makes a file does so from the beginning.
    fn uses(self) -> Option<u8> {
        match self {
            Self::Lock(file)
            | Self::LookMade(file)
            | Self::Fill(file)
            | Self::Link(file)
            | Self::Late(file)
            | Self::Tidy(file)
            | Self::Wait(file)
            | Self::Use(file)
            | Self::Gap(file)
            | Self::Claim(file) => Some(file),
            Self::Hold(purpose)
            | Self::Grip(purpose, _)
            | Self::LookHeld(purpose, _)
            | Self::Held(purpose, _)
            | Self::Alone(purpose, _) => match purpose {
                Purpose::Clear(file) | Purpose::Swap(file) => Some(file),
                Purpose::Reap | Purpose::Remove => None,
            },
            _ => None,
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Over | Self::Dead)
    }
}

impl Lifetimes {
    /// The steps of who makes a file, until it has the name.
    fn make(&self, s: &mut State, a: u8) -> Option<(&'static str, At)> {
        let i = usize::from(a);
        let is_temporary = self.naming == Naming::Temporary;
        let is_swapper = self.cast[i] == Part::Swapper;
        let place = if is_swapper { At::Wait } else { At::Link };
        Some(match s.actors[i] {
            At::Make => {
                // Nothing leads to a file again that has neither a name nor anybody who has opened it.
                let mut known = s.actors.iter().filter_map(|at| at.knows()).collect::<Vec<_>>();
                known.extend((0..N_FILES as u8).filter(|&file| s.has_names(file)));
                let free = (0..N_FILES as u8).find(|file| !known.contains(file)).expect("few are open");
                *s.file(free) = File { is_there: true, ..File::default() };
                if is_temporary {
                    s.waiting[i] = Some(free);
                }
                let next = if self.flaw == Flaw::LinkBeforeLock { At::Fill(free) } else { At::Lock(free) };
                ("makes a file", next)
            }
            At::Lock(file) => {
                if s.file(file).alone.is_some() {
                    s.close(a);
                    ("finds a reaper at his new file", At::Make)
                } else {
                    s.file(file).attached |= 1 << a;
                    let next = if is_temporary && self.flaw != Flaw::NoLookOnceMade {
                        At::LookMade(file)
                    } else if self.flaw == Flaw::LinkBeforeFill {
                        place(file)
                    } else {
                        At::Fill(file)
                    };
                    ("attaches to his new file", next)
                }
            }
            At::LookMade(file) => {
                if s.waiting[i] == Some(file) {
                    ("finds his new file where it was", At::Fill(file))
                } else {
                    s.close(a);
                    ("finds his new file reaped", At::Make)
                }
            }
            At::Fill(file) => {
                s.file(file).is_made = true;
                ("fills it", place(file))
            }
            At::Wait(file) => {
                s.waiting[i] = Some(file);
                ("gives it a name to wait under", At::Hold(Purpose::Swap(file)))
            }
            At::Link(file) => {
                if is_temporary && s.waiting[i] != Some(file) {
                    s.harm = Some("a creation fails");
                }
                match s.name {
                    Some(_) => ("finds the name taken", At::Hold(Purpose::Clear(file))),
                    None => {
                        s.name = Some(file);
                        s.may_be_free = false;
                        let is_ready = s.file(file).is_made && s.file(file).attached & 1 << a != 0;
                        let next = match is_temporary {
                            _ if !is_ready => At::Late(file),
                            true => At::Tidy(file),
                            false => At::Use(file),
                        };
                        ("links it", next)
                    }
                }
            }
            At::Late(file) => {
                s.file(file).attached |= 1 << a;
                s.file(file).is_made = true;
                ("completes it too late", At::Use(file))
            }
            At::Tidy(file) => {
                s.waiting[i] = None;
                ("drops the temporary name", At::Use(file))
            }
            _ => return None,
        })
    }

    /// The steps of who attaches, and of who leaves.
    fn attach(&self, s: &mut State, a: u8) -> Option<(&'static str, At)> {
        Some(match s.actors[usize::from(a)] {
            At::Open => match s.name {
                Some(file) => ("opens it", At::Share(file)),
                None => ("finds nothing", At::Over),
            },
            At::Share(file) => match s.file(file).alone {
                Some(_) => ("finds it about to be removed", At::Open),
                None => {
                    s.file(file).attached |= 1 << a;
                    let is_named = s.name == Some(file);
                    if self.flaw == Flaw::NoLookOnceAttached {
                        if !is_named {
                            s.harm = Some("somebody uses what he did not find");
                        }
                        ("attaches", At::Use(file))
                    } else {
                        ("attaches", At::LookShared(file, is_named))
                    }
                }
            },
            At::LookShared(file, was_named) => {
                if s.name == Some(file) {
                    if !s.files[usize::from(file)].is_made || !was_named {
                        s.harm = Some("somebody uses what he did not find");
                    }
                    ("looks, and uses it", At::Use(file))
                } else {
                    s.close(a);
                    ("looks, and finds another", At::Open)
                }
            }
            At::Use(file) => {
                if self.flaw == Flaw::LookBeforeLeaving {
                    let is_alone = s.file(file).attached == 1 << a && s.file(file).alone.is_none();
                    ("looks for others", At::LetGo(file, is_alone))
                } else {
                    s.close(a);
                    ("lets it go", At::Away(file))
                }
            }
            At::LetGo(_, is_alone) => {
                s.close(a);
                ("lets it go", if is_alone { At::Hold(Purpose::Reap) } else { At::Over })
            }
            At::Away(file) => {
                let is_free = s.file(file).attached == 0 && s.file(file).alone.is_none();
                let next = if is_free && s.name == Some(file) { At::Hold(Purpose::Reap) } else { At::Over };
                ("looks for others", next)
            }
            _ => return None,
        })
    }

    /// The steps of who holds a name.
    fn hold(&self, s: &mut State, a: u8) -> Option<(&'static str, At)> {
        Some(match s.actors[usize::from(a)] {
            At::Hold(purpose) => match (s.name, purpose) {
                (Some(file), _) => ("opens what has the name", At::Grip(purpose, file)),
                (None, Purpose::Clear(new)) => ("finds the name free", At::Link(new)),
                (None, Purpose::Swap(new)) => ("finds the name free", At::Claim(new)),
                (None, Purpose::Reap | Purpose::Remove) => ("finds nothing", At::Over),
            },
            At::Grip(purpose, file) => {
                if self.flaw == Flaw::NoNameLock {
                    ("holds no lock", At::LookHeld(purpose, file))
                } else if s.file(file).holder.is_some() {
                    ("finds the name held", At::Hold(purpose))
                } else {
                    s.file(file).holder = Some(a);
                    ("takes the lock of the name", At::LookHeld(purpose, file))
                }
            }
            At::LookHeld(purpose, file) => {
                let is_named = match self.flaw {
                    Flaw::NoLookOnceHeld => true,
                    Flaw::AnyNameWillDo => s.has_names(file),
                    _ => s.name == Some(file),
                };
                if is_named {
                    ("holds the name", At::Held(purpose, file))
                } else {
                    s.let_name_go(a);
                    ("finds the name another's", At::Hold(purpose))
                }
            }
            At::Held(Purpose::Remove, _) => {
                s.may_be_free = true;
                s.take_name_away(a, None, true);
                s.close(a);
                ("takes the name away", At::Over)
            }
            At::Held(Purpose::Swap(new), _) => {
                let to = (self.flaw != Flaw::SwapByUnlink).then_some(new);
                s.take_name_away(a, to, true);
                s.let_name_go(a);
                if to.is_some() {
                    s.waiting[usize::from(a)] = None;
                    ("gives the name to the new file", At::Use(new))
                } else {
                    ("unlinks the old file", At::Gap(new))
                }
            }
            At::Held(purpose, file) => {
                let there = s.file(file);
                if there.attached == 0 && there.alone.is_none() {
                    if self.flaw != Flaw::NoExclusive {
                        there.alone = Some(a);
                    }
                    ("finds nobody attached", At::Alone(purpose, file))
                } else {
                    s.let_name_go(a);
                    match purpose {
                        Purpose::Clear(_) => {
                            s.close(a);
                            s.waiting[usize::from(a)] = None;
                            ("is refused the name", At::Over)
                        }
                        _ => ("finds it used", At::Over),
                    }
                }
            }
            At::Alone(purpose, _) => {
                s.may_be_free = true;
                s.take_name_away(a, None, false);
                s.let_name_go(a);
                let next = if let Purpose::Clear(new) = purpose { At::Link(new) } else { At::Over };
                ("removes what nobody uses", next)
            }
            At::Gap(new) | At::Claim(new) => match s.name {
                Some(_) => ("finds the name taken again", At::Hold(Purpose::Swap(new))),
                None => {
                    s.name = Some(new);
                    s.waiting[usize::from(a)] = None;
                    s.may_be_free = false;
                    ("takes a free name", At::Use(new))
                }
            },
            _ => return None,
        })
    }

    /// The steps of a reaper with the file that waits under the name of one actor after the other.
    fn sweep(&self, s: &mut State, a: u8) -> Option<(&'static str, At)> {
        let next = |slot: u8| {
            let is_last = usize::from(slot) + 1 == self.cast.len();
            if is_last { At::Hold(Purpose::Reap) } else { At::Sweep(slot + 1) }
        };
        Some(match s.actors[usize::from(a)] {
            At::Sweep(slot) => match s.waiting[usize::from(slot)] {
                Some(file) if self.flaw != Flaw::WaitingStays => {
                    ("opens what waits", At::SweepTake(slot, file))
                }
                _ => ("finds nothing that waits", next(slot)),
            },
            At::SweepTake(slot, file) => {
                let there = s.file(file);
                if there.attached == 0 && there.alone.is_none() {
                    there.alone = Some(a);
                    ("finds nobody attached to what waits", At::SweepUnlink(slot, file))
                } else {
                    ("leaves what waits", next(slot))
                }
            }
            At::SweepUnlink(slot, file) => {
                // Random names are used once: what is there now is what was opened, or has another name.
                if s.waiting[usize::from(slot)] == Some(file) {
                    if s.is_used(file) && s.file(file).attached != 0 {
                        s.harm = Some("what is used was removed");
                    }
                    s.waiting[usize::from(slot)] = None;
                }
                s.let_name_go(a);
                ("removes what waits", next(slot))
            }
            _ => return None,
        })
    }
}

impl At {
    /// The file that an actor has open.
    fn knows(self) -> Option<u8> {
        match self {
            Self::Share(file)
            | Self::LookShared(file, _)
            | Self::Away(file)
            | Self::LetGo(file, _)
            | Self::Grip(_, file)
            | Self::LookHeld(_, file)
            | Self::Held(_, file)
            | Self::Alone(_, file)
            | Self::SweepTake(_, file)
            | Self::SweepUnlink(_, file) => Some(file),
            _ => self.uses(),
        }
    }
}

impl Model for Lifetimes {
    type State = State;

    fn initial(&self) -> State {
        let mut state = State {
            name: None,
            waiting: [None; N_ACTORS],
            files: [File::default(); N_FILES],
            actors: [At::Over; N_ACTORS],
            n_deaths: 0,
            may_be_free: true,
            is_reaped: false,
            harm: None,
        };
        for (i, part) in self.cast.iter().enumerate() {
            state.actors[i] = match part {
                Part::User => {
                    (state.name, state.may_be_free) = (Some(0), false);
                    let attached = state.files[0].attached | 1 << i;
                    state.files[0] = File { is_there: true, is_made: true, attached, ..File::default() };
                    At::Use(0)
                }
                Part::Creator | Part::Swapper => At::Make,
                Part::Attacher => At::Open,
                Part::Remover => At::Hold(Purpose::Remove),
                Part::Reaper => At::Sweep(0),
            };
        }
        state
    }

    fn steps(&self, state: &State, add: &mut dyn FnMut(&'static str, State)) {
        for i in 0..self.cast.len() {
            let (at, a) = (state.actors[i], i as u8);
            if at.is_over() {
                continue;
            }
            let mut s = *state;
            let step = self
                .make(&mut s, a)
                .or_else(|| self.attach(&mut s, a))
                .or_else(|| self.hold(&mut s, a))
                .or_else(|| self.sweep(&mut s, a));
            let (what, next) = step.expect("everybody has a next step");
            s.actors[i] = next;
            add(what, s);
            if state.n_deaths < self.max_deaths {
                let mut s = State { n_deaths: state.n_deaths + 1, ..*state };
                s.close(a);
                s.actors[i] = At::Dead;
                add("dies", s);
                let is_kept_waiting =
                    matches!((at, next), (At::Grip(..), At::Hold(_)) | (At::Share(_), At::Open));
                if is_kept_waiting {
                    s.waiting[i] = None;
                    s.actors[i] = At::Over;
                    add("loses his patience", s);
                }
            }
        }
    }

    fn last_steps(&self, state: &State, add: &mut dyn FnMut(&'static str, State)) {
        if state.is_reaped {
            return;
        }
        let mut s = State { is_reaped: true, ..*state };
        if self.flaw != Flaw::WaitingStays {
            s.waiting = s.waiting.map(|file| file.filter(|&file| s.file(file).attached != 0));
        }
        s.name = s.name.filter(|&file| s.file(file).attached != 0);
        s.may_be_free = true;
        add("a reaper comes last", s);
    }

    fn check(&self, state: &State) -> Result<(), String> {
        if let Some(harm) = state.harm {
            return Err(harm.to_owned());
        }
        let is_made = |file: u8| state.files[usize::from(file)].is_made;
        if !state.name.is_none_or(is_made) {
            return Err("the name leads to what is half made".to_owned());
        }
        if state.name.is_none() && !state.may_be_free {
            return Err("the name leads nowhere in a swap".to_owned());
        }
        let has_left =
            state.actors.iter().all(|at| *at == At::Over) && !state.is_reaped && state.n_deaths == 0;
        if has_left && (state.name.is_some() || state.waiting != [None; N_ACTORS]) {
            return Err("all have left, and something stays".to_owned());
        }
        Ok(())
    }

    fn check_end(&self, state: &State) -> Result<(), String> {
        if state.name.is_some() || state.waiting != [None; N_ACTORS] {
            return Err("something is left".to_owned());
        }
        Ok(())
    }
}
