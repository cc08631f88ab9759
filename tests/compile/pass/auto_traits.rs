//! Handles go where they must: calls and jobs to other threads, pools and arrays shared between them, and a call that
//! borrows for long is one that borrows for short.

use ndarray::prelude::*;
use ndpool::{Call, Error, Job, Pool, RowsMut, SharedArray};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn shorter<'long: 'short, 'short>(call: Call<'long, f64>) -> Call<'short, f64> {
    call
}

#[ndpool::task]
fn one(x: u8) -> u8 {
    x
}

fn main() {
    send::<Call<'static, f64>>();
    send::<Job<'static, f64>>();
    send::<RowsMut<'static, f64, Ix1>>();
    send::<Pool>();
    sync::<Pool>();
    send::<SharedArray<f64, Ix2>>();
    sync::<SharedArray<bool, IxDyn>>();
    send::<Error>();
    sync::<Error>();
    let _ = shorter;
    // A call without arrays borrows nothing.
    let _: Call<'static, u8> = one(3);
}
