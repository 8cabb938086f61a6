//! A file of an archive, from the moment it has its name.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, SeekFrom};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256 as Hasher};

use crate::archive::{Piece, Reader};
use crate::entry::{Entry, Kind, Sha256, Xattrs};
use crate::error::{Context, Error, Result};
use crate::extract::metadata::{Fresh, Owner, Place, Wanted};
use crate::path::RelPath;

/// Content up to so many bytes is kept for later. Larger files are as well written at once: that takes as long as reading
/// the archive on, and keeping them would take memory.
const MOST_HELD: u64 = 64 << 10;

/// A file that was made. Nothing else changes its inode, whatever becomes of its name: so the rest can be done at any time,
/// by any thread.
pub(super) struct Draft {
    pub(super) file: OwnedFd,
    pub(super) path: RelPath,
    pub(super) content: Content,
    pub(super) owner: Owner,
    pub(super) mode: u32,
    pub(super) xattrs: Xattrs,
    pub(super) mtime_ns: i64,
    pub(super) fresh: Fresh,
}

/// What is, or is to be, in a file.
pub(super) enum Content {
    /// It is written, and has this digest.
    Written(Sha256),
    /// Yet to be written.
    Held(Vec<u8>),
}

impl Draft {
    /// Gives it what it lacks. Where it was made, and its evidence.
    pub(super) fn finish(self, warnings: &mut Vec<String>) -> Result<(RelPath, Entry)> {
        let sha256 = match &self.content {
            Content::Written(sha256) => *sha256,
            Content::Held(bytes) => {
                write_all(&self.file, &self.path, bytes)?;
                Hasher::digest(bytes).into()
            }
        };
        let wanted = Wanted {
            kind: Kind::File,
            owner: self.owner,
            mode: self.mode,
            xattrs: &self.xattrs,
            mtime_ns: Some(self.mtime_ns),
        };
        let place = Place::open(self.file.as_fd(), &self.path);
        let entry = place.dress(&wanted, Some(self.fresh), warnings)?;
        let sha256 = Some(sha256);
        Ok((self.path, Entry { sha256, ..entry }))
    }
}

impl Content {
    /// Takes it from the archive: `size` bytes, holes included.
    pub(super) fn take(
        file: &OwnedFd,
        path: &RelPath,
        size: u64,
        content: &mut Reader<impl Read>,
    ) -> Result<Self> {
        if size > MOST_HELD || content.has_holes() {
            return write(file, path, content).map(Self::Written);
        }
        let mut held = Vec::with_capacity(size as usize);
        while let Some(Piece::Data(bytes)) = content.piece()? {
            held.extend_from_slice(bytes);
        }
        Ok(Self::Held(held))
    }
}

fn write(file: &OwnedFd, path: &RelPath, content: &mut Reader<impl Read>) -> Result<Sha256> {
    let mut hasher = Hasher::new();
    let mut ends_in_hole = false;
    while let Some(piece) = content.piece()? {
        ends_in_hole = matches!(piece, Piece::Hole(_));
        piece.update(&mut hasher);
        match piece {
            Piece::Data(bytes) => write_all(file, path, bytes)?,
            Piece::Hole(length) => {
                // Less than what a file can have: the archive's reader has seen to it.
                fs::seek(file, SeekFrom::Current(length as i64)).during("lseek", path)?;
            }
        }
    }
    if ends_in_hole {
        let size = fs::tell(file).during("lseek", path)?;
        fs::ftruncate(file, size).during("ftruncate", path)?;
    }
    Ok(hasher.finalize().into())
}

fn write_all(file: &OwnedFd, path: &RelPath, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("write", path, errno)),
        }
    }
    Ok(())
}
