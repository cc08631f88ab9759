//! Goal: what Rust can serialise travels between processes unchanged, whatever its size; what cannot fails with a reason,
//! and costs no worker.
//!
//! Method: calls with every kind of parameter are compared with what the same function gives here, in a pool without
//! processes, and by `run_here`; values of up to 100 MB cross over; shared memory is counted before and after.

use ndarray::prelude::*;
use ndpool::merge::{Concat, Max, Merge, Sum};
use ndpool::{Args, Block, Call, CallBuilder, Element, ErrorKind, Pool, Task, TaskError, call, task};
use ndpool_tests::{Random, Run, watchdog};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::ops::MulAssign;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle { centre: (f64, f64), radius: f64 },
    Named(String, Option<Box<Shape>>),
}

type Echo = (Shape, (u8, i64, char), BTreeMap<String, Vec<u16>>);

#[task]
fn echo(shape: Shape, tag: (u8, i64, char), map: BTreeMap<String, Vec<u16>>) -> Echo {
    (shape, tag, map)
}

#[task]
fn borrowed(
    text: &str,
    numbers: &[f64],
    other: &BTreeMap<u8, Option<u32>>,
    (a, b): (i8, i8),
    mut n: u64,
) -> (String, f64, usize, i8, u64) {
    n += 1;
    (text.to_uppercase(), numbers.iter().sum(), other.values().flatten().count(), a - b, n)
}

#[task]
fn nothing() {}

#[task]
fn length(bytes: &[u8]) -> (usize, u64) {
    (bytes.len(), checksum(bytes))
}

#[task]
fn bytes(n: usize, seed: u64) -> Vec<u8> {
    random_bytes(n, seed)
}

fn random_bytes(n: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let page: Vec<u8> = (0..509).flat_map(|_| random.next_u64().to_le_bytes()).collect();
    let mut bytes = page.repeat(n / page.len() + 1);
    bytes.truncate(n);
    bytes
}

fn checksum(bytes: &[u8]) -> u64 {
    // Some of them: the comparison with the result sees the others.
    let step = 1 + bytes.len() / 10_000;
    bytes
        .iter()
        .step_by(step)
        .fold(0, |sum: u64, &byte| (sum ^ u64::from(byte)).rotate_left(5).wrapping_mul(31))
}

fn pool() -> Pool {
    Pool::builder().workers(2).build().unwrap()
}

#[ndpool::test]
fn values_of_all_kinds_come_back_unchanged() {
    let _watchdog = watchdog();
    let pool = pool();
    let shapes = [
        Shape::Point,
        Shape::Circle { centre: (-0.0, f64::INFINITY), radius: f64::MIN_POSITIVE },
        Shape::Named("näme\0".into(), Some(Box::new(Shape::Named(String::new(), None)))),
    ];
    for shape in shapes {
        let map = BTreeMap::from([("a".to_owned(), vec![1, 2, 65535]), (String::new(), vec![])]);
        let result = pool.run(echo(shape.clone(), (255, i64::MIN, '🦀'), map.clone())).unwrap();
        assert_eq!(result, (shape, (255, i64::MIN, '🦀'), map));
    }
    let (text, numbers) = (String::from("straße"), vec![0.5; 8]);
    let result = pool
        .run(borrowed(&text, &numbers, &BTreeMap::from([(1, Some(1)), (2, None), (3, Some(3))]), (1, 2), 9))
        .unwrap();
    assert_eq!(result, ("STRASSE".to_owned(), 4.0, 2, -1, 10));
    assert_eq!(pool.run(nothing()).unwrap(), ());
}

#[ndpool::test]
fn large_values_cross_over_and_their_memory_comes_back() {
    use std::os::unix::fs::MetadataExt;
    let _watchdog = watchdog();
    let pool = pool();
    let run = Run::of(&pool);
    let held = || -> u64 {
        let files =
            run.files().into_iter().filter_map(|name| std::fs::metadata(format!("/dev/shm/{name}")).ok());
        files.map(|metadata| metadata.blocks() * 512).sum()
    };
    let before = held();
    for n in [0, 1, 23, 511, 512, 513, 4095, 4096, 4097, 1 << 20, (10 << 20) + 3, 100 << 20] {
        let sent = random_bytes(n, n as u64);
        if n <= 16 << 20 {
            assert_eq!(pool.run(length(&sent)).unwrap(), (n, checksum(&sent)), "an argument of {n} bytes");
        }
        let received = pool.run(bytes(n, n as u64)).unwrap();
        assert!(received == sent, "a result of {n} bytes");
    }
    // Many results in one job, and results that nobody takes.
    for _ in 0..3 {
        let sizes = pool.map((0..30).map(|i| bytes(1 << 20, i))).map(|result| result.unwrap().len());
        assert_eq!(sizes.sum::<usize>(), 30 << 20);
        drop(pool.submit(bytes(1 << 20, 1)).unwrap());
        drop(pool.map((0..50).map(|i| bytes(1 << 16, i))).next());
    }
    // The free list of the pool keeps up to 256 MiB; several times that have come and gone. What was dropped in flight
    // goes as soon as it has ended.
    ndpool_tests::wait_until(|| held() < before + (300 << 20));
}

#[task]
fn double(text: &str) -> String {
    [text, text].concat()
}

#[task]
fn repeat(n: usize) -> String {
    "x".repeat(n)
}

/// 3 GB take four times as much memory for a moment: run with `NDPOOL_TEST_LARGE=1`, else it is 300 MB. More than a single
/// call of the kernel's transfers either way of the largest.
#[ndpool::test]
fn huge_values_cross_over_whole() {
    let _watchdog = watchdog();
    let pool = pool();
    let argument = "0123456789".repeat(10_000_000);
    let result = pool.run(double(&argument)).unwrap();
    assert!(
        result.len() == 200_000_000
            && result.as_bytes().chunks(argument.len()).all(|half| half == argument.as_bytes())
    );
    drop((argument, result));
    let n = if std::env::var_os("NDPOOL_TEST_LARGE").is_some() { 3_000_000_000 } else { 300_000_000 };
    let result = pool.run(repeat(n)).unwrap();
    assert!(result.len() == n && result.bytes().step_by(4093).all(|byte| byte == b'x'));
    assert_eq!(pool.stats().workers_lost, 0);
    // What takes nothing is a result too.
    assert_eq!(pool.run(repeat(0)).unwrap(), "");
}

/// Refuses to be serialised, or to be read, when it holds such a number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fussy(u8);

impl Serialize for Fussy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 1 {
            Err(serde::ser::Error::custom("one cannot be sent"))
        } else {
            serializer.serialize_u8(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        if number == 2 { Err(serde::de::Error::custom("two cannot be read")) } else { Ok(Self(number)) }
    }
}

#[task]
fn fussy(argument: Fussy, add: u8) -> Fussy {
    Fussy(argument.0 + add)
}

#[ndpool::test]
fn what_cannot_be_serialised_is_an_error_and_no_death() {
    let _watchdog = watchdog();
    let pool = pool();
    assert_eq!(pool.run(fussy(Fussy(5), 1)).unwrap(), Fussy(6));
    for (call, what) in [
        (fussy(Fussy(1), 0), "argument 0"),
        (fussy(Fussy(2), 0), "argument 0"),
        (fussy(Fussy(0), 1), "result"),
        (fussy(Fussy(0), 2), "result"),
    ] {
        let error = pool.run(call).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Serde, "{what}: {error}");
        assert!(error.to_string().contains(what) && error.to_string().contains("Fussy"), "{what}: {error}");
    }
    assert_eq!(pool.stats().workers_lost, 0);
}

#[ndpool::test]
fn a_block_knows_where_it_is() {
    /// Index, rows, attempt, whether it is cancelled, and whether rows and worker are as they should be.
    type Place = (usize, (usize, usize), u32, bool, bool);

    #[task]
    fn places(block: &Block, x: ArrayView1<i32>) -> Concat<Place> {
        let rows = block.rows();
        let fits = rows.clone().zip(&x).all(|(row, &v)| v == 10 + row as i32) && rows.len() == x.len();
        Concat(vec![(
            block.index(),
            (rows.start, rows.end),
            block.attempt(),
            block.is_cancelled(),
            fits && block.worker() < 2,
        )])
    }
    let _watchdog = watchdog();
    let pool = pool();
    let x = pool.from_shape_fn(30, |i| i as i32).unwrap();
    // Rows count from the first one that the call was given.
    let found = pool.run(places(x.rows(10..25)).block_rows(4)).unwrap().0;
    let expected = [(0, 4), (4, 8), (8, 12), (12, 15)];
    for (i, place) in found.into_iter().enumerate() {
        assert_eq!(place, (i, expected[i], 0, false, true));
    }
}

#[ndpool::test]
fn state_stays_in_its_worker() {
    #[task]
    fn count(block: &Block) -> (u32, u64) {
        let mut n = block.state(|| 0_u64);
        *n += 1;
        // Another type is another state, made while the first is in use.
        assert_eq!(block.state(|| String::from("made once")).as_str(), "made once");
        (std::process::id(), *n)
    }
    let _watchdog = watchdog();
    let pool = pool();
    let mut counts = BTreeMap::new();
    for result in pool.map((0..200).map(|_| count())) {
        let (pid, n) = result.unwrap();
        let seen: &mut Vec<u64> = counts.entry(pid).or_default();
        seen.push(n);
    }
    for seen in counts.values_mut() {
        seen.sort_unstable();
        assert_eq!(*seen, (1..=seen.len() as u64).collect::<Vec<_>>());
    }
}

#[task]
fn scale<T, D>(k: T, mut y: ArrayViewMut<T, D>)
where
    T: Element + Serialize + DeserializeOwned + MulAssign,
    D: Dimension,
{
    y.map_inplace(|v| *v *= k);
}

#[task]
fn sum_flat<T: Element + Into<f64>>(#[flat] x: &[T]) -> Sum<f64> {
    Sum(x.iter().map(|&v| v.into()).sum())
}

#[task]
fn negate(x: &ArrayRef2<f32>, #[out] y: &mut ArrayRef2<f32>) {
    y.assign(&x.mapv(|v| -v));
}

#[task]
fn fill_flat(#[flat] y: &mut [i16], value: i16) {
    y.fill(value);
}

#[ndpool::test]
fn generic_flat_and_reference_forms() {
    let _watchdog = watchdog();
    let pool = pool();
    let mut a = pool.from_shape_fn((4, 5), |(i, j)| (i * 10 + j) as i32).unwrap();
    pool.run(scale(3, &mut a)).unwrap();
    assert_eq!(a.view()[(3, 4)], 102);
    let mut b = pool.full((2, 3, 4), 1.5_f64).unwrap();
    pool.run(scale(2.0, &mut b)).unwrap();
    assert_eq!(pool.run(sum_flat(&b)).unwrap().0, 72.0);
    let mut c = pool.full(IxDyn(&[2, 2, 2, 2]), 7_u8).unwrap();
    pool.run(scale(2, &mut c)).unwrap();
    assert_eq!(pool.run(sum_flat(&c)).unwrap().0, 224.0);
    let x = pool.from_shape_fn((7, 3), |(i, j)| (i + j) as f32).unwrap();
    let mut y = pool.zeros((7, 3)).unwrap();
    pool.run(negate(&x, &mut y).block_rows(2)).unwrap();
    assert_eq!(y.view(), x.view().mapv(|v| -v));
    let mut z = pool.zeros((3, 3, 3)).unwrap();
    pool.run(fill_flat(z.rows_mut(1..2), 4)).unwrap();
    assert_eq!(z.view().map(|&v| i64::from(v)).sum(), 36);
}

/// Two arrays and a value by hand, with all that the macro would do.
enum Norm {}

impl Task for Norm {
    const NAME: &'static str = "values_travel::norm";
    type Output = (Sum<f64>, Max<f64>);

    fn run(args: &mut Args<'_>) -> Result<Self::Output, TaskError> {
        let power: i32 = args.value()?;
        let weights: &Vec<f64> = args.value_ref()?;
        let x = args.view::<f64, Ix2>()?;
        let mut y = args.view_mut::<f64, Ix1>()?;
        if args.view::<f64, Ix1>().is_ok() {
            return Err(TaskError::new("an array was handed out twice"));
        }
        for (y, row) in y.iter_mut().zip(x.rows()) {
            *y = row.iter().zip(weights).map(|(x, w)| x.powi(power) * w).sum();
        }
        Ok((Sum(y.sum()), Max(y.fold(f64::MIN, |a, &b| a.max(b)))))
    }
}

#[ndpool::test]
fn a_task_by_hand_and_its_mistakes() {
    let _watchdog = watchdog();
    let pool = pool();
    let x = pool.from_shape_fn((100, 3), |(i, j)| (i + j) as f64).unwrap();
    let mut y = pool.zeros::<f64, _>(100).unwrap();
    let weights = vec![1.0, 0.5, 0.25];
    let call = CallBuilder::<Norm>::new().value(&2_i32).value(&weights).rows(&x).rows_mut(&mut y).merged();
    let (sum, max) = pool.run(call.block_rows(9)).unwrap();
    assert_eq!(max.0, 99.0_f64.powi(2) + 0.5 * 100.0_f64.powi(2) + 0.25 * 101.0_f64.powi(2));
    assert!((sum.0 - y.view().sum()).abs() < 1e-6);
    // Too few values, another type, another rank, reading what is to be written: typed errors of the task.
    let kinds: Vec<_> = [
        pool.run(CallBuilder::<Norm>::new().value(&2_i32).rows(&x).merged()),
        pool.run(CallBuilder::<Norm>::new().value(&2_i32).value(&weights).rows_mut(&mut y).merged()),
        pool.run(
            CallBuilder::<Norm>::new()
                .value(&2_i32)
                .value(&weights)
                .rows(&pool.zeros::<f32, _>((1, 1)).unwrap())
                .merged(),
        ),
        pool.run(
            CallBuilder::<Norm>::new()
                .value(&2_i32)
                .value(&weights)
                .rows(&pool.zeros::<f64, _>(1).unwrap())
                .merged(),
        ),
        pool.run(CallBuilder::<Norm>::new().value(&2_i32).value(&weights).rows(&x).single()),
    ]
    .into_iter()
    .map(|result| result.unwrap_err().kind())
    .collect();
    use ErrorKind::{InvalidArgument, Segment, Serde};
    assert_eq!(kinds, [Serde, Segment, Segment, Segment, InvalidArgument]);
    assert_eq!(pool.stats().workers_lost, 0);
}

#[task]
fn refine(
    k: f64,
    #[whole] table: ArrayView1<f64>,
    x: ArrayView2<f64>,
    mut y: ArrayViewMut2<f64>,
    #[out] mut z: ArrayViewMut1<f64>,
) -> (Sum<f64>, Concat<u64>) {
    y.scaled_add(k, &x);
    z.assign(&y.sum_axis(Axis(1)));
    (Sum(z.sum() * table.sum()), Concat(vec![z.sum().to_bits()]))
}

#[derive(Debug, PartialEq, Serialize, Deserialize, ndpool::Merge)]
struct Both {
    last: Latest,
    n: Sum<u32>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Latest(u32);

impl Merge for Latest {
    fn merge(&mut self, later: Self) {
        *self = later;
    }
}

#[task]
fn derived(block: &Block, _x: ArrayView2<f64>) -> Both {
    Both { last: Latest(block.index() as u32), n: Sum(1) }
}

#[ndpool::test]
fn without_processes_everything_has_the_same_bits() {
    let _watchdog = watchdog();
    let bits = |pool: &Pool, here: bool| {
        let mut random = Random::new(3);
        let x = pool.from_array(&Array2::from_shape_simple_fn((333, 17), || random.unit())).unwrap();
        let mut y = pool.from_array(&Array2::from_shape_simple_fn((333, 17), || random.unit())).unwrap();
        let mut z = pool.zeros::<f64, _>(333).unwrap();
        let table = pool.from_shape_fn(9, |i| (i as f64).cos()).unwrap();
        fn run<'a, R: 'a>(pool: &Pool, here: bool, call: Call<'a, R>) -> R {
            if here { call.run_here().unwrap() } else { pool.run(call).unwrap() }
        }
        let (sum, parts) = run(pool, here, refine(0.3, &table, &x, &mut y, &mut z).block_rows(10));
        assert_eq!(run(pool, here, derived(&x).block_rows(100)), Both { last: Latest(3), n: Sum(4) });
        (sum.0.to_bits(), parts.0, y.view().mapv(f64::to_bits), z.view().mapv(f64::to_bits))
    };
    let expected = bits(&pool(), false);
    let in_process = Pool::builder().workers(2).in_process().build().unwrap();
    assert!(bits(&in_process, false) == expected, "in process");
    assert!(bits(&pool(), true) == expected, "run_here");
    // Errors too.
    let error = in_process.run(call(|x: u32| assert_eq!(x, 3, "not three"), 4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert!(error.to_string().contains("not three"), "{error}");
    assert_eq!(call(|x: u32| x * 2, 4).run_here().unwrap(), 8);
}
