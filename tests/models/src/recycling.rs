use crate::explore::Model;
use crate::job::word::{BlockWord, EDGES, State as Word};

/// What is done wrongly, to see that it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: the product.
    None,
    /// The file goes to its next owner when the array is dropped, though a job has a lease on it.
    DropUnderLease,
    /// A worker is swept before it was waited for, and no control page is looked at.
    SweepBeforeWait,
    /// As before, but with the look at the control page: it is too late for a worker that has attached.
    SweepBeforeWaitWithLook,
    /// Words carry no sequence.
    NoSequence,
    /// The new owner does not zero what it gets.
    NoZero,
}

const N_ROWS: usize = 2;
/// What the two jobs write.
const OF_JOB: [u8; 2] = [1, 2];

/// Next step of a worker. Jobs are 0, of the old array, and 1, of the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Worker {
    /// Sees which job is open.
    Look,
    /// Has loaded the word of the job that it saw.
    Swap {
        job: u8,
        seen: BlockWord,
    },
    /// Holds the block; opens the file under its locator.
    Open {
        job: u8,
        word: BlockWord,
    },
    /// Compares the control page, unless the mapping is cached.
    Check {
        job: u8,
        word: BlockWord,
        file: u8,
    },
    /// Writes a row in place.
    Write {
        job: u8,
        word: BlockWord,
        file: u8,
        row: u8,
    },
    Commit {
        job: u8,
        word: BlockWord,
    },
    /// Dead, and not waited for yet.
    Dead,
}

/// Next step of the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Supervisor {
    /// Waits for the old job's word to be terminal; the array's owner has dropped it, and forgotten the handle.
    AwaitOld,
    /// The job's record goes, with it the file's last holder; writes the new header and control page.
    Renew,
    Rename,
    Zero {
        row: u8,
    },
    /// Publishes the new job.
    Publish,
    AwaitNew,
    Over,
}

/// A file in shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct File {
    nonce: u8,
    generation: u8,
    /// Which generation its name says.
    named: u8,
    rows: [u8; N_ROWS],
}

/// The memory of one array used for the next.
///
/// *Goal:* the rows of the new array are zero when it is handed out, and are changed after that by its own jobs alone, once; a worker maps
/// the file that was meant.
///
/// *Actors:* a supervisor whose user has dropped the old array and forgotten the handle of the job that writes it: once the job has
/// ended it renews the file (control page, name, zeros) and publishes a job that writes the new array, in the same words of the same
/// arena; two workers that take what is open, attach by locator, keep mappings under the nonce, write row by row in place, and may be
/// paused or die between any two steps; whoever dies is waited for, swept and replaced.
///
/// *What would break it:* each [`Flaw`]. The words are the product's own.
#[derive(Debug, Clone, Copy)]
pub struct Recycling {
    /// What is done wrongly.
    pub flaw: Flaw,
    /// Deaths of workers that are tried, at most.
    pub max_deaths: u8,
}

/// The file, the word, and where everybody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    file: File,
    word: BlockWord,
    /// The job on the board.
    open: Option<u8>,
    supervisor: Supervisor,
    workers: [Worker; 2],
    /// What each worker has mapped, by the key of its cache.
    cached: [Option<u8>; 2],
    n_deaths: u8,
    /// Whether the new array was handed out.
    is_new: bool,
    harm: Option<&'static str>,
}

impl Recycling {
    fn sequence(&self, job: u8) -> u64 {
        if self.flaw == Flaw::NoSequence { 1 } else { u64::from(job) + 1 }
    }

    /// As `Ledger::advance`.
    fn swap(state: &mut State, seen: BlockWord, next: BlockWord) -> bool {
        let edge = (seen.state(), next.state());
        assert!(EDGES.iter().any(|&(from, to, _)| (from, to) == edge), "no edge {edge:?}");
        let wins = state.word == seen;
        if wins {
            state.word = next;
        }
        wins
    }

    fn worker(&self, before: &State, i: usize, add: &mut dyn FnMut(&'static str, State)) {
        let mut s = *before;
        let (what, next) = match before.workers[i] {
            Worker::Look => {
                let Some(job) = before.open else { return };
                // As `Ledger::peek_free`.
                if before.word.state() != Word::Free || !before.word.is_of(self.sequence(job)) {
                    return;
                }
                ("a worker finds a free block", Worker::Swap { job, seen: before.word })
            }
            Worker::Swap { job, seen } => {
                let word = seen.claimed_by(i);
                match Self::swap(&mut s, seen, word) {
                    true => ("a worker claims it", Worker::Open { job, word }),
                    false => ("a worker is too late", Worker::Look),
                }
            }
            Worker::Open { job, word } => match s.cached[i] == Some(s.file.nonce) {
                true => ("a worker has it mapped", Worker::Write { job, word, file: s.file.nonce, row: 0 }),
                false => ("a worker opens the file", Worker::Check { job, word, file: s.file.nonce }),
            },
            Worker::Check { job, word, file } => {
                let looks = self.flaw != Flaw::SweepBeforeWait;
                if looks && s.file.generation != job + 1 {
                    // The block fails: the worker was declared dead, or this must not be.
                    let failed = Self::swap(&mut s, word, word.with_state(Word::Failed));
                    if failed {
                        s.harm = Some("a block failed for a file that is not its own");
                    }
                    ("a worker is refused the file", Worker::Look)
                } else {
                    s.cached[i] = Some(file);
                    ("a worker maps the file", Worker::Write { job, word, file, row: 0 })
                }
            }
            Worker::Write { job, word, file, row } => {
                if s.is_new && job == 0 {
                    s.harm = Some("the old job wrote to the new array");
                }
                s.file.rows[usize::from(row)] = OF_JOB[usize::from(job)];
                let done = usize::from(row) + 1 == N_ROWS;
                let next = if done {
                    Worker::Commit { job, word }
                } else {
                    Worker::Write { job, word, file, row: row + 1 }
                };
                ("a worker writes a row", next)
            }
            Worker::Commit { word, .. } => {
                Self::swap(&mut s, word, word.with_state(Word::Done));
                ("a worker commits", Worker::Look)
            }
            Worker::Dead => {
                self.sweep(&mut s, i);
                s.cached[i] = None;
                s.workers[i] = Worker::Look;
                add("a dead worker is waited for, swept and replaced", s);
                return;
            }
        };
        s.workers[i] = next;
        add(what, s);
        if before.n_deaths < self.max_deaths {
            let mut s = State { n_deaths: before.n_deaths + 1, ..*before };
            s.workers[i] = Worker::Dead;
            add("a worker dies", s);
            if matches!(self.flaw, Flaw::SweepBeforeWait | Flaw::SweepBeforeWaitWithLook) {
                let mut s = State { n_deaths: before.n_deaths + 1, ..*before };
                self.sweep(&mut s, i);
                add("a worker is swept on suspicion", s);
            }
        }
    }

    fn sweep(&self, state: &mut State, worker: usize) {
        let word = state.word;
        let is_held = matches!(word.state(), Word::Claimed | Word::Condemned | Word::Staged);
        if is_held && word.worker() == worker && state.open.is_some_and(|job| word.is_of(self.sequence(job)))
        {
            // The old job was cancelled meanwhile: what is freed of it is cancelled at once.
            let next = word.charge_external().with_state(Word::Free);
            Self::swap(state, word, next);
            if state.open == Some(0) && state.n_deaths > 1 {
                Self::swap(state, next, next.with_state(Word::Cancelled));
            }
        }
    }

    fn supervisor(&self, before: &State, add: &mut dyn FnMut(&'static str, State)) {
        let mut s = *before;
        let (what, next) = match before.supervisor {
            Supervisor::AwaitOld => {
                if self.flaw != Flaw::DropUnderLease {
                    if !s.word.state().is_terminal() {
                        return;
                    }
                    s.open = None;
                }
                ("the old job ends and lets the file go", Supervisor::Renew)
            }
            Supervisor::Renew => {
                s.file.generation = 2;
                ("the file gets a new control page", Supervisor::Rename)
            }
            Supervisor::Rename => {
                s.file.named = 2;
                let next =
                    if self.flaw == Flaw::NoZero { Supervisor::Publish } else { Supervisor::Zero { row: 0 } };
                ("the file gets a new name", next)
            }
            Supervisor::Zero { row } => {
                s.file.rows[usize::from(row)] = 0;
                let done = usize::from(row) + 1 == N_ROWS;
                (
                    "a row is zeroed",
                    if done { Supervisor::Publish } else { Supervisor::Zero { row: row + 1 } },
                )
            }
            Supervisor::Publish => {
                s.is_new = true;
                if s.file.rows != [0; N_ROWS] {
                    s.harm = Some("the new array shows the old one's bytes");
                }
                s.open = Some(1);
                s.word = BlockWord::free(self.sequence(1));
                ("the new job is published", Supervisor::AwaitNew)
            }
            Supervisor::AwaitNew => {
                if !s.word.state().is_terminal() {
                    return;
                }
                s.open = None;
                if s.word.state() == Word::Done && s.file.rows != [OF_JOB[1]; N_ROWS] {
                    s.harm = Some("the new job is done, and its rows are not");
                }
                ("the new job ends", Supervisor::Over)
            }
            Supervisor::Over => return,
        };
        s.supervisor = next;
        add(what, s);
    }
}

impl Model for Recycling {
    type State = State;

    fn initial(&self) -> State {
        State {
            file: File { nonce: 9, generation: 1, named: 1, rows: [0; N_ROWS] },
            word: BlockWord::free(self.sequence(0)),
            open: Some(0),
            supervisor: Supervisor::AwaitOld,
            workers: [Worker::Look; 2],
            cached: [None; 2],
            n_deaths: 0,
            is_new: false,
            harm: None,
        }
    }

    fn steps(&self, state: &State, add: &mut dyn FnMut(&'static str, State)) {
        self.supervisor(state, add);
        for i in 0..state.workers.len() {
            self.worker(state, i, add);
        }
    }

    fn check(&self, state: &State) -> Result<(), String> {
        state.harm.map_or(Ok(()), |harm| Err(harm.to_owned()))
    }

    fn check_end(&self, state: &State) -> Result<(), String> {
        match state.supervisor {
            Supervisor::Over => Ok(()),
            _ => Err("a job does not end".to_owned()),
        }
    }
}
