//! Goal: a record batch is one version of a frame, over the same memory, and stays so for as long as any part of it lives.
//!
//! Method: Arrow's own kernels compute with the columns of a batch, while the writer goes on for many versions; addresses show that nothing
//! was copied; whether the writer could use the buffer again shows when the batch let go of it.

use arrow_arith::{aggregate, numeric};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int16Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use ndpool::num_complex::Complex;
use ndpool::shared::{Options, Schema, SharedFrame};
use ndpool::{DType, ErrorKind};

const N_ROWS: usize = 10_000;

fn frame(test: &str, n_lent: usize) -> SharedFrame {
    let schema = Schema::new(N_ROWS)
        .column::<f64>("price")
        .column::<u64>("volume")
        .column::<bool>("even")
        .column::<i16>("change");
    let name = format!("arrow-{test}-{}", std::process::id());
    SharedFrame::create_lending(&Options::new(), &name, &schema, n_lent).unwrap()
}

/// Every column is a function of the version and of the row.
fn write(frame: &SharedFrame) -> u64 {
    let written = frame.write(|frame| {
        let version = frame.version();
        for (row, price) in frame.column_out::<f64>("price")?.iter_mut().enumerate() {
            *price = version as f64 + row as f64;
        }
        frame.column_out::<u64>("volume")?.fill(version);
        for (row, even) in frame.column_out::<bool>("even")?.iter_mut().enumerate() {
            *even = (version + row as u64).is_multiple_of(2);
        }
        frame.column_out::<i16>("change")?.fill(-(version as i16));
        Ok(version)
    });
    written.unwrap()
}

/// Computes with the columns.
fn check(batch: &RecordBatch, version: u64) {
    assert_eq!((batch.num_rows(), batch.num_columns()), (N_ROWS, 4));
    let price = batch.column_by_name("price").unwrap().as_primitive::<Float64Type>();
    let volume = batch.column_by_name("volume").unwrap().as_primitive::<UInt64Type>();
    let even = batch.column_by_name("even").unwrap().as_boolean();
    let change = batch.column_by_name("change").unwrap().as_primitive::<Int16Type>();
    let n = N_ROWS as u64;
    assert_eq!(aggregate::sum(price), Some((n * version + n * (n - 1) / 2) as f64));
    assert_eq!((aggregate::min(volume), aggregate::max(volume)), (Some(version), Some(version)));
    assert_eq!(
        aggregate::sum(&numeric::add(volume, volume).unwrap().as_primitive::<UInt64Type>().clone()),
        Some(2 * n * version)
    );
    assert_eq!(even.true_count(), N_ROWS / 2);
    assert_eq!(even.value(0), version.is_multiple_of(2));
    assert_eq!(aggregate::max(change), Some(-(version as i16)));
    assert!(batch.columns().iter().all(|column| column.null_count() == 0 && column.nulls().is_none()));
}

/// Where a column's values lie.
fn address(batch: &RecordBatch, column: usize) -> usize {
    batch.column(column).to_data().buffers()[0].as_ptr().addr()
}

#[test]
fn a_batch_is_the_snapshots_memory_and_stays_whole_while_the_writer_goes_on() {
    let frame = frame("whole", 1);
    let version = write(&frame);
    let snapshot = frame.try_snapshot().unwrap();
    assert!(snapshot.is_pinned());
    let addresses = [
        snapshot.column::<f64>("price").unwrap().as_ptr().addr(),
        snapshot.column::<u64>("volume").unwrap().as_ptr().addr(),
    ];
    let batch = snapshot.into_record_batch().unwrap();
    assert_eq!([0, 1].map(|column| address(&batch, column)), addresses, "nothing is copied");
    assert!(addresses.iter().all(|address| address.is_multiple_of(64)), "as Arrow recommends");
    for _ in 0..1_000 {
        write(&frame);
    }
    check(&batch, version);

    // The batch goes, a slice of one column stays; with it the pin.
    let slice = batch.column(1).slice(N_ROWS - 5, 5);
    drop(batch);
    assert!(!frame.try_snapshot().unwrap().is_pinned());
    for _ in 0..10 {
        write(&frame);
    }
    assert_eq!(slice.as_primitive::<UInt64Type>().values().to_vec(), [version; 5]);
    drop(slice);
    assert!(frame.try_snapshot().unwrap().is_pinned(), "the last buffer is dropped, and lets go");
}

#[test]
fn batches_of_copies_outlive_the_frame() {
    let frame = frame("copies", 0);
    let mut batches = Vec::new();
    for _ in 0..5 {
        let version = write(&frame);
        let snapshot = frame.try_snapshot().unwrap();
        assert!(!snapshot.is_pinned());
        batches.push((version, snapshot.into_record_batch().unwrap()));
    }
    drop(frame);
    for (version, batch) in &batches {
        check(batch, *version);
    }
}

#[test]
fn batches_travel_between_threads() {
    let frame = frame("threads", 2);
    let (version, batch) = (write(&frame), frame.try_snapshot().unwrap().into_record_batch().unwrap());
    write(&frame);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let batch = batch.clone();
            scope.spawn(move || check(&batch, version));
        }
    });
    // The last of it is dropped elsewhere.
    std::thread::spawn(move || drop(batch)).join().unwrap();
    assert!(frame.try_snapshot().unwrap().is_pinned() && frame.try_snapshot().unwrap().is_pinned());
}

#[test]
fn types_are_arrows_or_refused() {
    let all = DType::ALL.into_iter().filter(|dtype| !matches!(dtype, DType::C64 | DType::C128));
    let schema = all.fold(Schema::new(3), |schema, dtype| schema.column_of(dtype, dtype.name()));
    let found: Vec<_> = schema
        .to_arrow()
        .unwrap()
        .fields()
        .iter()
        .map(|field| (field.data_type().clone(), field.is_nullable()))
        .collect();
    use DataType::{Boolean, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    let wanted = [Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Boolean];
    assert_eq!(found, wanted.map(|dtype| (dtype, false)));
    let text = schema.to_arrow().unwrap().metadata()["ndpool.schema"].clone();
    assert_eq!(text.parse::<Schema>().unwrap(), schema);

    let name = format!("arrow-types-{}", std::process::id());
    let all =
        SharedFrame::create(&name, &schema).unwrap().try_snapshot().unwrap().into_record_batch().unwrap();
    assert_eq!((all.num_rows(), all.num_columns()), (3, 11));
    for schema in [Schema::new(3).column::<f64>("a").column::<Complex<f32>>("z"), Schema::matrix::<f64>(3, 3)]
    {
        let name = format!("arrow-refused-{}", std::process::id());
        let frame = SharedFrame::create(&name, &schema).unwrap();
        let error = frame.try_snapshot().unwrap().into_record_batch().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.hint().is_some(), "{error}");
    }
}
