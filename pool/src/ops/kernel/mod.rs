//! Kernels: pure functions over slices, compiled for several instruction sets, with one order of operations.

/// Columns side by side.
pub mod columns;
/// Order and search: smallest, largest, where, NaN.
pub mod extremes;
/// Sum, spread and extremes in one pass.
pub mod fused;
/// Asking for memory ahead of time.
pub mod prefetch;
/// Products.
pub mod product;
/// Run-time choice of the instruction set.
pub mod simd;
/// Sums of squares about a shift.
pub mod spread;
/// Sums.
pub mod sum;
/// Float sums with their rounding error.
pub mod twofold;
