//! Goal: a worker maps the segment that was meant, or nothing. Method: replace and damage real files between creation and
//! attachment; read the kernel's own account of a mapping.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::Arc;

use crate::ErrorKind;
use crate::segment::{Access, Backing, DType, Fill, Locator, Place, Run, Segment, attach};
use crate::testing::{scratch_directory, skip};

fn with_segment(backing: Backing, test: impl FnOnce(&Path, &Arc<Run>, Arc<Segment>)) {
    let directory = scratch_directory("attach");
    let run = Run::create_at(backing, &directory).unwrap();
    let segment = Segment::npy(&run, DType::F64, &[1000], Fill::Zero).unwrap();
    segment.write_at(0, &[3; 16]).unwrap();
    test(&directory, &run, segment);
    drop(run);
    fs::remove_dir_all(directory).unwrap();
}

#[track_caller]
fn refused(locator: &Locator, text: &str) {
    for access in [Access::Read, Access::Stage, Access::Write] {
        let error = attach(locator, access).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Segment);
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn every_access_sees_the_data() {
    for backing in [Backing::Named, Backing::Memfd] {
        with_segment(backing, |_, _, segment| {
            let locator = segment.locator();
            let (reader, stager, writer) = (
                attach(&locator, Access::Read).unwrap(),
                attach(&locator, Access::Stage).unwrap(),
                attach(&locator, Access::Write).unwrap(),
            );
            assert_eq!((writer.data_offset(), locator.data_len), (4096, 8000));
            writer.mapping().write_bytes(4096 + 16, &[4; 8]);
            stager.write_at(24, &[5; 8]).unwrap();
            reader.write_at(0, &[6]).unwrap_err();
            let mut found = [0; 32];
            reader.mapping().read_bytes(reader.data_offset(), &mut found);
            assert_eq!(found.as_chunks::<8>().0, [[3; 8], [3; 8], [4; 8], [5; 8]]);
        });
    }
}

#[test]
fn a_locator_goes_through_serialisation() {
    with_segment(Backing::Memfd, |_, _, segment| {
        let locator = segment.locator();
        let bytes = postcard::to_stdvec(&locator).unwrap();
        assert_eq!(postcard::from_bytes::<Locator>(&bytes).unwrap(), locator);
    });
}

#[test]
fn mappings_are_guarded_and_not_inherited() {
    with_segment(Backing::Named, |_, _, segment| {
        let locator = segment.locator();
        let permissions = |start: *const u8| {
            let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
            let address = format!("{:x}-", start as usize);
            let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&address));
            let permissions = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
            let flags = lines.find(|line| line.starts_with("VmFlags")).unwrap();
            assert!(flags.split(' ').any(|flag| flag == "dc"), "not inherited: {flags}");
            permissions
        };
        let writer = attach(&locator, Access::Write).unwrap();
        let start = writer.mapping().as_ptr();
        assert_eq!(permissions(start), "---s");
        assert_eq!(permissions(writer.data_ptr()), "rw-s");
        assert_eq!(permissions(start.wrapping_add(locator.file_len - 4096)), "---s");
        let reader = attach(&locator, Access::Stage).unwrap();
        assert_eq!(permissions(reader.mapping().as_ptr()), "r--s");
    });
}

#[test]
fn a_missing_or_replaced_file_is_refused() {
    with_segment(Backing::Named, |directory, run, segment| {
        let (path, locator) = (segment.path(), segment.locator());
        // Only the name is gone: the owner's descriptor is as good.
        let aside = directory.join("aside");
        fs::rename(&path, &aside).unwrap();
        attach(&locator, Access::Write).unwrap();
        symlink(&aside, &path).unwrap();
        refused(&locator, "cannot open");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        attach(&locator, Access::Read).unwrap_err();
        fs::remove_dir(&path).unwrap();
        fs::copy(Segment::npy(run, DType::F64, &[1000], Fill::Zero).unwrap().path(), &path).unwrap();
        refused(&locator, "nonce");
        fs::write(&path, "short").unwrap();
        refused(&locator, "5 bytes, wanted");
        fs::rename(&aside, &path).unwrap();
        attach(&locator, Access::Read).unwrap();
    });
}

#[test]
fn a_file_with_another_mode_or_owner_is_refused() {
    with_segment(Backing::Named, |_, _, segment| {
        let (path, locator) = (segment.path(), segment.locator());
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        refused(&locator, "mode is 640");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        match chown(&path, Some(1), None) {
            Ok(()) => {
                refused(&locator, "belongs to user 1");
                chown(&path, Some(0), None).unwrap();
            }
            Err(error) => skip(&format!("only root can give files away ({error})")),
        }
    });
}

#[test]
fn a_truncated_file_is_refused_and_memory_files_cannot_be() {
    with_segment(Backing::Named, |_, _, segment| {
        segment.file().set_len(4096).unwrap();
        refused(&segment.locator(), "4096 bytes, wanted");
    });
    with_segment(Backing::Memfd, |_, run, segment| {
        assert!(segment.file().set_len(4096).is_err());
        assert!(segment.file().set_len(1 << 20).is_err());
        assert!(Segment::raw(run, 10).unwrap().file().set_len(10).is_err());
    });
}

#[test]
fn a_descriptor_that_is_something_else_by_now_is_refused() {
    with_segment(Backing::Memfd, |_, run, segment| {
        let (old, other) = (segment.locator(), Segment::npy(run, DType::F64, &[1000], Fill::Zero).unwrap());
        refused(&Locator { place: other.locator().place, ..old.clone() }, "nonce");
        let file = File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        let place = Place::Memfd { pid: std::process::id(), fd };
        refused(&Locator { place, ..old }, "not a plain file");
    });
}

#[test]
fn locators_that_do_not_fit_are_refused() {
    with_segment(Backing::Named, |_, _, segment| {
        let good = segment.locator();
        refused(&Locator { data_len: usize::MAX, ..good.clone() }, "overflows");
        refused(&Locator { data_len: good.file_len, ..good.clone() }, "data that end");
        refused(&Locator { data_len: good.file_len - 4096, ..good.clone() }, "outside");
        refused(&Locator { data_offset: 8, ..good.clone() }, "outside");
        refused(&Locator { generation: 77, ..good.clone() }, "generation 77");
        refused(&Locator { file_len: 0, data_len: 0, data_offset: 0, ..good.clone() }, "wanted 0");
        refused(&Locator { kind: None, ..good }, "a user's file");
    });
}
