//! One result on every instruction set, and after a trip through a result slot.

use num_complex::Complex;

use super::super::acc::{
    Accumulate, Count, CountOp, Dot, Extrema, ExtremaOp, Norm, NormOp, Product, ProductOp, Spread, SpreadOp,
    Summary, Total,
};
use super::super::dtype::Dtype;
use super::super::tasks::{Lanes, Pairs};
use super::super::whole::{NAN_TOTAL, TOTAL};
use super::{Noise, along_on, flat_on, targets};

const LENGTHS: [usize; 14] = [0, 1, 15, 31, 32, 33, 255, 511, 513, 2047, 2048, 2049, 5000, 70_001];

fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}

fn agree<A: Accumulate<T>, T: Dtype>(ops: &[A::Op], x: &[T]) {
    let shapes = [(1, 7, 300), (3, 100, 5), (2, 1000, 1), (1, 20, 3)];
    for &op in ops {
        for n in LENGTHS {
            let n = n.min(x.len());
            let mut found: Vec<Vec<u8>> =
                targets().map(|target| bytes(&flat_on::<A, T>(target, op, &x[..n]))).collect();
            found.dedup();
            assert_eq!(found.len(), 1, "{} of {n} {} with {op:?}", A::NAME, T::NAME);
            let decoded: A = postcard::from_bytes(&found[0]).unwrap();
            assert_eq!(bytes(&decoded), found[0], "{} through a slot", A::NAME);
        }
        for (outer, n, inner) in shapes {
            let lanes = Lanes { outer, n, inner };
            let x = &x[..outer * n * inner];
            let mut found: Vec<Vec<u8>> =
                targets().map(|target| bytes(&along_on::<A, T>(target, op, x, lanes))).collect();
            found.dedup();
            assert_eq!(found.len(), 1, "{} of {} along {lanes:?} with {op:?}", A::NAME, T::NAME);
        }
    }
}

fn all_agree<T: Dtype>(make: impl Fn(&mut Noise) -> T) {
    let mut noise = Noise(7);
    let x: Vec<T> = (0..70_001).map(|_| make(&mut noise)).collect();
    let spread = SpreadOp { ddof: 1.0, root: true, skip_nan: false };
    agree::<Total<T>, T>(&[TOTAL, NAN_TOTAL], &x);
    agree::<Product<T>, T>(&[ProductOp { skip_nan: false }, ProductOp { skip_nan: true }], &x);
    agree::<Spread<T>, T>(&[spread, SpreadOp { skip_nan: true, ..spread }], &x);
    agree::<Extrema<T>, T>(&[ExtremaOp::MIN, ExtremaOp::ARGMAX.skipping_nan()], &x);
    agree::<Count, T>(&[CountOp::Nonzero, CountOp::Any, CountOp::All], &x);
    agree::<Norm, T>(&[NormOp::One, NormOp::Two, NormOp::Inf], &x);
    for n in LENGTHS {
        let (a, b) = (&x[..n], &x[x.len() - n..]);
        let mut found: Vec<Vec<u8>> = targets()
            .map(|target| {
                let dot: Dot<T> = target.run(Pairs { a, b, conjugate: true });
                bytes(&(dot, flat_on::<Summary<T>, T>(target, (), a)))
            })
            .collect();
        found.dedup();
        assert_eq!(found.len(), 1, "dot or describe of {n} {}", T::NAME);
    }
}

#[test]
fn targets_agree_on_floats() {
    all_agree(|noise| noise.normal());
    all_agree(|noise| noise.normal() as f32);
    all_agree(|noise| if noise.bits().is_multiple_of(5000) { f64::NAN } else { noise.normal() * 1e200 });
}

#[test]
fn targets_agree_on_integers() {
    all_agree(|noise| noise.bits() as i8);
    all_agree(|noise| noise.bits() as i16);
    all_agree(|noise| noise.bits() as i32);
    all_agree(|noise| noise.bits() as i64);
    all_agree(|noise| noise.bits() as u8);
    all_agree(|noise| noise.bits() as u16);
    all_agree(|noise| noise.bits() as u32);
    all_agree(|noise| noise.bits());
    all_agree(|noise| noise.bits().is_multiple_of(2));
}

#[test]
fn targets_agree_on_complex_numbers() {
    all_agree(|noise| Complex::new(noise.normal(), noise.normal()));
    all_agree(|noise| Complex::new(noise.normal() as f32, noise.normal() as f32));
}
