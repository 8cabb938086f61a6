//! The names in one directory.

use std::os::fd::{AsRawFd, OwnedFd};

/// `FS_CASEFOLD_FL` of linux/fs.h: ext4, f2fs and tmpfs have it, by directory (Linux 5.2, 6.13).
const FOLDS_CASE: libc::c_int = 0x4000_0000;

/// Whether a directory takes `A` for `a`. File systems without such flags are taken to have no such directories.
pub(super) fn folds_case(directory: &OwnedFd) -> bool {
    let mut flags: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed for the call, and the kernel writes one int (despite the request's type).
    let result =
        unsafe { libc::ioctl(directory.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    result == 0 && flags & FOLDS_CASE != 0
}

/// Names of one directory in one allocation.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    spans: Vec<(usize, usize)>,
}

impl Names {
    pub(super) fn add(&mut self, name: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.spans.push((start, self.bytes.len()));
    }

    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.spans
            .sort_unstable_by_key(|&(start, end)| &bytes[start..end]);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spans
            .iter()
            .map(|&(start, end)| &self.bytes[start..end])
    }
}
