//! How much memory a process has to itself.
//!
//! Counted is what the process does not share: anonymous pages, in memory or swapped out. Shared mappings of files and of
//! segments are not, nor are the program's own pages as long as they are unchanged.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// Bytes that a process has to itself, resident or swapped out; `None` if that cannot be learned, for one because the process
/// has ended.
pub(crate) fn private_bytes(pid: u32) -> Option<u64> {
    if !proc_is_ours() {
        return None;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(field_bytes(&status, "RssAnon:")? + field_bytes(&status, "VmSwap:").unwrap_or(0))
}

/// Whether `/proc` numbers processes as this process does: in a PID namespace it may still be that of another.
fn proc_is_ours() -> bool {
    static IS_OURS: OnceLock<bool> = OnceLock::new();
    *IS_OURS.get_or_init(|| {
        let this = std::process::id().to_string();
        std::fs::read_link("/proc/self").is_ok_and(|target| target.as_os_str() == this.as_str())
    })
}

/// A field of `/proc/<pid>/status` that is given in kibibytes.
fn field_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number = line.trim().strip_suffix("kB")?.trim();
    number.parse::<u64>().ok()?.checked_mul(1024)
}

/// This process's own memory, to be asked often.
#[derive(Debug)]
pub(crate) struct OwnMemory {
    statm: File,
    page_bytes: u64,
}

impl OwnMemory {
    pub(crate) fn open() -> io::Result<Self> {
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
        let page_bytes = page.and_then(|page| u64::try_from(page).ok()).unwrap_or(4096);
        Ok(Self { statm: File::open("/proc/self/statm")?, page_bytes })
    }

    /// Bytes that are resident and not shared.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let mut bytes = [0; 256];
        let n = self.statm.read_at(&mut bytes, 0)?;
        let pages = private_pages(&String::from_utf8_lossy(&bytes[..n]));
        pages.map(|pages| pages * self.page_bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Of the second and third number of `statm`, what is resident and what of it is shared.
fn private_pages(statm: &str) -> Option<u64> {
    let mut numbers = statm.split_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

/// Has the kernel refuse this process more than `more_bytes` of private writable address space beyond what it has now.
/// Shared mappings do not count.
pub(crate) fn limit_growth(more_bytes: u64) -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let has = field_bytes(&status, "VmData:").ok_or(io::ErrorKind::InvalidData)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
    let wanted = has.saturating_add(more_bytes).min(hard);
    Ok(setrlimit(Resource::RLIMIT_DATA, wanted, hard)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{actor, role, run, scratch_directory};
    use std::path::Path;

    #[test]
    fn fields_are_read_as_the_kernel_writes_them() {
        let status = "Name:\tx\nVmData:\t     200 kB\nRssAnon:\t      12 kB\nVmSwap:\t       0 kB\n";
        assert_eq!(field_bytes(status, "RssAnon:"), Some(12 << 10));
        assert_eq!(field_bytes(status, "VmSwap:"), Some(0));
        assert_eq!(field_bytes(status, "RssFile:"), None);
        assert_eq!(field_bytes("RssAnon:\t12 MB\n", "RssAnon:"), None);
        assert_eq!(private_pages("1000 300 120 4 0 200 0\n"), Some(180));
        assert_eq!(private_pages("1000 300"), None);
    }

    /// In a process of its own, where nobody else allocates.
    #[test]
    fn memory_that_is_touched_counts_and_shared_memory_does_not() {
        if role().is_none() {
            let name = "sys::memory::tests::memory_that_is_touched_counts_and_shared_memory_does_not";
            let (status, text) = run(actor(&[], name, "measure", Path::new("")));
            assert!(status.success(), "{text}");
            return;
        }
        const LEN: usize = 64 << 20;
        let own = OwnMemory::open().unwrap();
        let both = || [own.resident_bytes().unwrap(), private_bytes(std::process::id()).unwrap()];
        let before = both();
        let file = unnamed_file().unwrap();
        file.set_len(LEN as u64).unwrap();
        // SAFETY: the file has no name: nobody else can change it.
        let mut shared = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
        shared.fill(1);
        let with_shared = both();
        let private = vec![1_u8; LEN];
        let with_private = both();
        for i in 0..2 {
            assert!(with_shared[i] < before[i] + LEN as u64 / 2, "{before:?} {with_shared:?}");
            assert!(with_private[i] > with_shared[i] + LEN as u64 / 2, "{with_shared:?} {with_private:?}");
        }
        limit_growth(LEN as u64).unwrap();
        let mut refused = Vec::<u8>::new();
        refused.try_reserve_exact(2 * LEN).unwrap_err();
        drop((private, shared));
        refused.try_reserve_exact(LEN / 2).unwrap();
    }

    fn unnamed_file() -> io::Result<File> {
        let directory = scratch_directory("memory");
        let path = directory.join("file");
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_dir_all(directory)?;
        Ok(file)
    }
}
