//! The tar format: headers in, headers out. What a member means for a root file system is decided in [`crate::extract`]
//! and [`crate::layer`].
//!
//! Reading takes what the world writes: ustar, V7, GNU long names, PAX, base-256 numbers, sparse files. Writing is ustar, with a PAX header
//! in front where a value does not fit. Formats: POSIX.1-2024 `pax`, and GNU tar's manual, "Basic Tar Format".

mod digester;
mod encode;
mod header;
mod member;
mod output;
mod pax;
mod reader;
mod sparse;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use encode::pad;
pub use encode::{Header, encode};
pub(crate) use output::{Output, PIECE};
pub use reader::{Piece, Reader, read_member};
pub use stream::Digested;

use crate::entry::{Kind, Xattrs};

/// Everything in a tar comes in blocks of so many bytes.
pub const BLOCK: usize = 512;

/// What an archive may be at most.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Bytes of the uncompressed archive, and of the holes in its files.
    pub max_bytes: Option<u64>,
    /// Members.
    pub max_entries: Option<u64>,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// An entry of its own.
    New(Kind),
    /// One more name of a member before.
    HardLink,
}

/// One member of an archive: its header, with all extensions applied.
#[derive(Debug, Clone)]
pub struct Member {
    /// Where its header starts in the uncompressed stream, in bytes.
    pub offset: u64,
    /// Its name as the archive spells it.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Target of a symbolic or hard link as the archive spells it, else empty.
    pub link: Vec<u8>,
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of content, holes included.
    pub size: u64,
    /// Time of modification, in nanoseconds since the epoch, clamped to what that can hold.
    pub mtime_ns: i64,
    /// Device number (`makedev`), 0 unless it is a device.
    pub rdev: u64,
    /// Extended attributes, sorted by name.
    pub xattrs: Xattrs,
}

impl Member {
    /// An error about this member.
    pub fn error(&self, reason: impl Into<String>) -> crate::error::Error {
        crate::error::Error::Archive {
            offset: self.offset,
            path: self.name.clone(),
            reason: reason.into(),
        }
    }
}
