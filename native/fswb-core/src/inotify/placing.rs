//! Setting watches: by path, from a list, without reading a single directory.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{self, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::{Root, c_string};

/// What a directory is watched for: every event that can be the only trace of a change.
///
/// `MODIFY` and `CLOSE_WRITE` both: truncate(2) raises only the first, a store into a mapping only the second (at the
/// last close or unmapping). tests/kernel/test_inotify_events.py pins both.
///
/// `DELETE_SELF` and `MOVE_SELF` are left out: the parent is watched too and reports the name, and `IN_IGNORED` tells of
/// the end of a watch whatever the mask. `EXCL_UNLINK`: writes to a file without a name are no change of the tree.
pub(super) const MASK: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);

/// The same without `MODIFY`, for a directory that will be looked at whole.
pub(super) const MASK_WITHOUT_MODIFY: WatchFlags = MASK.difference(WatchFlags::MODIFY);

/// What became of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// The directory is watched, by this descriptor.
    Watched(i32),
    /// The limit of watches is reached (`ENOSPC`).
    Full,
    /// There is no such directory.
    Absent,
}

/// Sets watches below one root.
#[derive(Debug)]
pub(super) struct Placer {
    root: Arc<Root>,
    /// A path of the root directory that does not depend on the working directory.
    prefix: Vec<u8>,
}

/// Directories handed to a thread at a time.
const BLOCK: usize = 512;
/// Below this many, a second thread costs more than it saves.
const PARALLEL_FROM: usize = 4 * BLOCK;
/// Adding a watch takes the group's lock for a part of its time only: 2 threads take 0.7 of the time of one.
const THREADS: usize = 2;

/// Bytes for one getdents64 call.
const LISTING: usize = 32 << 10;
/// `.` and `..`.
const DOTS: usize = 2;

impl Placer {
    pub(super) fn new(root: Arc<Root>) -> Result<Self> {
        let link = format!("/proc/self/fd/{}", root.fd().as_raw_fd()).into_bytes();
        let direct = fs::readlink(link.as_slice(), Vec::new())
            .during("readlink", &link)?
            .into_bytes();
        // The plain path is cheaper to resolve than the link, but leads elsewhere when the root was mounted over.
        let prefix = if is_root(&root, &direct)? {
            direct
        } else {
            link
        };
        Ok(Self { root, prefix })
    }

    /// Watches one directory. `buffer` is scratch space.
    pub(super) fn place(
        &self,
        inotify: BorrowedFd<'_>,
        path: &RelPath,
        buffer: &mut Vec<u8>,
    ) -> Result<Placed> {
        let name: &[u8] = if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        };
        buffer.clear();
        buffer.extend_from_slice(&self.prefix);
        buffer.push(b'/');
        buffer.extend_from_slice(name);
        let result = if buffer.len() < libc::PATH_MAX as usize {
            inotify::add_watch(inotify, buffer.as_slice(), MASK)
        } else {
            self.place_deep(inotify, path)?
        };
        match result {
            Ok(wd) => Ok(Placed::Watched(wd)),
            Err(Errno::NOSPC) => Ok(Placed::Full),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Placed::Absent),
            Err(errno) => Err(Error::system("inotify_add_watch", path, errno)),
        }
    }

    /// A path that is too long for one call is opened in pieces and named by its descriptor.
    fn place_deep(
        &self,
        inotify: BorrowedFd<'_>,
        path: &RelPath,
    ) -> Result<rustix::io::Result<i32>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let directory = match self.root.open_exact(path, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(error) if error.is_absent() => return Ok(Err(Errno::NOENT)),
            Err(error) => return Err(error),
        };
        let name = magic_link(&directory)?;
        Ok(inotify::add_watch(inotify, name.as_c_str(), MASK))
    }

    /// Watches a directory for everything but `MODIFY`, while the tree is in motion: no link is followed, and nothing is
    /// known of the inode that is found there. `None` if it cannot be opened, or has more than `entries` entries.
    pub(super) fn place_without_modify(
        &self,
        inotify: BorrowedFd<'_>,
        path: &RelPath,
        entries: usize,
    ) -> Result<Option<i32>> {
        // Whatever the reason that there is no reading it: the watch stays as it is, which is always right.
        let Ok(directory) = self.root.open_directory(path) else {
            return Ok(None);
        };
        if !has_at_most(&directory, entries) {
            return Ok(None);
        }
        let name = magic_link(&directory)?;
        match inotify::add_watch(inotify, name.as_c_str(), MASK_WITHOUT_MODIFY) {
            Ok(wd) => Ok(Some(wd)),
            // Not one that was watched, then: no mask was changed.
            Err(Errno::NOSPC) => Ok(None),
            Err(errno) => Err(Error::system("inotify_add_watch", path, errno)),
        }
    }

    /// Watches many directories, in this order but for what two threads mix up; stops at the limit.
    pub(super) fn place_all(
        &self,
        inotify: BorrowedFd<'_>,
        paths: &[Arc<RelPath>],
    ) -> Result<Vec<Placed>> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let work = || self.place_blocks(inotify, paths, &next, &stop);
        let threads = if paths.len() < PARALLEL_FROM {
            1
        } else {
            THREADS
        };
        let mut parts = Vec::with_capacity(threads);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            parts.push(work());
            parts.extend(others.into_iter().map(|other| {
                other.join().unwrap_or_else(|_| {
                    Err(Error::refused("", "a thread that sets watches failed"))
                })
            }));
        });
        let mut placed = vec![Placed::Full; paths.len()];
        for part in parts {
            for (index, outcome) in part? {
                placed[index] = outcome;
            }
        }
        Ok(placed)
    }

    fn place_blocks(
        &self,
        inotify: BorrowedFd<'_>,
        paths: &[Arc<RelPath>],
        next: &AtomicUsize,
        stop: &AtomicBool,
    ) -> Result<Vec<(usize, Placed)>> {
        let mut placed = Vec::new();
        let mut buffer = Vec::new();
        loop {
            let start = next.fetch_add(BLOCK, Ordering::Relaxed);
            let end = paths.len().min(start.saturating_add(BLOCK));
            if start >= end {
                return Ok(placed);
            }
            for (index, path) in paths.iter().enumerate().take(end).skip(start) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(placed);
                }
                let outcome = self.place(inotify, path, &mut buffer);
                if !matches!(outcome, Ok(Placed::Watched(_) | Placed::Absent)) {
                    stop.store(true, Ordering::Relaxed);
                }
                placed.push((index, outcome?));
            }
        }
    }
}

/// A path of an open directory. The dot makes the kernel follow the magic link though a watch does not follow links.
fn magic_link(directory: &OwnedFd) -> Result<CString> {
    c_string(format!("/proc/self/fd/{}/.", directory.as_raw_fd()).as_bytes())
}

/// Whether a directory can be read and has no more than so many entries. Reads no more than that.
fn has_at_most(directory: &OwnedFd, entries: usize) -> bool {
    let mut buffer = Vec::with_capacity(LISTING);
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut left = entries + DOTS;
    while let Some(item) = listing.next() {
        if left == 0 || item.is_err() {
            return false;
        }
        left -= 1;
    }
    true
}

/// Whether `path` leads to the root directory.
fn is_root(root: &Root, path: &[u8]) -> Result<bool> {
    let here = fs::fstat(root.fd().as_fd()).during("fstat", root.path())?;
    match fs::stat(path) {
        Ok(there) => Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(Error::system("stat", path, errno)),
    }
}
