//! Goal: the simulation does what it says of the machine that it simulates. Method: what must hold whatever the costs are, in every
//! case of its tables and in some besides.

use ndpool_many_cores::claim::{Claims, Help, Look, Pages, Work, run};
use ndpool_many_cores::machine::{Machine, Numbering};
use ndpool_many_cores::tables::{all, fan_outs};
use ndpool_many_cores::wake::{FanOut, Roster, wake_all};

fn machines() -> Vec<Machine> {
    let mut machines = Vec::new();
    for (n_nodes, n_workers) in [(1, 1), (1, 2), (1, 7), (2, 2), (2, 64), (4, 12)] {
        for numbering in [Numbering::NodeByNode, Numbering::Alternating] {
            machines.push(Machine { numbering, ..Machine::new(n_nodes, n_workers) });
        }
    }
    machines
}

#[test]
fn each_worker_is_woken_once_and_no_sooner_than_a_wake_up_takes() {
    for machine in machines() {
        for (name, fan_out) in fan_outs() {
            // Twice is an assertion of `wake_all` itself.
            let woken = wake_all(&machine, fan_out);
            assert_eq!(woken.awake_at.len(), machine.n_workers);
            for &at in &woken.awake_at {
                assert!(at != u64::MAX, "{name}: somebody sleeps on, {machine:?}");
                assert!(at >= machine.costs.wake_latency, "{name}");
            }
            let calls = machine.costs.wake_call * machine.n_workers as u64;
            assert!(woken.spent >= calls, "{name}: {} for calls of {calls}", woken.spent);
        }
    }
}

#[test]
fn a_publisher_who_wakes_nobody_leaves_everybody_asleep() {
    let machine = Machine::new(1, 4);
    let woken = wake_all(&machine, FanOut { first: 0, each: 9, roster: Roster::Beds });
    assert_eq!((woken.awake_at, woken.spent), (vec![u64::MAX; 4], 0));
}

#[test]
fn a_tree_is_as_deep_as_its_degree_says() {
    // With calls and lines for nothing, what is left is latency: one for each level.
    let mut machine = Machine::new(1, 85);
    (machine.costs.wake_call, machine.costs.line_own, machine.costs.line_near, machine.costs.claim) =
        (0, 0, 0, 0);
    for (degree, n_levels) in [(1, 85), (2, 6), (4, 4), (85, 1)] {
        let woken = wake_all(&machine, FanOut { first: degree, each: degree, roster: Roster::Beds });
        // 4 + 16 + 64 = 84 at degree 4, 2 + 4 + … + 64 = 126 at degree 2.
        assert_eq!(woken.last(), n_levels * machine.costs.wake_latency, "degree {degree}");
    }
}

#[test]
fn every_block_is_done_once_by_somebody() {
    for machine in machines() {
        for claims in [
            Claims::Counter,
            Claims::Regions(Help::ByNumber, Look::AtAll),
            Claims::Regions(Help::NearFirst, Look::AtAll),
            Claims::Regions(Help::ByNumber, Look::UntilOwner),
            Claims::Regions(Help::NearFirst, Look::UntilOwner),
        ] {
            for pages in [Pages::OneNode, Pages::Interleaved, Pages::ByRegion] {
                for n_blocks in [0, 1, 5, 64, 1_000] {
                    let work = Work {
                        n_blocks,
                        block_bytes: 1 << 16,
                        block_nanos: 500,
                        pages,
                        claims,
                        slow_every: 3,
                        seed: 7,
                    };
                    let done = run(&machine, work);
                    assert!(done.n_runs.iter().all(|&n| n == 1), "{machine:?}, {work:?}: {:?}", done.n_runs);
                    assert!(done.rung >= done.nanos, "the last to leave rings after its last block");
                    if machine.n_nodes == 1 {
                        assert_eq!((done.far_blocks, done.helped[1]), (0, 0), "{machine:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn pages_with_their_workers_are_near_unless_somebody_helps() {
    let machine = Machine::new(2, 8);
    let work = Work {
        n_blocks: 1_000,
        block_bytes: 1 << 20,
        block_nanos: 0,
        pages: Pages::ByRegion,
        claims: Claims::Regions(Help::NearFirst, Look::AtAll),
        slow_every: 0,
        seed: 1,
    };
    let done = run(&machine, work);
    assert_eq!(done.far_blocks, done.helped[1]);
    let one = run(&machine, Work { pages: Pages::OneNode, ..work });
    assert!(one.far_blocks > 250 && one.nanos > done.nanos, "{} blocks", one.far_blocks);
}

#[test]
fn the_same_seed_gives_the_same_output_and_another_seed_another() {
    let text = |seed| serde_json::to_string(&all(seed)).unwrap();
    assert_eq!(text(3), text(3));
    assert_ne!(text(3), text(4));
}
