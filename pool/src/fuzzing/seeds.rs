//! Writes the seeds of the corpus from what the crate itself writes: `cargo test -p ndpool --lib seeds -- --ignored`.
//!
//! Headers of `.npy` files are not among them: NumPy wrote those, see `fuzz/README.md`.

use super::tests::corpus;
use crate::control::{Fingerprint, KnownTask, Welcome};
use crate::job::arena::{Arena, Plan, arena_len};
use crate::job::board::{Board, OpenJob};
use crate::job::descriptor::{ArraySpec, Descriptor, Mode, TaskId};
use crate::job::grid::Grid;
use crate::job::slots::{Payload, SlotKind};
use crate::job::word::State;
use crate::segment::{Backing, DType, Fill, PAGE_BYTES, Run, Segment};
use crate::task::{Failure, FailureKind};
use serde::Serialize;
use std::borrow::Cow;
use std::fs;

fn write(target: &str, name: &str, bytes: &[u8]) {
    let directory = corpus(target);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), bytes).unwrap();
}

fn serialised(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}

/// The bytes of a mapping's segment.
fn bytes_of(segment: &Segment, from: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    segment.mapping().unwrap().read_bytes(from, &mut bytes);
    bytes
}

fn array(run: &std::sync::Arc<Run>, dtype: DType, shape: &[usize], mode: Mode) -> ArraySpec {
    let segment = Segment::npy(run, dtype, shape, Fill::Zero).unwrap();
    ArraySpec { locator: segment.locator(), dtype, shape: shape.to_vec(), offset_bytes: 0, mode }
}

#[test]
#[ignore = "writes to fuzz/corpus"]
fn write_seeds() {
    let run = Run::create(Backing::Memfd).unwrap();
    descriptors(&run);
    arenas(&run);
    boards(&run);
    segments(&run);
    let failure = Failure {
        kind: FailureKind::Panic,
        message: "index out of bounds".into(),
        location: Some("src/main.rs:3:5".into()),
        backtrace: Some("0: main".into()),
    };
    write("failure", "panic", &serialised(&failure));
    write("failure", "error", &serialised(&Failure { message: "no such file".into(), ..Failure::default() }));
    let home = "ndpool manifest 1\nrun=7f3a5c0d9e2b4816\npid=4711\nprogram=/opt/heat/bin/heat\nstarted=1763805600\n\
                boot=3e9a5b1c-0000-4000-8000-0123456789ab\npid_namespace=pid:[4026531836]\n";
    let more = "directory=/scratch/100%25 heat\ndirectory=/a%0ab\nsocket=/tmp/.tmpAbCdEf/socket\n";
    write("manifest", "named", home.as_bytes());
    write("manifest", "file", [home, more].concat().as_bytes());
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
        write("names", name, text.as_bytes());
    }
}

fn descriptors(run: &std::sync::Arc<Run>) {
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
    write("descriptor", "saxpy", &serialised(&job(Grid::new(1000, 100), saxpy, false)));
    let mixed = vec![
        array(run, DType::U8, &[7, 3, 2], Mode::Out),
        array(run, DType::C128, &[5], Mode::Whole),
        array(run, DType::I16, &[7], Mode::Stage),
        array(run, DType::Bool, &[7, 0], Mode::Stage),
    ];
    write("descriptor", "mixed", &serialised(&job(Grid::new(7, 2), mixed, false)));
    write("descriptor", "batch", &serialised(&job(Grid::new(64, 1), vec![], true)));
    let named = Descriptor { task: TaskId::Name, ..job(Grid::single(0), vec![], false) };
    write("descriptor", "one_call", &serialised(&named));
}

fn arenas(run: &std::sync::Arc<Run>) {
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
        write("arena", name, &input);
    }
}

fn boards(run: &std::sync::Arc<Run>) {
    let len = Board::len_bytes(1);
    let segment = Segment::raw(run, len).unwrap();
    let board = Board::new(segment.map_fresh().unwrap(), PAGE_BYTES, 1);
    board.set_spill(0, 8192, 16_384);
    board.set_running(0, 7);
    board.add_last_words(0, b"a panic");
    board.open(0, &OpenJob { sequence: 5, arena: 1 }, 8, || segment.locator());
    // The first entries are enough: the rest is zero.
    let input: Vec<u8> = [0].into_iter().chain(bytes_of(&segment, PAGE_BYTES, len)).collect();
    let used = input.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    write("board", "one_job", &input[..used]);
}

fn segments(run: &std::sync::Arc<Run>) {
    let npy = Segment::npy(run, DType::F64, &[512], Fill::Zero).unwrap();
    let raw = Segment::raw(run, PAGE_BYTES).unwrap();
    for (access, name) in ["read", "stage", "write"].into_iter().enumerate() {
        let input = |kind: u8, n_pages: u8, control: Vec<u8>| {
            let mut input = vec![kind, access as u8, n_pages];
            input.extend([0; 48]);
            input.extend(control);
            input
        };
        write("segment", &format!("npy_{name}"), &input(0, 3, bytes_of(&npy, 2 * PAGE_BYTES, 40)));
        write("segment", &format!("raw_{name}"), &input(1, 2, bytes_of(&raw, 0, 40)));
        write("segment", &format!("file_{name}"), &input(2, 3, vec![]));
    }
    let welcome = Welcome {
        slot: 1,
        n_workers: 4,
        board: npy.locator(),
        staging: raw.locator(),
        spill: raw.locator(),
        idle_spin_nanos: 20_000,
        max_tasks: Some(100),
        memory_limit: Some(1 << 30),
        recycle_above: None,
        cpu: None,
        faults: None,
    };
    // As `ToWorker`, whose first variant it is.
    write("messages", "welcome", &[&[0][..], &serialised(&welcome)].concat());
    write("messages", "shutdown", &[1]);
    let fingerprint = Fingerprint::of_this_program().unwrap();
    let task = KnownTask { name: "heat::step".into(), layout: "f64, &mut Array2<f64>".into() };
    let hello = (1_u32, env!("CARGO_PKG_VERSION"), 4711_u32, fingerprint, [task].to_vec());
    write("messages", "hello", &serialised(&hello));
}
