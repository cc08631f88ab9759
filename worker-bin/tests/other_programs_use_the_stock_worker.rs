//! Goal: the tool serves the pools of other programs, with every built-in reduction.
//!
//! Method: this test is the other program, and names the tool as its worker program. Results are compared, bit by bit,
//! with those of the same calls without workers.

use ndpool::ndarray::{Array, IxDyn};
use ndpool::num_complex::Complex;
use ndpool::ops::dynamic::{AnyArray, Op, Options, Runner};
use ndpool::{ErrorKind, Pool};

fn arrays(pool: &Pool) -> ndpool::Result<Vec<AnyArray>> {
    let shape = IxDyn(&[4, 3]);
    macro_rules! arrays {
        ($($t:ty: |$i:ident| $value:expr;)*) => {
            vec![$({
                let x = Array::<$t, _>::from_shape_fn(shape.clone(), |at| { let $i = (at[0] * 3 + at[1]) as u8; $value });
                AnyArray::from(pool.from_array(&x)?)
            }),*]
        };
    }
    Ok(arrays! {
        f32: |i| f32::from(i) - 5.5; f64: |i| f64::from(i) / 3.0 - 2.0;
        i8: |i| i as i8; i16: |i| i.into(); i32: |i| i.into(); i64: |i| i.into();
        u8: |i| i; u16: |i| i.into(); u32: |i| i.into(); u64: |i| i.into(); bool: |i| i.is_multiple_of(3);
        Complex<f32>: |i| Complex::new(i.into(), 0.5); Complex<f64>: |i| Complex::new(0.25, i.into());
    })
}

#[ndpool::test]
fn every_operation_on_every_type() -> ndpool::Result<()> {
    let pool = Pool::builder().workers(2).worker_program(env!("CARGO_BIN_EXE_ndpool")).build()?;
    let here = Pool::builder().workers(1).in_process().build()?;
    let mut n_compared = 0;
    for (x, y) in arrays(&pool)?.iter().zip(&arrays(&here)?) {
        for &op in Op::ALL {
            for axis in [None, Some(0), Some(-1)] {
                if axis.is_some() && !op.has_axis() {
                    continue;
                }
                let options = Options { axis, ..Options::default() };
                let run = |pool: &Pool, x: &AnyArray| match op.takes_two() {
                    true => Runner::new(pool).run_two(x, x, op),
                    false => Runner::new(pool).run(x, op, &options),
                };
                match (run(&pool, x), run(&here, y)) {
                    (Ok(there), Ok(here)) => {
                        let same = there.iter().zip(&here).all(|((_, a), (_, b))| a.same_bits(b));
                        assert!(same, "{op} of {} along {axis:?}: {there:?}, not {here:?}", x.dtype());
                        n_compared += 1;
                    }
                    (Err(there), Err(here)) => {
                        assert_eq!(
                            there.kind(),
                            ErrorKind::InvalidArgument,
                            "{op} of {}: {there}",
                            x.dtype()
                        );
                        assert_eq!(there.to_string(), here.to_string());
                    }
                    (there, here) => panic!("{op} of {}: {there:?}, not {here:?}", x.dtype()),
                }
            }
        }
    }
    assert!(n_compared > 900, "only {n_compared} were compared");
    Ok(())
}
