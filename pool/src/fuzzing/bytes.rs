use crate::control::{Fingerprint, KnownTask, Welcome};
use crate::job::descriptor::{Descriptor, Mode};
use crate::segment::{Contents, DType, Header, Name, RunId, write_header};
use crate::shared::{FrameHeader, Schema};
use crate::supervisor::{decode_failure, failure_error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The header of a `.npy` file.
///
/// A header that is read has a size that does not overflow, ends where its data begin, and says the same after it was written and
/// read again.
pub fn npy_header(bytes: &[u8]) {
    let mut reader = Cursor::new(bytes);
    match Header::read(&mut reader) {
        Ok(header) => {
            assert_eq!(reader.position(), header.data_offset as u64);
            assert!(header.data_offset <= bytes.len());
            let n: usize = if header.shape.contains(&0) { 0 } else { header.shape.iter().product() };
            assert_eq!(header.data_len(), n * header.dtype.size_bytes());
            assert!(isize::try_from(header.data_len()).is_ok());
            for align_to in [64, 4096] {
                let written = write_header(header.dtype, &header.shape, align_to);
                assert!(written.len().is_multiple_of(align_to) && written.ends_with(b"\n"));
                let again = Header::read(&mut &written[..]).expect("a written header is read");
                assert_eq!((again.dtype, &again.shape), (header.dtype, &header.shape));
                assert_eq!(again.data_offset, written.len());
            }
        }
        Err(error) => {
            let error = error.at(Path::new("foreign.npy"));
            assert!(!error.to_string().is_empty());
        }
    }
}

/// The header of a frame: what is accepted is written again to the letter, but for blanks, with columns inside of their record.
pub fn frame_header(bytes: &[u8]) {
    match FrameHeader::read(&mut Cursor::new(bytes)) {
        Ok(header) => {
            let FrameHeader { schema, n_buffers, data_offset } = &header;
            assert!(*data_offset <= bytes.len());
            assert_eq!(&schema.to_string().parse::<Schema>().expect("a schema's own text"), schema);
            let written = header.to_bytes(4096);
            assert!(written.len().is_multiple_of(4096));
            let again = FrameHeader::read(&mut &written[..]).expect("a written header is read");
            assert_eq!((&again.schema, again.n_buffers), (schema, *n_buffers));
        }
        Err(error) => {
            let error = error.at(Path::new("foreign.npy"));
            assert!(!error.to_string().is_empty());
        }
    }
}

/// The description of a job, as a worker reads it from an arena.
///
/// One that is accepted has arrays that lie inside of their data, whichever block is asked for, and staging places that do not
/// overlap.
pub fn descriptor(bytes: &[u8]) {
    let Ok(descriptor) = postcard::from_bytes::<Descriptor>(bytes) else { return };
    is_stable(&descriptor);
    let n_blocks = match bytes.last() {
        // The number that goes with it, or one that does not.
        Some(&last) if last >= 0xf0 => last.into(),
        _ => descriptor.grid.checked_n_blocks().unwrap_or(1),
    };
    if descriptor.validate(n_blocks).is_err() {
        return;
    }
    assert_eq!(descriptor.grid.n_blocks(), n_blocks);
    let middle = n_blocks / 2;
    let mut next_row = 0;
    for block in [0, middle.saturating_sub(1), middle, n_blocks.saturating_sub(1)] {
        let rows = descriptor.grid.rows(block);
        assert!(rows.start <= rows.end && rows.start >= next_row.min(rows.start));
        next_row = rows.end;
        for array in &descriptor.arrays {
            let len = array.locator.data_len;
            let whole = array.bytes(&(0..array.n_rows()));
            assert!(whole.start <= whole.end && whole.end <= len, "{whole:?} of {len} bytes");
            assert!(array.offset_bytes.is_multiple_of(array.dtype.size_bytes()));
            if array.mode != Mode::Whole {
                let bytes = array.bytes(&rows);
                assert!(whole.start <= bytes.start && bytes.start <= bytes.end && bytes.end <= whole.end);
                assert_eq!(bytes.len(), rows.len() * array.row_bytes());
            }
        }
        let mut end = 0;
        for staged in descriptor.staging(block) {
            assert!(staged.buffer.start >= end && staged.buffer.len() == staged.target.len());
            assert_eq!(descriptor.arrays[staged.index].mode, Mode::Stage);
            end = staged.buffer.end;
        }
        assert!(end <= descriptor.staging_len());
    }
}

/// A failure that a task left in its slot: whatever lies there becomes an error with a text.
pub fn failure(bytes: &[u8]) {
    let failure = decode_failure(bytes);
    is_stable(&failure);
    let error = failure_error("task", Some(7), &failure);
    assert!(error.to_string().starts_with("task, block 7"));
}

/// A manifest: what is understood of it is understood again after it was written.
pub fn manifest(bytes: &[u8]) {
    let contents = Contents::read(bytes).expect("reading memory does not fail");
    let written = contents.to_bytes(RunId::new(1));
    assert_eq!(Contents::read(&written[..]).expect("reading memory does not fail"), contents);
}

/// The messages of the handshake, without the channels in them, which are no bytes.
pub fn messages(bytes: &[u8]) {
    fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
        if let Ok(message) = postcard::from_bytes::<T>(bytes) {
            is_stable(&message);
        }
    }
    /// As `ToWorker`.
    #[derive(serde::Serialize, serde::Deserialize)]
    enum ToWorker {
        Welcome(Box<Welcome>),
        Shutdown,
    }
    decode::<ToWorker>(bytes);
    // As `Hello`, up to its channel.
    decode::<(u32, String, u32, Fingerprint, Vec<KnownTask>)>(bytes);
}

/// File names, run identities and type names: each is accepted in one spelling alone.
pub fn names(bytes: &[u8]) {
    if let Some(name) = Name::parse(OsStr::from_bytes(bytes)) {
        assert_eq!(name.to_string().as_bytes(), bytes);
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(run) = text.parse::<RunId>() {
        assert_eq!(run.to_string(), text);
    }
    if let Some((dtype, is_native)) = DType::from_descr(text) {
        assert!(text.ends_with(&dtype.descr()[1..]));
        assert!(is_native || text.starts_with(['<', '>']));
    }
}

/// What was read and is written is read again as what it was.
fn is_stable<T: Serialize + DeserializeOwned>(value: &T) {
    let written = postcard::to_stdvec(value).expect("what was read can be written");
    let again: T = postcard::from_bytes(&written).expect("what was written can be read");
    assert_eq!(postcard::to_stdvec(&again).expect("what was read can be written"), written);
}
