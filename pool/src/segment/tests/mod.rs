//! Tests of segments as wholes, with real files and real processes.

mod attaching;
mod living;
mod reaping;
mod room;
