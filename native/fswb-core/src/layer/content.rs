//! The content of files on its way into a layer: opened once, proven to be what was compared, holes not read.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{self, AtFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256 as Hasher};

use crate::archive::{Output, PIECE, pad};
use crate::entry::{Entry, Kind, STATX_WANTED, Sha256};
use crate::error::{Context, Result};
use crate::layer::changed;
use crate::opening::{nobody_writes, open_quietly};
use crate::path::RelPath;
use crate::root::Root;

/// Bytes that a file lacks on disk before its holes are asked for: two more system calls each.
const WORTHWHILE: u64 = 64 << 10;

/// Where files are opened. The directory of the last one stays open: the next one is mostly in it too.
pub(super) struct Files<'a> {
    root: &'a Root,
    others_write: bool,
    directory: Option<(RelPath, OwnedFd)>,
}

/// A file that is the one a change was found on.
pub(super) struct Content {
    fd: OwnedFd,
    size: u64,
    sparse: bool,
    /// Its stat proves nothing, for somebody may be writing to it.
    pub(super) racy: bool,
}

impl<'a> Files<'a> {
    pub(super) fn new(root: &'a Root, others_write: bool) -> Self {
        Self {
            root,
            others_write,
            directory: None,
        }
    }

    /// Opens the file at `path` and makes sure that it is `entry`, as it was when the change was found.
    pub(super) fn open(&mut self, path: &RelPath, entry: &Entry) -> Result<Content> {
        let other = || changed(path, "another file has its name");
        let name = path.name().ok_or_else(other)?;
        let fd = open_quietly(self.directory_of(path)?, name, path)?;
        let stat = fs::statx(&fd, c"", AtFlags::EMPTY_PATH, STATX_WANTED).during("statx", path)?;
        let now = Entry::from_statx(&stat)
            .filter(|now| now.kind == Kind::File && now.ino == entry.ino)
            .ok_or_else(other)?;
        if now.size != entry.size {
            let what = format!("its size went from {} to {} bytes", entry.size, now.size);
            return Err(changed(path, &what));
        }
        if now.mtime_ns != entry.mtime_ns {
            return Err(changed(path, "it was written to"));
        }
        let on_disk = stat.stx_blocks.saturating_mul(512);
        Ok(Content {
            racy: self.others_write && !nobody_writes(fd.as_fd()),
            fd,
            size: now.size,
            sparse: on_disk.saturating_add(WORTHWHILE) <= now.size,
        })
    }

    fn directory_of(&mut self, path: &RelPath) -> Result<BorrowedFd<'_>> {
        let parent = path.parent().unwrap_or_default();
        let known = self.directory.take().filter(|(known, _)| *known == parent);
        let open = if let Some(open) = known {
            open
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let fd = self.root.open_exact(&parent, flags, Mode::empty())?;
            (parent, fd)
        };
        Ok(self.directory.insert(open).1.as_fd())
    }
}

impl Content {
    /// Appends all of it to the archive, padded, and makes sure that there is no more: its digest.
    ///
    /// Holes are written as the zeros they read as. A sparse member would be smaller before compression and no smaller
    /// after it, but readers differ: the OCI image spec advises against it ("Sparse Files").
    pub(super) fn write(&self, path: &RelPath, tar: &mut Output<'_>) -> Result<Sha256> {
        let mut copy = Copy {
            content: self,
            path,
            tar,
            hasher: Hasher::new(),
            at: 0,
            at_end: false,
        };
        while copy.at < self.size {
            let (data, end) = if self.sparse {
                next_data(self.fd.as_fd(), copy.at, self.size, path)?
            } else {
                (copy.at, self.size)
            };
            copy.zeros(data)?;
            copy.bytes(end)?;
        }
        copy.finish()
    }
}

/// From where and up to where there is data, from `at` on; `size` twice where there is none any more.
fn next_data(fd: BorrowedFd<'_>, at: u64, size: u64, path: &RelPath) -> Result<(u64, u64)> {
    let data = match fs::seek(fd, SeekFrom::Data(at)) {
        // lseek(2): no data from there on.
        Err(Errno::NXIO) => return Ok((size, size)),
        result => result.during("lseek", path)?.min(size),
    };
    let end = fs::seek(fd, SeekFrom::Hole(data)).during("lseek", path)?;
    Ok((data, end.min(size)))
}

struct Copy<'a, 'o> {
    content: &'a Content,
    path: &'a RelPath,
    tar: &'a mut Output<'o>,
    hasher: Hasher,
    /// How far it is.
    at: u64,
    /// The last thing that happened was a read that found the end.
    at_end: bool,
}

impl Copy<'_, '_> {
    fn zeros(&mut self, end: u64) -> Result<()> {
        while self.at < end {
            let count = usize::try_from(end - self.at).map_or(PIECE, |left| left.min(PIECE));
            let buffer = self.tar.buffer();
            let start = buffer.len();
            buffer.resize(start + count, 0);
            self.at_end = false;
            self.passed(start)?;
        }
        Ok(())
    }

    fn bytes(&mut self, end: u64) -> Result<()> {
        while self.at < end {
            let start = self.tar.buffer().len();
            if self.read()? == 0 {
                return Err(changed(self.path, "it shrank"));
            }
            self.passed(start)?;
        }
        Ok(())
    }

    /// Reads once, as much as there is room for. Of a regular file, less than that is the end (read(2)).
    fn read(&mut self) -> Result<usize> {
        let buffer = self.tar.buffer();
        buffer.reserve(PIECE);
        let room = buffer.capacity() - buffer.len();
        loop {
            match rustix::io::pread(&self.content.fd, spare_capacity(buffer), self.at) {
                Err(Errno::INTR) => {}
                result => {
                    let count = result.during("pread", self.path)?;
                    self.at_end = count < room;
                    return Ok(count);
                }
            }
        }
    }

    /// Digests what has come into the buffer since it had `start` bytes, and hands it on.
    fn passed(&mut self, start: usize) -> Result<()> {
        let new = &self.tar.buffer()[start..];
        self.at += new.len() as u64;
        if self.at > self.content.size {
            return Err(changed(self.path, "it grew"));
        }
        self.hasher.update(new);
        self.tar.spill()
    }

    fn finish(mut self) -> Result<Sha256> {
        if !self.at_end && self.content.size > 0 && self.read()? > 0 {
            return Err(changed(self.path, "it grew"));
        }
        pad(self.tar.buffer(), self.content.size);
        Ok(self.hasher.finalize().into())
    }
}
