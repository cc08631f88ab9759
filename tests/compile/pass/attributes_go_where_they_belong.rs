//! Lint levels cover the task once, `deprecated` is for callers, `cfg` removes the whole task.
#![deny(warnings)]

use ndpool::task;

#[task]
#[expect(unused_variables, reason = "kept for callers of the first version")]
fn fewer(a: u8, b: u8) -> u8 {
    a
}

#[task]
#[allow(dead_code)]
#[allow(clippy::too_many_arguments)]
fn never_called(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    a + b + c + d + e + f + g + h
}

#[task]
#[deprecated(note = "call `newer`")]
#[track_caller]
#[cold]
fn older(a: u8) -> u8 {
    a
}

#[task]
#[cfg(any())]
fn absent(a: NoSuchType) {}

#[task]
#[cfg_attr(all(), doc = "documented")]
#[cfg_attr(all(), inline)]
fn documented() {}

#[allow(deprecated)]
fn main() {
    drop((fewer(1, 2), older(1), documented()));
}
