//! Goal: leases, reaping and recycling keep their promises whoever dies when. Method: every state that the actors can reach, with a
//! death between any two steps; each test runs one model of this crate, where its goal, its actors and what would break it are written
//! down.
//!
//! Tests with *found out* in their name run a model with a flaw: they show that the model can fail.

use ndpool_models::directories::{Directories, Flaw as Misplaced};
use ndpool_models::explore::{Model, explore};
use ndpool_models::lifetimes::{Flaw as Hasty, Lifetimes, Naming as Made, Part};
use ndpool_models::reaping::{Flaw as Unsafe, Naming, Reaping};
use ndpool_models::recycling::{Flaw as Careless, Recycling};
use ndpool_models::serving::{Flaw as Rash, Left, Part as Does, Serving};

fn holds(model: &impl Model) {
    let explored = explore(model).unwrap_or_else(|way| panic!("{way}"));
    println!("{explored:?}");
    assert!(explored.n_states > 100 && explored.n_ends > 0, "{explored:?}");
}

fn is_found_out(model: &impl Model) -> String {
    let way = explore(model).expect_err("the flaw goes unnoticed");
    println!("{way}");
    way
}

#[test]
fn nothing_of_a_living_run_is_reaped_and_nothing_of_a_dead_one_stays() {
    for naming in [Naming::Nameless, Naming::Temporary] {
        holds(&Reaping { naming, flaw: Unsafe::None });
    }
}

#[test]
fn every_flaw_of_the_lease_is_found_out() {
    for (naming, flaw, harm) in [
        (Naming::Nameless, Unsafe::LinkBeforeLock, "while the run lived"),
        (Naming::Temporary, Unsafe::NoLookAfterLock, "could not be published"),
        (Naming::Nameless, Unsafe::SegmentBeforeManifest, "a segment was reaped"),
        (Naming::Temporary, Unsafe::ListAfterOpen, "a segment was reaped"),
        (Naming::Nameless, Unsafe::NoLock, "while the run lived"),
        (Naming::Nameless, Unsafe::UnlockInChild, "while the run lived"),
        (Naming::Nameless, Unsafe::KeepInChild, "something is left"),
    ] {
        let way = is_found_out(&Reaping { naming, flaw });
        assert!(way.contains(harm), "{flaw:?}: {way}");
    }
}

#[test]
fn a_directory_that_home_names_is_reaped_with_it() {
    holds(&Directories { flaw: Misplaced::None });
}

#[test]
fn every_flaw_of_two_directories_is_found_out() {
    for (flaw, harm) in [
        (Misplaced::HomeLast, "something is left"),
        (Misplaced::HomeFirstAtTheEnd, "something is left"),
        (Misplaced::HomeThoughBusy, "something is left"),
        (Misplaced::NoManifestThere, "of a living run"),
    ] {
        let way = is_found_out(&Directories { flaw });
        assert!(way.contains(harm), "{flaw:?}: {way}");
    }
}

#[test]
fn an_array_in_recycled_memory_is_written_by_its_own_jobs_alone() {
    holds(&Recycling { flaw: Careless::None, max_deaths: 3 });
}

#[test]
fn every_flaw_of_recycling_is_found_out() {
    for flaw in [
        Careless::DropUnderLease,
        Careless::SweepBeforeWait,
        Careless::SweepBeforeWaitWithLook,
        Careless::NoSequence,
        Careless::NoZero,
    ] {
        println!("{flaw:?}");
        is_found_out(&Recycling { flaw, max_deaths: 3 });
    }
}

/// Who meets at a name.
const CASTS: [&[Part]; 7] = [
    &[Part::User, Part::User, Part::Attacher],
    &[Part::Creator, Part::Attacher, Part::Reaper],
    &[Part::Creator, Part::Creator, Part::Attacher, Part::Reaper],
    &[Part::User, Part::Swapper, Part::Attacher, Part::Reaper],
    &[Part::User, Part::Swapper, Part::Swapper, Part::Remover],
    &[Part::User, Part::Creator, Part::Remover, Part::Reaper],
    &[Part::Creator, Part::Swapper, Part::Remover, Part::Attacher],
];

#[test]
fn a_name_leads_to_what_is_whole_and_what_is_used_is_not_removed() {
    for cast in CASTS {
        for naming in [Made::Nameless, Made::Temporary] {
            println!("{cast:?} {naming:?}");
            holds(&Lifetimes { cast, naming, flaw: Hasty::None, max_deaths: 2 });
        }
    }
}

#[test]
fn every_flaw_of_lifetimes_is_found_out() {
    const NO: Made = Made::Nameless;
    for (flaw, naming, cast, harm) in [
        (Hasty::NoExclusive, NO, CASTS[0], "what is used was removed"),
        (Hasty::NoLookOnceAttached, NO, CASTS[1], "uses what he did not find"),
        (Hasty::NoNameLock, NO, CASTS[4], "without its file's lock"),
        (Hasty::NoLookOnceHeld, NO, CASTS[4], "without its file's lock"),
        (Hasty::AnyNameWillDo, Made::Temporary, CASTS[6], "without its file's lock"),
        (Hasty::LinkBeforeLock, NO, CASTS[1], "what is used was removed"),
        (Hasty::LinkBeforeFill, NO, CASTS[1], "half made"),
        (Hasty::NoLookOnceMade, Made::Temporary, CASTS[1], "a creation fails"),
        (Hasty::LookBeforeLeaving, NO, CASTS[0], "all have left, and something stays"),
        (Hasty::SwapByUnlink, NO, CASTS[3], "leads nowhere in a swap"),
        (Hasty::WaitingStays, NO, CASTS[3], "something is left"),
    ] {
        let way = is_found_out(&Lifetimes { cast, naming, flaw, max_deaths: 1 });
        assert!(way.contains(harm), "{flaw:?}: {way}");
    }
}

/// Who meets under a server's name, and what is there.
const MEETINGS: [(&[Does], Left); 9] = [
    (&[Does::Serves, Does::Begins, Does::Publishes, Does::Publishes], Left::Nothing),
    (&[Does::Serves, Does::Begins, Does::Publishes, Does::Removes], Left::Nothing),
    (&[Does::Serves, Does::Begins, Does::Publishes, Does::Meddles], Left::Nothing),
    (&[Does::Begins, Does::Begins, Does::Publishes, Does::ReapsDead], Left::ToRecover),
    (&[Does::Begins, Does::Begins, Does::Publishes, Does::ReapsDead], Left::ToRemove),
    (&[Does::Begins, Does::Publishes, Does::Publishes, Does::Meddles], Left::ToRemove),
    (&[Does::Begins, Does::Begins, Does::Publishes, Does::ReapsOrphan], Left::Orphan),
    (&[Does::Begins, Does::Publishes, Does::Removes, Does::ReapsOrphan], Left::Orphan),
    (&[Does::Serves, Does::Publishes, Does::Publishes, Does::Removes], Left::Nothing),
];

#[test]
fn what_a_living_server_has_is_taken_away_under_its_catalog_alone() {
    for (cast, left) in MEETINGS {
        for removes in [false, true] {
            println!("{cast:?} {left:?} {removes}");
            holds(&Serving { cast, left, removes, flaw: Rash::None, max_deaths: 2 });
        }
    }
}

#[test]
fn every_flaw_of_serving_is_found_out() {
    for (flaw, meeting, harm) in [
        (Rash::NoLookOnceHeld, 0, "taken away under another catalog"),
        (Rash::NoLookOnceHeld, 2, "taken away under another catalog"),
        (Rash::NoWaitForNames, 0, "taken away under another catalog"),
        (Rash::NoWaitForNames, 6, "taken away under another catalog"),
        (Rash::LookBeforeHeld, 6, "taken away under another catalog"),
        (Rash::ServerBeforeLock, 4, "removed what was published under it"),
        (Rash::SwapWhatever, 8, "replaced what it was not to replace"),
        (Rash::NoLookAfterwards, 0, "all have ended, and something stays"),
    ] {
        println!("{flaw:?} {meeting}");
        let (cast, left) = MEETINGS[meeting];
        let way = is_found_out(&Serving { cast, left, removes: false, flaw, max_deaths: 2 });
        assert!(way.contains(harm), "{flaw:?}: {way}");
    }
}
