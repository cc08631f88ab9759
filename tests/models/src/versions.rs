use crate::mortal;
use crate::shared::bell::Bell;
use crate::shared::versions::{Found, Stores, Versions};
use crate::sys::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::world::{Plain, check};
use loom::sync::{Arc as Shared, Mutex};
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Count;
use std::sync::atomic::Ordering::Relaxed;

/// When a writer writes the bytes of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// Once their buffer has its stamp, and before the commit: the product's order.
    AfterTheStamp,
    /// Before the buffer has its stamp: must fail.
    BeforeTheStamp,
    /// Once the version is committed: must fail.
    AfterTheCommit,
}

/// What a reader that copies does with its copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// Looks whether it is intact: the product's order.
    Checked,
    /// Takes it: must fail.
    Unchecked,
    /// Looks first, then copies: must fail.
    CheckedTooEarly,
}

/// When a reader that holds a version lets go of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetGo {
    /// Once it has read: the product's order.
    AfterReading,
    /// Before: must fail.
    BeforeReading,
}

/// How the pins of a dead reader are cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clearing {
    /// With the lock of the dead one's seat: the product's order.
    UnderTheSeat,
    /// Once the seat was seen to be free: must fail.
    AfterALook,
}

/// When a new writer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// When it has the writer's lock, so the last one is gone: the product's order.
    WithTheLock,
    /// While the last one may still be at it: must fail.
    WithoutTheLock,
}

/// Halves of a buffer: more than one, so that there can be a mixture.
const HALVES: usize = 2;

/// The bytes of a column's buffers.
trait Memory: Send + Sync + 'static {
    fn new() -> Self;
    fn get(&self) -> u64;
    fn set(&self, value: u64);
}

/// Read by who has pinned them: loom fails if somebody writes them meanwhile.
impl Memory for Plain {
    fn new() -> Self {
        Self::new(0)
    }

    fn get(&self) -> u64 {
        self.get()
    }

    fn set(&self, value: u64) {
        self.set(value);
    }
}

/// Copied by anybody: a load may see any value that the memory model allows.
impl Memory for AtomicU64 {
    fn new() -> Self {
        Self::new(0)
    }

    fn get(&self) -> u64 {
        self.load(Relaxed)
    }

    fn set(&self, value: u64) {
        self.store(value, Relaxed);
    }
}

/// The words of a file, and its data: each half of a column is the number of the version in which it was written.
struct File<M> {
    version: AtomicU64,
    writing: AtomicU64,
    pins: Vec<AtomicU64>,
    tables: Vec<AtomicU64>,
    n_buffers: usize,
    memory: Vec<[M; HALVES]>,
    bell: [AtomicU32; 2],
    /// The kernel's lock on the writer's role.
    writer: Mutex<()>,
    /// The kernel's lock on the one seat that passes from the dead to the living.
    seat: Mutex<()>,
}

/// A seat that nobody else has.
const OWN_SEAT: u16 = 7;
/// The seat of which `File::seat` is the lock.
const PASSED_SEAT: u16 = 1;

impl<M: Memory> File<M> {
    /// A file with so many versions of all columns in it.
    fn new(n_buffers: usize, n_columns: usize, n_versions: u64) -> Self {
        let words = |n| (0..n).map(|_| AtomicU64::new(0)).collect();
        let file = Self {
            version: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            pins: words(n_buffers - 2),
            tables: words(Versions::n_table_words(n_columns, n_buffers).unwrap()),
            n_buffers,
            memory: (0..n_buffers * n_columns).map(|_| std::array::from_fn(|_| M::new())).collect(),
            bell: std::array::from_fn(|_| AtomicU32::new(0)),
            writer: Mutex::new(()),
            seat: Mutex::new(()),
        };
        let columns: Vec<usize> = (0..n_columns).collect();
        for _ in 0..n_versions {
            file.write(&columns, Bytes::AfterTheStamp);
        }
        file
    }

    fn versions(&self) -> Versions<'_> {
        Versions::new(&self.version, &self.writing, &self.pins, &self.tables, self.n_buffers)
    }

    fn bell(&self) -> Bell<'_> {
        Bell::new(&self.bell[0], &self.bell[1])
    }

    fn halves(&self, column: usize, buffer: usize) -> &[M; HALVES] {
        &self.memory[column * self.n_buffers + buffer]
    }

    /// Writes some columns as the next version.
    fn write(&self, columns: &[usize], bytes: Bytes) -> u64 {
        let fill = |column: usize, buffer: usize, version: u64| {
            for half in self.halves(column, buffer) {
                half.set(version);
                mortal::step();
            }
        };
        let draft = self.versions().begin();
        let version = draft.version();
        let mut late = Vec::new();
        for &column in columns {
            if bytes == Bytes::BeforeTheStamp {
                // Which buffer it will be.
                let stamps = &self.tables[column * (self.n_buffers + 1)..][..self.n_buffers];
                let oldest = (0..self.n_buffers).min_by_key(|&k| stamps[k].load(Relaxed)).unwrap();
                fill(column, oldest, version);
            }
            // The weaker of the two fences.
            let target = draft.column(column, Stores::Ordinary);
            assert!(target.is_first);
            match bytes {
                Bytes::AfterTheStamp => fill(column, target.buffer, version),
                Bytes::BeforeTheStamp => {}
                Bytes::AfterTheCommit => late.push((column, target.buffer)),
            }
        }
        draft.commit();
        for (column, buffer) in late {
            fill(column, buffer, version);
        }
        mortal::step();
        version
    }

    fn read(&self, column: usize, found: Found) -> [u64; HALVES] {
        std::array::from_fn(|half| self.halves(column, found.buffer)[half].get())
    }

    /// Copies a column at a version; `None` if the writer was faster.
    fn copy(&self, column: usize, version: u64, copy: Copy) -> Option<[u64; HALVES]> {
        let versions = self.versions();
        let found = versions.find(column, version)?;
        let is_intact = || versions.is_intact(column, found);
        match copy {
            Copy::Checked => {
                let bytes = self.read(column, found);
                is_intact().then_some(bytes)
            }
            Copy::Unchecked => Some(self.read(column, found)),
            Copy::CheckedTooEarly => is_intact().then(|| self.read(column, found)),
        }
    }

    /// Holds the last version, reads a column and compares it with what was written then; `None` if no pin is free.
    fn hold(&self, seat: u16, let_go: LetGo) -> Option<u64> {
        let versions = self.versions();
        let pin = versions.pin(seat)?;
        let version = pin.version();
        let found = versions.find(0, version).expect("what is held is there");
        let mut pin = Some(pin);
        if let_go == LetGo::BeforeReading {
            versions.unpin(pin.take().unwrap());
        }
        mortal::step();
        let bytes = self.read(0, found);
        mortal::step();
        if let Some(pin) = pin {
            versions.unpin(pin);
        }
        assert_eq!(bytes, [found.stamp; HALVES], "a mixture of version {version}");
        assert_eq!(found.stamp, version, "every version writes the column");
        Some(version)
    }
}

/// How often something came out of a model, over all its runs.
#[derive(Default)]
struct Seen {
    whole: Count,
    lapped: Count,
}

impl Seen {
    fn note(&self, is_whole: bool) {
        (if is_whole { &self.whole } else { &self.lapped }).fetch_add(1, Relaxed);
    }

    /// A model in which only one of both comes out shows nothing.
    fn assert_both(&self) {
        let [whole, lapped] = [&self.whole, &self.lapped].map(|count| count.load(Relaxed));
        assert!(whole > 0 && lapped > 0, "{whole} whole copies, {lapped} lapped readers");
    }
}

/// *Goal:* a copy that is found intact is whole, and of the last version that the reader knew.
///
/// *Actors:* a writer that writes versions 3 and 4 into two buffers, the second of them over what was current at first; a reader that
/// makes one copy.
///
/// *What would break it:* bytes before the stamp or after the commit ([`Bytes`]); a copy that is not checked, or too early ([`enum@Copy`]);
/// without the fences on both sides.
pub fn a_copy_is_whole(bytes: Bytes, copy: Copy) {
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    check(3, move || {
        let file = Shared::new(File::<AtomicU64>::new(2, 1, 2));
        let writer = {
            let file = Shared::clone(&file);
            thread::spawn(move || {
                for _ in 0..2 {
                    file.write(&[0], bytes);
                }
            })
        };
        let version = file.versions().version();
        let copied = file.copy(0, version, copy);
        noted.note(copied.is_some());
        assert!(
            copied.is_none_or(|halves| halves == [version; HALVES]),
            "a mixture: {copied:?} of {version}"
        );
        writer.join().unwrap();
    });
    seen.assert_both();
}

/// *Goal:* a buffer that outlives younger ones, because somebody holds it, is not taken for the last version by a reader who comes too late
/// for that.
///
/// *Actors:* a reader that holds version 1; a writer that writes versions 3 and 4, the second of them over version 2; a reader that copies.
///
/// *What would break it:* no floor, or one that is stored after the stamp, or looked at before.
pub fn an_old_buffer_is_not_taken_for_the_last() {
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    check(3, move || {
        let file = Shared::new(File::<AtomicU64>::new(3, 1, 1));
        let _held = file.versions().pin(OWN_SEAT).unwrap();
        file.write(&[0], Bytes::AfterTheStamp);
        let writer = {
            let file = Shared::clone(&file);
            thread::spawn(move || {
                for _ in 0..2 {
                    file.write(&[0], Bytes::AfterTheStamp);
                }
            })
        };
        let version = file.versions().version();
        let copied = file.copy(0, version, Copy::Checked);
        noted.note(copied.is_some());
        assert!(copied.is_none_or(|halves| halves == [version; HALVES]), "{copied:?} of {version}");
        writer.join().unwrap();
    });
    seen.assert_both();
}

/// *Goal:* what was once too old to be taken for the last version stays so, when a buffer that is older still is let go and used.
///
/// *Actors:* a reader that knows version 2, and comes when 3 and 4 are there; a writer that writes version 5 over it, then 6 over version 1,
/// which was held until then.
///
/// *What would break it:* a floor that can fall.
pub fn a_floor_does_not_fall() {
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    check(3, move || {
        let file = Shared::new(File::<AtomicU64>::new(4, 1, 1));
        let held = file.versions().pin(OWN_SEAT).unwrap();
        for _ in 2..=4 {
            file.write(&[0], Bytes::AfterTheStamp);
        }
        let writer = {
            let file = Shared::clone(&file);
            thread::spawn(move || {
                file.write(&[0], Bytes::AfterTheStamp);
                file.versions().unpin(held);
                file.write(&[0], Bytes::AfterTheStamp);
            })
        };
        let copied = file.copy(0, 2, Copy::Checked);
        noted.note(copied.is_some());
        assert!(copied.is_none_or(|halves| halves == [2; HALVES]), "{copied:?} of 2");
        writer.join().unwrap();
    });
    seen.assert_both();
}

/// *Goal:* what a dead writer has written over is not taken for what was there before, whoever says that it is torn.
///
/// *Actors:* a reader that knows version 2, and comes when 3 is there; a writer that dies after `k` steps of writing version 4 over it; the
/// next one, which discards that. Version 1 is held all the time, and so there to be mistaken for 2.
///
/// *What would break it:* a buffer that is seen to be torn, without the floor that was stored before.
pub fn a_floor_outlives_its_writer() {
    let seen = Arc::new(Seen::default());
    for n_steps in 0..=WRITER_STEPS / 2 {
        let noted = Arc::clone(&seen);
        check(2, move || {
            let file = Shared::new(File::<AtomicU64>::new(3, 1, 1));
            let _held = file.versions().pin(OWN_SEAT).unwrap();
            for _ in 2..=3 {
                file.write(&[0], Bytes::AfterTheStamp);
            }
            let mortal = {
                let file = Shared::clone(&file);
                thread::spawn(move || {
                    let _lock = file.writer.lock().unwrap();
                    mortal::live(n_steps, || file.write(&[0], Bytes::AfterTheStamp));
                })
            };
            let next = {
                let file = Shared::clone(&file);
                thread::spawn(move || {
                    let _lock = file.writer.lock().unwrap();
                    file.versions().discard();
                })
            };
            let copied = file.copy(0, 2, Copy::Checked);
            noted.note(copied.is_some());
            assert!(copied.is_none_or(|halves| halves == [2; HALVES]), "{copied:?} of 2");
            mortal.join().unwrap();
            next.join().unwrap();
        });
    }
    seen.assert_both();
}

/// *Goal:* columns that are copied one by one, and are intact, are of one version, though not every version writes each of them.
///
/// *Actors:* a writer that writes the first column as version 3, both as version 4; a reader that copies both columns at one version.
///
/// *What would break it:* a commit before all columns are written ([`Bytes::AfterTheCommit`]).
pub fn columns_are_of_one_version(bytes: Bytes) {
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    check(2, move || {
        let file = Shared::new(File::<AtomicU64>::new(2, 2, 2));
        let writer = {
            let file = Shared::clone(&file);
            thread::spawn(move || {
                file.write(&[0], bytes);
                file.write(&[0, 1], bytes);
            })
        };
        let version = file.versions().version();
        let copies = [0, 1].map(|column| file.copy(column, version, Copy::Checked));
        noted.note(copies.iter().all(Option::is_some));
        let wanted = [version, if version == 3 { 2 } else { version }];
        for (copied, wanted) in copies.into_iter().zip(wanted) {
            assert!(copied.is_none_or(|halves| halves == [wanted; HALVES]), "{copied:?} of {version}");
        }
        writer.join().unwrap();
    });
    seen.assert_both();
}

/// *Goal:* what a reader holds is not written, and is the last version or, if a later one is committed meanwhile, the one before.
///
/// *Actors:* a writer that writes versions 4 to 6, the last of them over what was current at first; `n_readers` that each hold a version
/// and read it, with one pin for all.
///
/// *What would break it:* letting go before reading ([`LetGo`]); a reader that does not look at the version again once it has pinned it; a
/// writer that looks at the pins before its last version is committed; anything weaker than sequential consistency.
pub fn what_is_held_stays(n_readers: usize, max_preemptions: usize, let_go: LetGo) {
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    check(max_preemptions, move || {
        let file = Shared::new(File::<Plain>::new(3, 1, 3));
        let readers: Vec<_> = (0..n_readers as u16)
            .map(|reader| {
                let (file, seen) = (Shared::clone(&file), Arc::clone(&noted));
                thread::spawn(move || seen.note(file.hold(OWN_SEAT + reader, let_go) == Some(3)))
            })
            .collect();
        for _ in 0..3 {
            file.write(&[0], Bytes::AfterTheStamp);
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
    // Held: the version of the beginning, or another.
    seen.assert_both();
}

/// Steps in the life of a writer that writes one version of two columns: the kill points of the code under test, and one after each half.
const WRITER_STEPS: usize = 2 * (2 + HALVES) + 4;

/// *Goal:* a writer may die at any step: readers see its last complete version or the one before, never parts of another, and the next
/// writer goes on from there.
///
/// *Actors:* a writer that dies after `k` steps of writing two columns, for every `k`; one that comes after it, and writes one of the
/// columns only; a reader that makes a copy of both meanwhile.
///
/// *What would break it:* a next writer that does not wait for the lock ([`Takeover`]), or does not discard what was left: the column
/// that it does not write would show parts.
pub fn a_writer_may_die_at_any_step(takeover: Takeover) {
    let died = Arc::new(Seen::default());
    for n_steps in 0..=WRITER_STEPS {
        let noted = Arc::clone(&died);
        check(2, move || {
            let file = Shared::new(File::<AtomicU64>::new(2, 2, 2));
            let mortal = {
                let (file, died) = (Shared::clone(&file), Arc::clone(&noted));
                thread::spawn(move || {
                    let _lock = file.writer.lock().unwrap();
                    died.note(mortal::live(n_steps, || file.write(&[0, 1], Bytes::AfterTheStamp)).is_some());
                })
            };
            let next = {
                let file = Shared::clone(&file);
                thread::spawn(move || {
                    let _lock = match takeover {
                        Takeover::WithTheLock => Some(file.writer.lock().unwrap()),
                        Takeover::WithoutTheLock => None,
                    };
                    file.write(&[0], Bytes::AfterTheStamp)
                })
            };
            let version = file.versions().version();
            let copies = [0, 1].map(|column| file.copy(column, version, Copy::Checked));
            mortal.join().unwrap();
            let last = next.join().unwrap();
            // Who is first is not said: if it is the one that lives, its version has the first column only.
            let is_known = |column: usize, halves: [u64; HALVES]| {
                halves[0] == halves[1] && (halves[0] == version || (column == 1 && halves[0] + 1 == version))
            };
            for (column, copied) in copies.into_iter().enumerate() {
                assert!(copied.is_none_or(|halves| is_known(column, halves)), "{copied:?} of {version}");
            }
            let versions = file.versions();
            let version = versions.version();
            assert!(version >= last && version <= 4, "{version}");
            let [first, second] = [0, 1].map(|column| file.copy(column, version, Copy::Checked).unwrap());
            let wanted = if version == last { [version, version - 1] } else { [version; 2] };
            assert_eq!((first, second), ([wanted[0]; HALVES], [wanted[1]; HALVES]), "at {version}");
        });
    }
    died.assert_both();
}

/// *Goal:* the writer after a dead one may die at any step, too: it leaves nothing by which the one after it takes parts for its own.
///
/// *Actors:* a writer of two columns that dies after `k` steps, the next after `l`, for every `k` and `l`; a third, which writes one of the
/// columns; a reader that makes a copy of both meanwhile.
///
/// *What would break it:* a draft that counts as discarded, or as committed, before it is.
pub fn a_successor_may_die_too() {
    for first in 0..=WRITER_STEPS {
        // To discard takes a step for each column, and one more.
        for second in 0..=WRITER_STEPS + 3 {
            check(1, move || {
                let file = Shared::new(File::<AtomicU64>::new(2, 2, 2));
                let reader = {
                    let file = Shared::clone(&file);
                    thread::spawn(move || {
                        let version = file.versions().version();
                        (version, [0, 1].map(|column| file.copy(column, version, Copy::Checked)))
                    })
                };
                for n_steps in [first, second] {
                    mortal::live(n_steps, || file.write(&[0, 1], Bytes::AfterTheStamp));
                }
                let last = file.write(&[0], Bytes::AfterTheStamp);
                assert!((3..=5).contains(&last), "{last}");
                let (version, copies) = reader.join().unwrap();
                for (column, copied) in copies.into_iter().enumerate() {
                    let wanted = if column == 1 && version == last { version - 1 } else { version };
                    assert!(
                        copied.is_none_or(|halves| halves == [wanted; HALVES]),
                        "{copied:?} of {version}"
                    );
                }
                let now = [0, 1].map(|column| file.copy(column, last, Copy::Checked).unwrap());
                assert_eq!(now, [[last; HALVES], [last - 1; HALVES]]);
            });
        }
    }
}

/// *Goal:* a writer that dies, and the next one that dies while it discards what was left, harm nobody who holds a version.
///
/// *Actors:* a writer that dies after `k` steps, the next after `l`, for every `k` and `l`; a third that writes three versions; a reader
/// that holds a version and reads it meanwhile.
///
/// *What would break it:* a choice of buffers that depends on what the dead one knew of pins.
pub fn writers_may_die_while_somebody_reads() {
    for first in 0..=WRITER_STEPS / 2 {
        for second in 0..4 {
            check(1, move || {
                let file = Shared::new(File::<Plain>::new(3, 1, 3));
                let reader = {
                    let file = Shared::clone(&file);
                    thread::spawn(move || file.hold(OWN_SEAT, LetGo::AfterReading))
                };
                for n_steps in [first, second] {
                    mortal::live(n_steps, || file.write(&[0], Bytes::AfterTheStamp));
                }
                let last = file.version.load(Relaxed);
                for version in last + 1..last + 4 {
                    assert_eq!(file.write(&[0], Bytes::AfterTheStamp), version);
                }
                reader.join().unwrap();
                assert_eq!(file.hold(OWN_SEAT, LetGo::AfterReading), Some(last + 3));
            });
        }
    }
}

/// *Goal:* what a dead reader held is let go, and nothing of those who live.
///
/// *Actors:* a reader that has died with the only pin, and whose seat is free; one that finds no pin, clears those of the dead, and reads;
/// one that takes the dead one's seat, clears what it finds, and reads; a writer that writes three versions meanwhile.
///
/// *What would break it:* clearing what has the number of a seat that was seen to be free ([`Clearing`]): by then it may be another's.
pub fn pins_of_the_dead_are_cleared(max_preemptions: usize, clearing: Clearing) {
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    check(max_preemptions, move || {
        let file = Shared::new(File::<Plain>::new(3, 1, 3));
        let _dead = file.versions().pin(PASSED_SEAT).unwrap();
        let clearer = {
            let (file, seen) = (Shared::clone(&file), Arc::clone(&noted));
            thread::spawn(move || {
                let versions = file.versions();
                for seat in versions.pinned_seats().filter(|&seat| seat == PASSED_SEAT) {
                    match (file.seat.try_lock(), clearing) {
                        (Ok(_lock), Clearing::UnderTheSeat) => versions.clear_pins(seat),
                        (Ok(lock), Clearing::AfterALook) => {
                            drop(lock);
                            versions.clear_pins(seat);
                        }
                        (Err(_), _) => {}
                    }
                }
                seen.note(file.hold(OWN_SEAT, LetGo::AfterReading).is_some());
            })
        };
        let newcomer = {
            let file = Shared::clone(&file);
            thread::spawn(move || {
                // The product takes the next number if this one is taken.
                let Ok(_lock) = file.seat.try_lock() else { return };
                file.versions().clear_pins(PASSED_SEAT);
                file.hold(PASSED_SEAT, LetGo::AfterReading);
            })
        };
        for _ in 0..3 {
            file.write(&[0], Bytes::AfterTheStamp);
        }
        clearer.join().unwrap();
        newcomer.join().unwrap();
        let pin = file.pins[0].compare_exchange(0, 0, Relaxed, Relaxed);
        assert_eq!(pin, Ok(0), "nobody holds anything any more");
    });
    // The clearer got the pin, or the newcomer had it.
    seen.assert_both();
}

/// *Goal:* a reader may die at any step: what it held stays held until it is cleared, and nobody else is harmed.
///
/// *Actors:* a reader that dies after `k` steps, from pin to letting go; one that clears what was left once the reader's lock is free; a
/// writer that writes three versions meanwhile.
///
/// *What would break it:* more pins than leave the writer a buffer; pins of the dead that are not cleared: the next reader would find none
/// that is free; a writer to whom a buffer is given before what the dead one did to it has come to an end.
pub fn a_reader_may_die_at_any_step() {
    for n_steps in 0..=4 {
        check(2, move || {
            let file = Shared::new(File::<Plain>::new(3, 1, 3));
            let mortal = {
                let file = Shared::clone(&file);
                thread::spawn(move || {
                    {
                        let _lock = file.seat.lock().unwrap();
                        mortal::live(n_steps, || file.hold(PASSED_SEAT, LetGo::AfterReading));
                    }
                    // Somebody else by now.
                    let _lock = file.seat.try_lock().expect("the kernel has given it back");
                    file.versions().clear_pins(PASSED_SEAT);
                })
            };
            for _ in 0..3 {
                file.write(&[0], Bytes::AfterTheStamp);
            }
            mortal.join().unwrap();
            assert_eq!(file.hold(OWN_SEAT, LetGo::AfterReading), Some(6));
        });
    }
}

/// *Goal:* whoever waits for a version hears of it. Without time limits: a wake-up that is lost is a deadlock, which loom reports.
///
/// *Actors:* `n_waiters` that wait for version 2, and a writer that commits it and rings.
///
/// *What would break it:* ringing before the commit; a waiter that reads the bell's sequence after it has looked at the version.
pub fn no_waiter_misses_a_version(n_waiters: usize) {
    check(2, move || {
        let file = Shared::new(File::<AtomicU64>::new(2, 1, 1));
        let waiters: Vec<_> = (0..n_waiters)
            .map(|_| {
                let file = Shared::clone(&file);
                thread::spawn(move || {
                    loop {
                        let sequence = file.bell().sequence();
                        if file.versions().version() > 1 {
                            return;
                        }
                        file.bell().wait(sequence, None, true);
                    }
                })
            })
            .collect();
        file.write(&[0], Bytes::AfterTheStamp);
        file.bell().ring(false);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// The plain scheme, with two buffers and the number of the last: must fail, and is here to show that these models would notice.
///
/// *Actors:* a writer that fills the other buffer and then says that it is the last, twice; a reader that copies the last.
pub fn two_plain_buffers() {
    check(3, || {
        let buffers: [[AtomicU64; HALVES]; 2] =
            std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)));
        let plain = Shared::new((buffers, AtomicU64::new(0)));
        let writer = {
            let plain = Shared::clone(&plain);
            thread::spawn(move || {
                for number in 1..=2 {
                    for half in &plain.0[number as usize % 2] {
                        half.store(number, Relaxed);
                    }
                    plain.1.store(number, Ordering::Release);
                }
            })
        };
        let last = plain.1.load(Ordering::Acquire);
        let copied: [u64; HALVES] =
            std::array::from_fn(|half| plain.0[last as usize % 2][half].load(Relaxed));
        assert_eq!(copied[0], copied[1], "a mixture");
        writer.join().unwrap();
    });
}
