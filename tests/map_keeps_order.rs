//! Goal: `map` gives one result for every call, in order, lazily, with a bounded number of calls in flight, whatever the
//! calls do and however many maps there are.
//!
//! Method: a million tiny calls; iterators that count what is drawn of them; calls that fail, calls with arrays,
//! different tasks in one map; kills; two maps at once, and many threads on one pool.

use ndarray::prelude::*;
use ndpool::merge::{Concat, Sum};
use ndpool::{Call, ErrorKind, Pool, Stderr, call, task};
use ndpool_tests::{Gate, Killer, watchdog};
use std::cell::Cell;
use std::time::Duration;

#[task]
fn triple(x: u64) -> u64 {
    3 * x
}

#[task]
fn name(x: u64) -> Result<Concat<String>, String> {
    if x % 10 == 7 { Err(format!("{x} ends in seven")) } else { Ok(Concat(vec![x.to_string()])) }
}

#[task]
fn total(#[whole] x: ArrayView1<u64>) -> u64 {
    x.sum()
}

#[task]
fn add(k: u64, mut x: ArrayViewMut1<u64>) {
    x += k;
}

#[task]
fn behind(gate: &str, x: u64) -> u64 {
    if x == 0 {
        Gate::pass(gate);
    }
    x
}

#[task]
fn half(x: f64) -> Sum<f64> {
    Sum(x / 2.0)
}

fn pool() -> Pool {
    Pool::builder().workers(2).stderr(Stderr::Keep).build().unwrap()
}

#[ndpool::test]
fn a_million_tiny_calls_in_order() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut n = 0;
    for result in pool.map((0..1_000_000).map(triple)) {
        assert_eq!(result.unwrap(), 3 * n);
        n += 1;
    }
    assert_eq!(n, 1_000_000);
}

#[ndpool::test]
fn calls_are_drawn_when_they_are_needed() {
    let _watchdog = watchdog();
    let pool = pool();
    let drawn = Cell::new(0_u64);
    let calls = || {
        drawn.set(0);
        (0..10_000).inspect(|_| drawn.set(drawn.get() + 1)).map(triple)
    };
    let map = pool.map(calls());
    assert_eq!(drawn.get(), 0, "nothing is drawn before a result is asked for");
    drop(map);
    let mut map = pool.map(calls()).in_flight(5);
    for given in 0..1_000 {
        assert_eq!(map.next().unwrap().unwrap(), 3 * given);
        assert!(drawn.get() <= given + 5, "{} calls drawn for result {given}", drawn.get());
        assert_eq!(map.size_hint(), (9_999 - given as usize, Some(9_999 - given as usize)));
    }
    drop(map);
    let mut map = pool.map(calls()).in_flight(3).unordered();
    for given in 0..1_000 {
        map.next().unwrap().1.unwrap();
        assert!(drawn.get() <= given + 3, "{} calls drawn for result {given}", drawn.get());
    }
    drop(map);
    // An endless iterator, of which some is taken.
    let some: Vec<u64> = pool.map((0..).map(triple)).take(100).map(Result::unwrap).collect();
    assert_eq!(some[99], 297);
    // And none at all, again and again.
    let mut map = pool.map(std::iter::empty::<Call<'_, u64>>());
    assert!(map.next().is_none() && map.next().is_none());
}

#[ndpool::test]
fn results_come_as_they_are_ready_if_that_is_wanted() {
    let _watchdog = watchdog();
    let pool = pool();
    let gate = Gate::new();
    let mut seen = Vec::new();
    // The first call waits until others have come out.
    let calls = (0..100).map(|x| if x == 0 { behind(gate.name(), 0) } else { behind(gate.name(), x) });
    for (index, result) in pool.map(calls).in_flight(4).unordered() {
        assert_eq!(result.unwrap(), index as u64);
        seen.push(index);
        if seen.len() == 50 {
            assert!(!seen.contains(&0));
            gate.open();
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

#[ndpool::test]
fn a_merged_map_merges_in_order() {
    let _watchdog = watchdog();
    let pool = pool();
    let names = pool.map((0..7).chain(8..17).map(name)).merged().unwrap().unwrap();
    assert_eq!(names.0, (0..7).chain(8..17).map(|x: u64| x.to_string()).collect::<Vec<_>>());
    let error = pool.map((0..100).map(name)).merged().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task);
    assert!(error.to_string().contains("7 ends in seven"), "that of the first: {error}");
    assert!(pool.map(std::iter::empty::<Call<'_, Sum<u8>>>()).merged().unwrap().is_none());
    // The tree depends on the number of calls alone.
    let sum = |in_flight: usize, pool: &Pool| {
        let calls = (0..1_000).map(|i| half(1.0 / (1.0 + f64::from(i))));
        pool.map(calls).in_flight(in_flight).merged().unwrap().unwrap().0.to_bits()
    };
    let expected = sum(1, &pool);
    assert!([2, 7, 100, 5_000].into_iter().all(|n| sum(n, &pool) == expected));
    let in_process = Pool::builder().in_process().build().unwrap();
    assert_eq!(sum(3, &in_process), expected);
}

#[ndpool::test]
fn errors_stand_in_their_places() {
    let _watchdog = watchdog();
    let pool = pool();
    for (x, result) in pool.map((0..1_000).map(name)).enumerate() {
        match result {
            Ok(text) => assert_eq!(text.0, [x.to_string()]),
            Err(error) => {
                assert_eq!((x % 10, error.kind()), (7, ErrorKind::Task));
                assert!(error.to_string().ends_with(&format!("{x} ends in seven")), "{error}");
            }
        }
    }
    // A call that cannot be made is an error in its place too.
    let calls = (0..20).map(|i| if i == 11 { triple(i).attempts(0) } else { triple(i) });
    for (i, result) in pool.map(calls).enumerate() {
        match result {
            Ok(value) => assert_eq!(value, 3 * i as u64),
            Err(error) => assert_eq!((i, error.kind()), (11, ErrorKind::InvalidArgument)),
        }
    }
}

#[ndpool::test]
fn calls_with_arrays_and_different_tasks_in_one_map() {
    let _watchdog = watchdog();
    let pool = pool();
    let arrays: Vec<_> = (0..100_u64).map(|i| pool.full(10, i).unwrap()).collect();
    let sums: Vec<u64> = pool.map(arrays.iter().map(total)).collect::<ndpool::Result<_>>().unwrap();
    assert_eq!(sums, (0..100).map(|i| 10 * i).collect::<Vec<_>>());
    let calls = arrays.iter().enumerate().map(|(i, x)| match i % 3 {
        0 => total(x),
        1 => triple(i as u64),
        _ => call(|x: u64| x + 1000, i as u64),
    });
    for (i, result) in pool.map(calls).enumerate() {
        let expected = [10 * i, 3 * i, i + 1000][i % 3] as u64;
        assert_eq!(result.unwrap(), expected, "call {i}");
    }
    let mut x = pool.zeros::<u64, _>(1_000).unwrap();
    let calls = x.row_chunks_mut(7).enumerate().map(|(i, rows)| add(i as u64, rows));
    pool.map(calls).for_each(|result| result.unwrap());
    assert!(x.view().iter().enumerate().all(|(row, &v)| v == row as u64 / 7));
}

#[ndpool::test]
fn kills_do_not_disturb_the_order() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut seed = 0;
    while pool.stats().workers_lost < 100 {
        seed += 1;
        Killer::new(seed, Duration::from_millis(4)).during(&pool, || {
            for (i, result) in pool.map((0..20_000).map(triple)).enumerate() {
                assert_eq!(result.unwrap(), 3 * i as u64);
            }
            let mut seen: Vec<_> =
                pool.map((0..500).map(triple)).unordered().map(|(i, r)| (i, r.unwrap())).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().enumerate().all(|(i, found)| found == (i, 3 * i as u64)));
        });
    }
}

#[ndpool::test]
fn two_maps_at_once() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut one = pool.map((0..5_000).map(triple));
    let mut two = pool.map((0..).map(name)).in_flight(10);
    for i in 0..5_000_u64 {
        assert_eq!(one.next().unwrap().unwrap(), 3 * i);
        assert_eq!(two.next().unwrap().is_err(), i % 10 == 7);
    }
    assert!(one.next().is_none());
}

#[ndpool::test]
fn many_threads_share_a_pool() {
    let _watchdog = watchdog();
    let pool = pool();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let pool = &pool;
            scope.spawn(move || {
                let mut x = pool.zeros::<u64, _>(500).unwrap();
                for round in 0..50 {
                    pool.run(add(thread, &mut x)).unwrap();
                    assert_eq!(pool.run(total(&x)).unwrap(), 500 * thread * (round + 1));
                    let jobs: Vec<_> = (0..4).map(|i| pool.submit(triple(i + thread)).unwrap()).collect();
                    let all = pool.map((0..50).map(|i| triple(i * thread)));
                    assert_eq!(all.map(Result::unwrap).sum::<u64>(), 3 * thread * 1225);
                    for (i, job) in jobs.into_iter().enumerate() {
                        assert_eq!(job.join().unwrap(), 3 * (i as u64 + thread));
                    }
                }
            });
        }
    });
    // More jobs at once than the pool has places for.
    let jobs: Vec<_> = (0..500).map(|i| pool.submit(triple(i)).unwrap()).collect();
    for (i, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.join().unwrap(), 3 * i as u64);
    }
}
