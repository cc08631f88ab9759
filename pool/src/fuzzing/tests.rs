//! Goal: no bytes break a parser. Method: every input of the corpus, and mutations of each that are the same in every run.

use super::TARGETS;
use std::fs;
use std::path::{Path, PathBuf};

/// Mutations tried of each input.
const N_MUTATIONS: u64 = 200;

pub(super) fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// One to four changes: a bit, a byte of note, a number of eight bytes, a piece gone, a piece twice.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => {
                let number = [0, 1, u64::MAX, i64::MAX as u64, 1 << 32, random.next()][random.below(6)];
                for (byte, new) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                    *byte = new;
                }
            }
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..(at + random.below(16)).min(bytes.len()))),
            _ => {
                let piece = bytes[at..(at + random.below(16)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

#[test]
fn no_input_of_the_corpus_and_no_mutation_of_one_breaks_a_parser() {
    for (name, target) in TARGETS {
        let mut files: Vec<_> = fs::read_dir(corpus(name))
            .unwrap_or_else(|error| panic!("no corpus for {name}: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "no corpus for {name}");
        target(&[]);
        for file in files {
            let input = fs::read(&file).unwrap();
            println!("{}", file.display());
            target(&input);
            let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ input.len() as u64);
            for _ in 0..N_MUTATIONS {
                let mut mutated = input.clone();
                mutate(&mut mutated, &mut random);
                target(&mutated);
            }
        }
    }
}

#[test]
fn every_target_has_a_program_and_every_program_a_target() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut programs: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    assert_eq!(programs, TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
