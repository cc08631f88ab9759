//! Goal: the corpus holds what the crate itself writes today. Method: everything is written here, fed to its parser, and compared with
//! the files that are kept.
//!
//! `NDPOOL_WRITE_SEEDS=1 cargo test -p ndpool --lib seeds` writes the files anew. Headers of `.npy` files are not among them: NumPy
//! wrote those, see `fuzz/README.md`.

use super::TARGETS;
use super::published::PARTS;
use super::tests::corpus;
use crate::control::{Fingerprint, KnownTask, PROTOCOL, Welcome};
use crate::job::arena::{Arena, Plan, arena_len};
use crate::job::board::{Board, OpenJob};
use crate::job::descriptor::{ArraySpec, Descriptor, Mode, TaskId};
use crate::job::grid::Grid;
use crate::job::slots::{Payload, SlotKind};
use crate::job::word::State;
use crate::segment::{Backing, DType, Fill, Locator, PAGE_BYTES, Place, Run, RunId, Segment};
use crate::shared::{DoubleBuffer, Event, FrameHeader, Mutex, Options, Schema, SharedFrame};
use crate::task::{Failure, FailureKind};
use crate::testing::scratch_directory;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

/// What would be others in each run of the test: who owns memory, and how it is known.
const RUN: u64 = 0x7f3a_5c0d_9e2b_4816;
const NONCE: u64 = 0x6b5f_9381_0db3_2939;
const PID: u32 = 4711;

/// Inputs by target and file name.
#[derive(Default)]
struct Seeds(BTreeMap<&'static str, BTreeMap<String, Vec<u8>>>);

impl Seeds {
    fn add(&mut self, target: &'static str, name: &str, bytes: &[u8]) {
        let twice = self.0.entry(target).or_default().insert(name.to_owned(), bytes.to_vec());
        assert_eq!(twice, None, "{target}/{name}");
    }
}

fn serialised(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}

/// A segment's locator, the same in each run.
fn locator(segment: &Segment) -> Locator {
    let place = Place::Memfd { pid: PID, fd: 10 };
    Locator { place, run: RunId::new(RUN), nonce: NONCE, ..segment.locator() }
}

/// The words of a segment's control page, the same in each run.
fn control(segment: &Segment, at: usize) -> Vec<u8> {
    let mut words = bytes_of(segment, at, 40);
    // Behind magic number and version; the generation, between the two, counts the segments of the run.
    words[16..24].copy_from_slice(&NONCE.to_le_bytes());
    words[32..40].copy_from_slice(&RUN.to_le_bytes());
    words
}

/// The bytes of a mapping's segment.
fn bytes_of(segment: &Segment, from: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    segment.mapping().unwrap().read_bytes(from, &mut bytes);
    bytes
}

fn array(run: &Arc<Run>, dtype: DType, shape: &[usize], mode: Mode) -> ArraySpec {
    let segment = Segment::npy(run, dtype, shape, Fill::Zero).unwrap();
    ArraySpec { locator: locator(&segment), dtype, shape: shape.to_vec(), offset_bytes: 0, mode }
}

fn all() -> Seeds {
    let run = Run::create(Backing::Memfd).unwrap();
    let mut seeds = Seeds::default();
    published(&mut seeds);
    descriptors(&run, &mut seeds);
    arenas(&run, &mut seeds);
    boards(&run, &mut seeds);
    segments(&run, &mut seeds);
    messages(&run, &mut seeds);
    frames(&mut seeds);
    texts(&mut seeds);
    seeds
}

/// Found by a fuzzer, which names its files so.
fn was_found(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn the_corpus_holds_what_the_crate_writes() {
    let must_write = std::env::var_os("NDPOOL_WRITE_SEEDS").is_some_and(|value| value == "1");
    let seeds = all().0;
    for (target, parse) in TARGETS.iter().filter(|(target, _)| *target != "npy_header") {
        let wanted = &seeds[target];
        wanted.values().for_each(|seed| parse(seed));
        let directory = corpus(target);
        if must_write {
            fs::create_dir_all(&directory).unwrap();
        }
        let mut kept = BTreeMap::new();
        for entry in fs::read_dir(&directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if was_found(&name) {
                continue;
            }
            let file = directory.join(&name);
            if must_write && !wanted.contains_key(&name) {
                fs::remove_file(file).unwrap();
            } else {
                kept.insert(name, fs::read(file).unwrap());
            }
        }
        if must_write {
            for (name, seed) in wanted.iter().filter(|&(name, seed)| kept.get(name) != Some(seed)) {
                fs::write(directory.join(name), seed).unwrap();
            }
        } else {
            let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&kept), names(wanted), "{target}: NDPOOL_WRITE_SEEDS=1 writes them anew");
            for (name, seed) in wanted {
                assert_eq!(&kept[name], seed, "{target}/{name}: NDPOOL_WRITE_SEEDS=1 writes it anew");
            }
        }
    }
    assert_eq!(seeds.len(), TARGETS.len() - 1, "each seed has a target");
}

fn frames(seeds: &mut Seeds) {
    for (name, schema) in [
        ("columns", "1000 rows: price float64, volume uint64, up bool"),
        ("exact", "64 rows: a_1 uint8, b-2.c complex128"),
        ("matrix", "20 rows x 3 columns: float32"),
    ] {
        let header = FrameHeader { schema: schema.parse().unwrap(), n_buffers: 4, data_offset: 64 };
        seeds.add("frame_header", name, &header.to_bytes(64));
    }
}

fn texts(seeds: &mut Seeds) {
    let failure = Failure {
        kind: FailureKind::Panic,
        message: "index out of bounds".into(),
        location: Some("src/main.rs:3:5".into()),
        backtrace: Some("0: main".into()),
    };
    seeds.add("failure", "panic", &serialised(&failure));
    let plain = Failure { message: "no such file".into(), ..Failure::default() };
    seeds.add("failure", "error", &serialised(&plain));
    let home = "ndpool manifest 1\nrun=7f3a5c0d9e2b4816\npid=4711\nprogram=/opt/heat/bin/heat\nstarted=1763805600\n\
                boot=3e9a5b1c-0000-4000-8000-0123456789ab\npid_namespace=pid:[4026531836]\n";
    let more = "directory=/scratch/100%25 heat\ndirectory=/a%0ab\nsocket=/tmp/.tmpAbCdEf/socket\n";
    seeds.add("manifest", "named", home.as_bytes());
    seeds.add("manifest", "file", [home, more].concat().as_bytes());
    for (name, text) in [
        ("manifest", "ndpool.7f3a5c0d9e2b4816.manifest"),
        ("segment", "ndpool.7f3a5c0d9e2b4816.12"),
        ("new", "ndpool.7f3a5c0d9e2b4816.new.3"),
        ("published", "ndpool.prices"),
        ("run", "7f3a5c0d9e2b4816"),
        ("float", "<f8"),
        ("swapped", ">c16"),
        ("byte", "|b1"),
    ] {
        seeds.add("names", name, text.as_bytes());
    }
}

fn descriptors(run: &Arc<Run>, seeds: &mut Seeds) {
    let job = |grid, arrays, is_batch| Descriptor {
        task: TaskId::Image(0x4_2420),
        task_name: Cow::Borrowed("heat::step"),
        grid,
        arrays,
        n_values: 2,
        is_batch,
    };
    let saxpy =
        vec![array(run, DType::F64, &[1000], Mode::Read), array(run, DType::F64, &[1000], Mode::Stage)];
    seeds.add("descriptor", "saxpy", &serialised(&job(Grid::new(1000, 100), saxpy, false)));
    let mixed = vec![
        array(run, DType::U8, &[7, 3, 2], Mode::Out),
        array(run, DType::C128, &[5], Mode::Whole),
        array(run, DType::I16, &[7], Mode::Stage),
        array(run, DType::Bool, &[7, 0], Mode::Stage),
    ];
    seeds.add("descriptor", "mixed", &serialised(&job(Grid::new(7, 2), mixed, false)));
    seeds.add("descriptor", "batch", &serialised(&job(Grid::new(64, 1), vec![], true)));
    let named = Descriptor { task: TaskId::Name, ..job(Grid::single(0), vec![], false) };
    seeds.add("descriptor", "one_call", &serialised(&named));
}

fn arenas(run: &Arc<Run>, seeds: &mut Seeds) {
    const N_BLOCKS: usize = 4;
    for (name, table) in [("rows", &[][..]), ("batch", &[2, 5, 9, 12])] {
        let plan = Plan {
            n_blocks: N_BLOCKS,
            descriptor_len: 40,
            arguments_len: 12,
            table_len: table.len(),
            slot_bytes: 64,
        };
        let segment = Segment::raw(run, arena_len(8, plan.data_len().unwrap()).unwrap()).unwrap();
        let arena = Arena::new(segment.map_fresh().unwrap(), PAGE_BYTES, 8).unwrap();
        arena.write_job(&plan, &[7; 40], b"two by three", table);
        let (ledger, slots) = (arena.ledger(5, N_BLOCKS), arena.slots(&plan));
        ledger.publish();
        for (block, next) in [State::Done, State::Staged, State::Condemned].into_iter().enumerate() {
            let word = ledger.claim(block, 1).unwrap();
            let payload = if block == 1 {
                Payload::Spilled { offset: 8192, len: 100_000 }
            } else {
                Payload::Inline(b"result")
            };
            slots.write(block, SlotKind::Value, 0, payload);
            ledger.advance(block, word, word.with_state(next)).unwrap();
        }
        let mut input = 8_u64.to_le_bytes().to_vec();
        input.push(N_BLOCKS as u8);
        input.extend(bytes_of(&segment, PAGE_BYTES, 128));
        input.extend(bytes_of(&segment, 2 * PAGE_BYTES, 64));
        input.extend(bytes_of(&segment, 3 * PAGE_BYTES, plan.data_len().unwrap()));
        seeds.add("arena", name, &input);
    }
}

fn boards(run: &Arc<Run>, seeds: &mut Seeds) {
    let len = Board::len_bytes(1);
    let segment = Segment::raw(run, len).unwrap();
    let board = Board::new(segment.map_fresh().unwrap(), PAGE_BYTES, 1);
    board.set_spill(0, 8192, 16_384);
    board.set_running(0, 7);
    board.add_last_words(0, b"a panic");
    board.open(0, &OpenJob { sequence: 5, arena: 1 }, 8, || locator(&segment));
    // The first entries are enough: the rest is zero.
    let input: Vec<u8> = [0].into_iter().chain(bytes_of(&segment, PAGE_BYTES, len)).collect();
    let used = input.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    seeds.add("board", "one_job", &input[..used]);
}

fn segments(run: &Arc<Run>, seeds: &mut Seeds) {
    let npy = Segment::npy(run, DType::F64, &[512], Fill::Zero).unwrap();
    let raw = Segment::raw(run, PAGE_BYTES).unwrap();
    for (access, name) in ["read", "stage", "write"].into_iter().enumerate() {
        let input = |kind: u8, n_pages: u8, control: Vec<u8>| {
            let mut input = vec![kind, access as u8, n_pages];
            input.extend([0; 48]);
            input.extend(control);
            input
        };
        seeds.add("segment", &format!("npy_{name}"), &input(0, 3, control(&npy, 2 * PAGE_BYTES)));
        seeds.add("segment", &format!("raw_{name}"), &input(1, 2, control(&raw, 0)));
        seeds.add("segment", &format!("file_{name}"), &input(2, 3, vec![]));
    }
}

fn messages(run: &Arc<Run>, seeds: &mut Seeds) {
    let array = Segment::npy(run, DType::F64, &[512], Fill::Zero).unwrap();
    let raw = Segment::raw(run, PAGE_BYTES).unwrap();
    let welcome = Welcome {
        slot: 1,
        n_workers: 4,
        board: locator(&array),
        staging: locator(&raw),
        spill: locator(&raw),
        idle_spin_nanos: 20_000,
        max_tasks: Some(100),
        memory_limit: Some(1 << 30),
        recycle_above: None,
        cpu: None,
        faults: None,
    };
    // As `ToWorker`, whose first variant it is.
    seeds.add("messages", "welcome", &[&[0][..], &serialised(&welcome)].concat());
    seeds.add("messages", "shutdown", &[1]);
    // Of some program: device, inode, length, time.
    let fingerprint = serialised(&(64_769_u64, 131_u64, 9_000_000_u64, 1_763_805_600_000_000_000_i64));
    let fingerprint: Fingerprint = postcard::from_bytes(&fingerprint).unwrap();
    let task = KnownTask { name: "heat::step".into(), layout: "f64, &mut Array2<f64>".into() };
    let hello = (PROTOCOL, "0.1.0", PID, fingerprint, [task].to_vec());
    seeds.add("messages", "hello", &serialised(&hello));
}

fn published(seeds: &mut Seeds) {
    let directory = scratch_directory("fuzz-seeds");
    let options = Options::new().directory(&directory);
    let mut add = |name: &str| {
        let path = directory.join("ndpool.x");
        let mut file = fs::read(&path).unwrap();
        let n_pages = file.len() / PAGE_BYTES;
        let page = file.len() - PAGE_BYTES;
        // Nonce, times and process are others in each run.
        for (word, value) in [(2, NONCE), (5, 1 << 60), (6, PID.into()), (15, 1 << 60)] {
            let at = page + 8 * word;
            if file[at..at + 8] != [0; 8] {
                file[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        let mut input = vec![n_pages as u8];
        for (len, at) in PARTS.into_iter().zip([0, page, page - PAGE_BYTES]) {
            input.extend(&file[at..at + len]);
        }
        seeds.add("published", name, &input);
    };
    let event = Event::create_with(&options, "x").unwrap();
    event.set();
    add("event");
    drop(event);
    let mutex = Mutex::<u64, _>::create_striped(&options, "x", 6, 2).unwrap();
    add("mutex");
    drop(mutex);
    let buffer = DoubleBuffer::<u64, _>::builder().buffers(3).options(&options).create("x", 5).unwrap();
    let mut writer = buffer.writer().unwrap();
    (1..4).for_each(|k| _ = writer.write(|mut frame| frame.fill(k)));
    add("double_buffer");
    drop((buffer, writer));
    let schema = Schema::new(7).column::<u64>("a").column::<f32>("b");
    let frame = SharedFrame::create_with(&options, "x", &schema).unwrap();
    frame.write(|frame| frame.column_mut::<u64>("a").map(|mut a| a.fill(3))).unwrap();
    add("frame");
    drop(frame);
    let matrix = SharedFrame::create_with(&options, "x", &Schema::matrix::<f64>(4, 3)).unwrap();
    add("matrix");
    drop(matrix);
    fs::remove_dir(directory).unwrap();
    for (name, text) in [
        ("plain", "prices"),
        ("item", "prices/close"),
        ("file", "ndpool.prices.close"),
        ("run", "abcdefabcdefabcd"),
    ] {
        seeds.add("shared_names", name, text.as_bytes());
    }
}
