use super::memory::Front;
use crate::segment::PAGE_BYTES;
use crate::server::{self, DataClient};
use crate::shared::{DoubleBuffer, Event, Kind, LockError, Mutex, Name, Options, SharedFrame, read_places};
use crate::sys::host;
use ndarray::{Ix1, Ix2};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes of an input that are the beginning of a published file's header, of its control page, and of its tables.
pub(super) const PARTS: [usize; 3] = [320, 1024, 256];

/// The file of a shared structure.
///
/// The input is the number of its pages, then the beginnings of its header, its control page, and the page before that, where
/// tables are. What is accepted lies inside of the file; whatever attaches to it reads values or says what is wrong.
pub fn published(input: &[u8]) {
    let mut front = Front(input);
    let n_pages = usize::from(front.byte()) % 8;
    let len = n_pages * PAGE_BYTES;
    let directory =
        std::env::temp_dir().join(format!("ndpool-fuzz.{:016x}", host::random_u64().expect("random")));
    fs::create_dir(&directory).expect("a directory for temporary files");
    let path = directory.join("ndpool.x");
    let file =
        File::options().read(true).write(true).create_new(true).mode(0o600).open(&path).expect("a file");
    file.set_len(len as u64).expect("space");
    let mut header = vec![b' '; PAGE_BYTES];
    header[PAGE_BYTES - 1] = b'\n';
    let mut rest = front.0;
    for (part, at) in PARTS.into_iter().zip([Some(0), n_pages.checked_sub(1), n_pages.checked_sub(2)]) {
        let (bytes, behind) = rest.split_at(part.min(rest.len()));
        rest = behind;
        let Some(page) = at.filter(|_| n_pages >= 2) else { continue };
        if page == 0 {
            header[..bytes.len()].copy_from_slice(bytes);
            file.write_all_at(&header, 0).expect("space");
        } else {
            file.write_all_at(bytes, (page * PAGE_BYTES) as u64).expect("space");
        }
    }
    let known = read_places(&file, len as u64);
    if let Ok(places) = &known {
        assert!(places.data_at >= 10 && places.data_at <= places.tables_at);
        assert!(places.tables_at <= places.page_at && places.page_at + PAGE_BYTES == len);
        assert!(places.tables_at + 8 * places.n_table_words() <= places.page_at);
    }
    look(&directory, known.ok().map(|places| places.kind));
    let _ = fs::remove_dir_all(&directory);
}

/// Lets everything that there is attach to `x`, for writing and for reading, and read.
fn look(directory: &Path, kind: Option<Kind>) {
    let options = Options::new().directory(directory);
    let listed = crate::shared::list_in(directory).expect("it can be listed");
    assert_eq!(listed.first().map(|info| info.kind), kind);
    let _ = server::list_in(directory).map(|servers| servers.len());
    let _ = DataClient::connect_with(&options, "x").map(|client| client.items().map(|items| items.len()));
    for read_only in [true, false] {
        let options = options.clone().read_only(read_only);
        if let Ok(event) = Event::attach_with(&options, "x") {
            assert_eq!(kind, Some(Kind::Event));
            let _ = event.is_set();
        }
        buffer::<u64, Ix1>(&options);
        buffer::<f32, Ix2>(&options);
        if let Ok(frame) = SharedFrame::attach_any_with(&options, "x") {
            let _ = frame.read(|snapshot| {
                for column in frame.schema().columns() {
                    let _ = snapshot.column::<u64>(column.name()).map(|column| column.sum());
                }
                let _ = snapshot.matrix::<f64>().map(|matrix| matrix.sum());
                Ok(())
            });
            let _ = frame.try_copy().map(|snapshot| snapshot.version());
            if !read_only {
                let _ = frame.write(|frame| {
                    frame.column_mut::<u64>("a")?.fill(1);
                    Ok(())
                });
            }
        }
        if let Ok(mutex) = Mutex::<u64, Ix1>::attach_with(&options, "x") {
            match mutex.try_lock() {
                Ok(mut guard) => guard.fill(1),
                Err(LockError::Poisoned(poisoned)) => poisoned.recover().fill(2),
                Err(_) => {}
            }
        }
    }
    // Last: if nobody is to keep it, it goes.
    let _ = crate::shared::reap_in(directory, true, false);
}

fn buffer<T: crate::Element + std::fmt::Debug, D: ndarray::Dimension>(options: &Options) {
    let Ok(buffer) = DoubleBuffer::<T, D>::attach_with(options, "x") else { return };
    let mut reader = buffer.reader();
    let _ = reader.read().map(|frame| frame.array.len());
    let _ = reader.read_with(|frame| frame.len());
    if let Ok(mut writer) = buffer.writer() {
        let _ = writer.try_update(|_| Err(()));
    }
}

/// The names of shared structures and of their files: each is accepted in one spelling alone.
pub fn shared_names(bytes: &[u8]) {
    if let Some(name) = Name::of_file(OsStr::from_bytes(bytes)) {
        assert_eq!(name.file_name().as_bytes(), bytes);
        assert_eq!(name.to_string().parse::<Name>().expect("it is one"), name);
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string(), text);
        let file = name.file_name();
        assert!(file.len() <= 255 && !file.contains('/'));
        assert!(crate::segment::Name::parse(OsStr::new(&file)).is_none(), "{file} is also a run's");
        assert_eq!(Name::of_file(OsStr::new(&file)), Some(name));
    }
}
