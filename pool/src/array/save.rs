//! `.npy` files from arrays, whole or not at all.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ndarray::{ArrayView, Dimension};

use super::element::Element;
use crate::error::{Error, Result};
use crate::segment::write_header;
use crate::sys::view::bytes_of;
use crate::sys::{host, kill_point, space};

/// NumPy starts data at a multiple of this.
const ALIGN_BYTES: usize = 64;

/// Saves an array in C order: writes under a temporary name in the same directory, makes that durable, renames it, and makes the name durable.
pub(crate) fn save_npy<T: Element, D: Dimension>(array: ArrayView<'_, T, D>, path: &Path) -> Result<()> {
    save(array, path).map_err(|error| Error::of_file("save", path, error))
}

fn save<T: Element, D: Dimension>(array: ArrayView<'_, T, D>, path: &Path) -> io::Result<()> {
    // A rename replaces whatever there is: with the rights for it, `/dev/null` too.
    let old = fs::metadata(path).ok();
    if let Some(old) = &old {
        check_regular(old)?;
    }
    // Through a symbolic link the file that it names is replaced, not the link.
    let target = if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
    let name =
        target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let directory = match target.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    // The kernel answers a write beyond it with a signal that ends the program.
    if space::file_size_limit().is_some_and(|limit| len_bytes(&array) > limit) {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let temporary = directory.join(format!(".{}.{:016x}.tmp", name.to_string_lossy(), host::random_u64()?));
    let guard = Temporary(&temporary);
    let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    kill_point!("save.created");
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
    }
    write(array, &file)?;
    kill_point!("save.written");
    file.sync_all()?;
    kill_point!("save.synced");
    fs::rename(&temporary, &target)?;
    kill_point!("save.renamed");
    std::mem::forget(guard);
    File::open(&directory)?.sync_all()
}

/// Refuses directories, devices, pipes and sockets.
pub(super) fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a device, a pipe or a socket"));
    }
    Ok(())
}

/// Length of the file to be.
fn len_bytes<T: Element, D: Dimension>(array: &ArrayView<'_, T, D>) -> u64 {
    let header = write_header(T::DTYPE, array.shape(), ALIGN_BYTES);
    (header.len() + array.len() * size_of::<T>()) as u64
}

fn write<T: Element, D: Dimension>(array: ArrayView<'_, T, D>, file: &File) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    writer.write_all(&write_header(T::DTYPE, array.shape(), ALIGN_BYTES))?;
    let items = array.as_slice().expect("the caller gives an array in C order");
    for piece in bytes_of(items).chunks(8 << 20) {
        writer.write_all(piece)?;
    }
    writer.flush()
}

/// Removes the temporary file if saving fails.
struct Temporary<'a>(&'a Path);

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}
