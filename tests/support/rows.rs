/// Checks that a task which adds one was applied once to each row, but for those of some blocks.
///
/// # Panics
///
/// If it was not.
#[track_caller]
pub fn assert_applied_but<'x>(
    not_applied: &[usize],
    rows: impl IntoIterator<Item = &'x i64>,
    block_rows: usize,
) {
    for (row, &value) in rows.into_iter().enumerate() {
        let wanted = i64::from(!not_applied.contains(&(row / block_rows)));
        assert_eq!(value, wanted, "row {row}, all but blocks {not_applied:?}");
    }
}
