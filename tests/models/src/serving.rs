use crate::explore::Model;

/// What is done wrongly, to see that it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: the product.
    None,
    /// Who takes a name away does not look, once he holds it, whether his catalog counts: **was in the product**.
    NoLookOnceHeld,
    /// A server that begins does not wait for the names of what it takes over: **was in the product**.
    NoWaitForNames,
    /// A reaper looks whether there is no catalog before it holds the item's name: **was in the product**.
    LookBeforeHeld,
    /// A server is seen to live before it has the lock of the catalog: **was in the product**.
    ServerBeforeLock,
    /// Who swaps replaces whatever has the name by then: **was in the product**.
    SwapWhatever,
    /// Who has published does not look at the catalog again.
    NoLookAfterwards,
}

/// What an actor is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Has served from the beginning, and ends.
    Serves,
    /// Begins to serve, and ends.
    Begins,
    /// Creates the item, or swaps it.
    Publishes,
    /// Removes the item.
    Removes,
    /// Removes what a killed server has left.
    ReapsDead,
    /// Removes an item without a catalog.
    ReapsOrphan,
    /// Takes the catalog's name away by hand.
    Meddles,
}

/// What is there in the beginning, if nobody serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Item and catalog of a server that was killed, to be taken over.
    ToRecover,
    /// The same, to be removed.
    ToRemove,
    /// The item alone.
    Orphan,
}

const N_ACTORS: usize = 4;
/// One that is there in the beginning, and one of each actor.
const N_FILES: usize = N_ACTORS + 1;

/// Why the item's name is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    /// To take over what is there, with this catalog.
    TakeOver(u8),
    /// To remove what the server before has left.
    Clear(u8),
    /// To remove it as the server that ends, with the lock or without it.
    End(u8, bool),
    /// To remove it for a client.
    Remove(u8),
    /// To give the name to this actor's file, in the place of the old one. Last who serves.
    Swap(u8, u8, u8),
    /// To take back what this actor has published.
    TakeBack,
    /// To remove what a killed server has left.
    ReapDead(u8),
    /// To remove what has no catalog.
    ReapOrphan,
}

/// Next step of an actor. Numbers are catalogs, files and actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    /// Opens the catalog, or makes one.
    Begin,
    /// Takes the catalog's lock; whether that is for the beginning.
    Lock(u8),
    /// Looks whether the catalog counts.
    LookLocked(u8),
    /// Takes the role of the server.
    TakeServer(u8),
    /// Gives the lock back, having begun.
    Begun(u8),
    Serve(u8),
    /// Takes the lock, to end.
    LockToEnd(u8),
    /// Takes the catalog's name away, as a server that ends, or a reaper.
    RemoveCatalog(u8),
    /// The same without the lock, and then the item.
    RemoveCatalogFirst(u8),
    /// Opens the catalog as a client.
    Open,
    /// Looks what has the item's name.
    LookItem(u8),
    /// Takes the lock, as a client. Last the file that has the name.
    LockToPublish(u8, Option<u8>),
    /// Looks whether the catalog counts, and whether a server lives.
    LookPublish(u8, Option<u8>),
    LookServed(u8, Option<u8>),
    /// Looks whether the catalog counts, right before the link.
    Ask(u8, u8),
    Link(u8, u8),
    /// Gives the lock back, having published.
    Published(u8, u8),
    LookAgain(u8, u8),
    /// Opens the catalog as a reaper, takes its lock, looks for a server.
    OpenToReap,
    LockToReap(u8),
    LookToReap(u8),
    /// Looks for a catalog too early.
    LookForCatalog,
    Meddle,
    /// Opens what has the item's name, takes its lock, looks whether the name is still that file's, and whether it may do what it is there
    /// for; and does.
    Hold(Purpose),
    Grip(Purpose, u8),
    LookHeld(Purpose, u8),
    Held(Purpose, u8),
    Do(Purpose, u8),
    Over,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Catalog {
    /// Who holds its lock.
    lock: Option<u8>,
    /// Who serves.
    server: Option<u8>,
    /// Its name was taken away as it should be, and that can be seen.
    is_stale: bool,
    /// What it says about the items of a killed server.
    removes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct File {
    /// Who holds its name.
    holder: Option<u8>,
    /// The server that has taken it over, or under which its publisher was told that it is published.
    of: Option<u8>,
}

/// Servers of one name that begin and end, publishers, reapers, and one item.
///
/// *Goal:* what a living server has, because it was published under it or taken over by it, is taken away by nobody but who does so under that
/// server's catalog; a swap replaces what it was to replace; nothing stays when all have ended, unless somebody died.
///
/// *Actors:* up to four, each with a [`Part`], who may be stopped for as long as one likes, or die, between any two steps, or lose their
/// patience with a lock.
///
/// *What would break it:* each [`Flaw`].
#[derive(Debug, Clone, Copy)]
pub struct Serving {
    /// Who takes part.
    pub cast: &'static [Part],
    /// What is there, if nobody serves from the beginning.
    pub left: Left,
    /// Whether servers that begin have what is left removed if they are killed, and so what lies there without a catalog.
    pub removes: bool,
    /// What is done wrongly.
    pub flaw: Flaw,
    /// Deaths, and times that somebody loses his patience, at most.
    pub max_deaths: u8,
}

/// Names, locks, and where everybody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    catalog: Option<u8>,
    item: Option<u8>,
    catalogs: [Catalog; N_FILES],
    files: [File; N_FILES],
    actors: [At; N_ACTORS],
    n_deaths: u8,
    /// Whether somebody died, gave up where he could not go on, or meddled: then something may stay.
    may_stay: bool,
    harm: Option<&'static str>,
}

impl State {
    /// Whether a catalog counts.
    fn counts(&self, catalog: u8) -> bool {
        match self.catalog {
            None => !self.catalogs[usize::from(catalog)].is_stale,
            Some(other) => other == catalog,
        }
    }

    fn server(&self, catalog: u8) -> Option<u8> {
        self.catalogs[usize::from(catalog)].server
    }

    fn of(&mut self, catalog: u8) -> &mut Catalog {
        &mut self.catalogs[usize::from(catalog)]
    }

    fn file(&mut self, file: u8) -> &mut File {
        &mut self.files[usize::from(file)]
    }

    /// Takes the lock of a catalog, if it is free.
    fn lock(&mut self, catalog: u8, actor: u8) -> bool {
        let lock = &mut self.of(catalog).lock;
        let is_free = lock.is_none_or(|other| other == actor);
        *lock = lock.or(Some(actor));
        is_free
    }

    fn unlock(&mut self, actor: u8) {
        for catalog in &mut self.catalogs {
            catalog.lock = catalog.lock.filter(|&other| other != actor);
        }
    }

    fn let_name_go(&mut self, actor: u8) {
        for file in &mut self.files {
            file.holder = file.holder.filter(|&other| other != actor);
        }
    }

    /// Closes all that an actor has open.
    fn close(&mut self, actor: u8) {
        self.unlock(actor);
        self.let_name_go(actor);
        for catalog in &mut self.catalogs {
            catalog.server = catalog.server.filter(|&other| other != actor);
        }
    }

    fn remove_catalog(&mut self, catalog: u8) {
        if self.catalog == Some(catalog) {
            self.of(catalog).is_stale = true;
            self.catalog = None;
        }
    }

    /// The item loses its name by who acts under a catalog, or under none.
    fn take_name(&mut self, by: u8, under: Option<u8>, to: Option<u8>) {
        let Some(file) = self.item else {
            self.harm = Some("a name was taken that was gone");
            return;
        };
        let of = self.files[usize::from(file)].of;
        if let Some(server) = of {
            if server == by && matches!(self.actors[usize::from(by)], At::Do(Purpose::Clear(_), _)) {
                self.harm = Some("a server that begins removed what was published under it");
            }
            match self.actors[usize::from(server)] {
                At::Serve(catalog) if self.catalog == Some(catalog) && under != Some(catalog) => {
                    self.harm = Some("a living server's item was taken away under another catalog");
                }
                _ => {}
            }
        }
        self.item = to;
    }
}

impl Purpose {
    /// The catalog under which somebody acts.
    fn under(self) -> Option<u8> {
        match self {
            Self::TakeOver(catalog)
            | Self::Clear(catalog)
            | Self::End(catalog, _)
            | Self::Remove(catalog)
            | Self::Swap(catalog, ..)
            | Self::ReapDead(catalog) => Some(catalog),
            Self::TakeBack | Self::ReapOrphan => None,
        }
    }

    /// What comes once the item is dealt with, or if there is none.
    fn then(self) -> At {
        match self {
            Self::Clear(catalog) => At::Hold(Self::TakeOver(catalog)),
            Self::TakeOver(catalog) => At::Begun(catalog),
            Self::End(catalog, true) | Self::ReapDead(catalog) => At::RemoveCatalog(catalog),
            Self::Swap(catalog, _, server) => At::Published(catalog, server),
            Self::End(_, false) | Self::Remove(_) | Self::TakeBack | Self::ReapOrphan => At::Over,
        }
    }
}

impl Serving {
    /// The steps of a server, but for those at the item.
    fn serve(&self, s: &mut State, a: u8) -> Option<(&'static str, At)> {
        let own = a + 1;
        Some(match s.actors[usize::from(a)] {
            At::Begin => match s.catalog {
                Some(catalog) if s.server(catalog).is_some() => ("finds a server", At::Over),
                Some(catalog) if self.flaw == Flaw::ServerBeforeLock => ("attaches", At::TakeServer(catalog)),
                Some(catalog) => ("attaches", At::Lock(catalog)),
                None => {
                    let lock = (self.flaw != Flaw::ServerBeforeLock).then_some(a);
                    let server = Some(a);
                    *s.of(own) = Catalog { lock, server, is_stale: false, removes: self.removes };
                    s.catalog = Some(own);
                    ("makes a catalog", At::Lock(own))
                }
            },
            At::Lock(catalog) => {
                if s.lock(catalog, a) {
                    ("takes the lock", At::LookLocked(catalog))
                } else if s.counts(catalog) {
                    return None;
                } else {
                    s.close(a);
                    ("begins anew", At::Begin)
                }
            }
            At::LookLocked(catalog) => {
                if s.counts(catalog) {
                    ("looks at the catalog", self.locked(s, catalog, a))
                } else {
                    s.close(a);
                    ("begins anew", At::Begin)
                }
            }
            At::TakeServer(catalog) => {
                if s.server(catalog).is_some() {
                    s.close(a);
                    ("finds another server", At::Over)
                } else {
                    s.of(catalog).server = Some(a);
                    let next = match self.flaw {
                        Flaw::ServerBeforeLock => At::Lock(catalog),
                        _ => self.locked(s, catalog, a),
                    };
                    ("takes the server's role", next)
                }
            }
            At::Begun(catalog) => {
                s.of(catalog).removes = self.removes;
                s.unlock(a);
                ("has begun", At::Serve(catalog))
            }
            At::Serve(catalog) => ("is to end", At::LockToEnd(catalog)),
            At::LockToEnd(catalog) => {
                if !s.lock(catalog, a) {
                    return None;
                }
                ("takes the lock to end", At::Hold(Purpose::End(catalog, true)))
            }
            At::RemoveCatalogFirst(catalog) => {
                s.remove_catalog(catalog);
                ("removes the catalog, without the lock", At::Hold(Purpose::End(catalog, false)))
            }
            At::RemoveCatalog(catalog) => {
                s.remove_catalog(catalog);
                s.close(a);
                ("removes the catalog", At::Over)
            }
            _ => return None,
        })
    }

    /// What a server does that has the lock of a catalog that counts.
    fn locked(&self, s: &mut State, catalog: u8, a: u8) -> At {
        if s.server(catalog) != Some(a) {
            At::TakeServer(catalog)
        } else if s.of(catalog).removes {
            At::Hold(Purpose::Clear(catalog))
        } else {
            At::Hold(Purpose::TakeOver(catalog))
        }
    }

    /// The steps of clients, reapers and others, but for those at the item.
    fn come_and_go(&self, s: &mut State, a: u8) -> Option<(&'static str, At)> {
        let own = a + 1;
        let part = self.cast[usize::from(a)];
        Some(match s.actors[usize::from(a)] {
            At::Open => match s.catalog {
                Some(catalog) => ("opens the catalog", At::LookItem(catalog)),
                None => ("finds no server", At::Over),
            },
            At::LookItem(catalog) => ("looks what is there", At::LockToPublish(catalog, s.item)),
            At::LockToPublish(catalog, old) => {
                if s.lock(catalog, a) {
                    ("takes the lock", At::LookPublish(catalog, old))
                } else if s.counts(catalog) {
                    return None;
                } else {
                    ("finds the catalog gone", At::Over)
                }
            }
            At::LookPublish(catalog, old) => {
                if !s.counts(catalog) {
                    s.close(a);
                    ("finds the catalog gone", At::Over)
                } else if part == Part::Removes {
                    ("looks at the catalog", At::Hold(Purpose::Remove(catalog)))
                } else {
                    ("looks at the catalog", At::LookServed(catalog, old))
                }
            }
            At::LookServed(catalog, old) => match (s.server(catalog), old) {
                (None, _) => {
                    s.close(a);
                    ("finds no server", At::Over)
                }
                (Some(server), None) => ("finds a server", At::Ask(catalog, server)),
                (Some(server), Some(old)) => {
                    ("finds a server", At::Hold(Purpose::Swap(catalog, old, server)))
                }
            },
            At::Ask(catalog, server) => {
                if s.counts(catalog) {
                    ("looks at the catalog once more", At::Link(catalog, server))
                } else {
                    s.close(a);
                    ("finds the catalog gone", At::Over)
                }
            }
            At::Link(catalog, server) => {
                if s.item.is_some() {
                    s.close(a);
                    ("finds the name taken", At::Over)
                } else {
                    s.item = Some(own);
                    ("links its file", At::Published(catalog, server))
                }
            }
            At::Published(catalog, server) => {
                s.unlock(a);
                ("gives the lock back", At::LookAgain(catalog, server))
            }
            At::LookAgain(catalog, server) => {
                if s.counts(catalog) || self.flaw == Flaw::NoLookAfterwards {
                    s.file(own).of.get_or_insert(server);
                    ("has published", At::Over)
                } else {
                    ("finds the catalog gone", At::Hold(Purpose::TakeBack))
                }
            }
            At::OpenToReap => match s.catalog {
                Some(catalog) if s.server(catalog).is_none() => ("finds no server", At::LockToReap(catalog)),
                _ => ("finds nothing to reap", At::Over),
            },
            At::LockToReap(catalog) => {
                if !s.lock(catalog, a) {
                    return None;
                }
                ("takes the lock", At::LookToReap(catalog))
            }
            At::LookToReap(catalog) => {
                if s.counts(catalog) && s.server(catalog).is_none() {
                    ("looks again", At::Hold(Purpose::ReapDead(catalog)))
                } else {
                    s.close(a);
                    ("finds a server", At::Over)
                }
            }
            At::LookForCatalog => match s.catalog {
                None => ("finds no catalog", At::Hold(Purpose::ReapOrphan)),
                Some(_) => ("finds a catalog", At::Over),
            },
            At::Meddle => {
                (s.catalog, s.may_stay) = (None, true);
                ("takes the catalog's name away", At::Over)
            }
            _ => return None,
        })
    }

    /// The steps of who holds the item's name.
    fn hold(&self, s: &mut State, a: u8) -> Option<(&'static str, At)> {
        let own = a + 1;
        Some(match s.actors[usize::from(a)] {
            At::Hold(Purpose::TakeOver(catalog)) if self.flaw == Flaw::NoWaitForNames => {
                if let Some(file) = s.item {
                    s.file(file).of = Some(a);
                }
                ("takes over what is there", At::Begun(catalog))
            }
            At::Hold(purpose) => match (s.item, purpose) {
                (Some(file), _) => ("opens the item", At::Grip(purpose, file)),
                // What was to be replaced is gone.
                (None, Purpose::Swap(..)) if self.flaw != Flaw::SwapWhatever => {
                    s.close(a);
                    ("finds it gone", At::Over)
                }
                (None, Purpose::Swap(catalog, _, server)) => ("finds it gone", At::Ask(catalog, server)),
                (None, _) => ("finds nothing", self.next(s, a, purpose)),
            },
            At::Grip(purpose, file) => {
                if s.file(file).holder.is_some() {
                    return None;
                }
                s.file(file).holder = Some(a);
                ("takes the lock of the name", At::LookHeld(purpose, file))
            }
            At::LookHeld(purpose, file) => {
                if s.item == Some(file) {
                    ("looks, and holds the name", At::Held(purpose, file))
                } else {
                    s.let_name_go(a);
                    ("looks, and finds another", At::Hold(purpose))
                }
            }
            At::Held(purpose, file) => {
                let looks = self.flaw != Flaw::NoLookOnceHeld;
                let may = match purpose {
                    Purpose::TakeOver(_) => true,
                    Purpose::TakeBack => file == own,
                    Purpose::Swap(catalog, old, _) => {
                        (s.counts(catalog) || !looks) && (file == old || self.flaw == Flaw::SwapWhatever)
                    }
                    Purpose::Clear(catalog)
                    | Purpose::End(catalog, true)
                    | Purpose::Remove(catalog)
                    | Purpose::ReapDead(catalog) => s.counts(catalog) || !looks,
                    Purpose::End(catalog, false) => s.catalog.is_none_or(|other| other == catalog) || !looks,
                    Purpose::ReapOrphan => s.catalog.is_none() || self.flaw == Flaw::LookBeforeHeld,
                };
                if may {
                    ("looks whether it may", At::Do(purpose, file))
                } else if let Purpose::Clear(_) = purpose {
                    s.close(a);
                    ("begins anew", At::Begin)
                } else {
                    s.close(a);
                    ("may not", At::Over)
                }
            }
            At::Do(purpose, file) => {
                match purpose {
                    Purpose::TakeOver(_) => s.file(file).of = Some(a),
                    Purpose::Swap(catalog, old, _) => {
                        if s.item != Some(old) {
                            s.harm = Some("a swap replaced what it was not to replace");
                        }
                        s.take_name(a, Some(catalog), Some(own));
                    }
                    // It is his own, and nobody was told that it is published.
                    Purpose::TakeBack => s.item = None,
                    _ => s.take_name(a, purpose.under(), None),
                }
                let next = self.next(s, a, purpose);
                s.let_name_go(a);
                ("does", next)
            }
            _ => return None,
        })
    }

    fn next(&self, s: &mut State, a: u8, purpose: Purpose) -> At {
        let next = purpose.then();
        if next == At::Over {
            s.close(a);
        }
        next
    }

    /// What somebody does who has lost his patience.
    fn give_up(at: At) -> Option<(At, bool)> {
        match at {
            At::LockToEnd(catalog) => Some((At::RemoveCatalogFirst(catalog), false)),
            At::Lock(_) | At::LockToPublish(..) | At::LockToReap(_) => Some((At::Over, true)),
            At::Grip(..) => Some((At::Over, true)),
            _ => None,
        }
    }
}

impl Model for Serving {
    type State = State;

    fn initial(&self) -> State {
        let mut state = State {
            catalog: None,
            item: None,
            catalogs: [Catalog::default(); N_FILES],
            files: [File::default(); N_FILES],
            actors: [At::Over; N_ACTORS],
            n_deaths: 0,
            may_stay: false,
            harm: None,
        };
        if self.left != Left::Nothing {
            state.item = Some(0);
        }
        if matches!(self.left, Left::ToRecover | Left::ToRemove) {
            state.catalog = Some(0);
            state.catalogs[0].removes = self.left == Left::ToRemove;
        }
        for (i, part) in self.cast.iter().enumerate() {
            state.actors[i] = match part {
                Part::Serves => {
                    (state.catalog, state.item) = (Some(0), Some(0));
                    state.catalogs[0].server = Some(i as u8);
                    state.catalogs[0].removes = self.removes;
                    state.files[0].of = Some(i as u8);
                    At::Serve(0)
                }
                Part::Begins => At::Begin,
                Part::Publishes | Part::Removes => At::Open,
                Part::ReapsDead => At::OpenToReap,
                Part::ReapsOrphan if self.flaw == Flaw::LookBeforeHeld => At::LookForCatalog,
                Part::ReapsOrphan => At::Hold(Purpose::ReapOrphan),
                Part::Meddles => At::Meddle,
            };
        }
        state
    }

    fn steps(&self, state: &State, add: &mut dyn FnMut(&'static str, State)) {
        for i in 0..self.cast.len() {
            let (at, a) = (state.actors[i], i as u8);
            if matches!(at, At::Over | At::Dead) {
                continue;
            }
            let mut s = *state;
            let step = self
                .serve(&mut s, a)
                .or_else(|| self.come_and_go(&mut s, a))
                .or_else(|| self.hold(&mut s, a));
            // Or he waits.
            if let Some((what, next)) = step {
                s.actors[i] = next;
                add(what, s);
            }
            if state.n_deaths < self.max_deaths {
                let mut s = State { n_deaths: state.n_deaths + 1, may_stay: true, ..*state };
                s.close(a);
                s.actors[i] = At::Dead;
                add("dies", s);
                if let (None, Some((next, may_stay))) = (step, Self::give_up(at)) {
                    let mut s = State { n_deaths: state.n_deaths + 1, ..*state };
                    s.may_stay |= may_stay;
                    if next == At::Over {
                        s.close(a);
                    }
                    s.actors[i] = next;
                    add("loses his patience", s);
                }
            }
        }
    }

    fn check(&self, state: &State) -> Result<(), String> {
        state.harm.map_or(Ok(()), |harm| Err(harm.to_owned()))
    }

    fn check_end(&self, state: &State) -> Result<(), String> {
        if state.actors.iter().any(|at| !matches!(at, At::Over | At::Dead)) {
            return Err("somebody waits for ever".to_owned());
        }
        let stays = state.item.is_some() || state.catalog.is_some();
        if stays && !state.may_stay {
            return Err("all have ended, and something stays".to_owned());
        }
        Ok(())
    }
}
