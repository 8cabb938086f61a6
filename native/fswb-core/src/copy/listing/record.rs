//! What is recorded of one entry, and in what two records differ.

use sha2::{Digest, Sha256 as Hasher};

use super::reader::Reader;
use crate::entry::{Entry, Kind, Sha256};
use crate::error::Result;

pub(super) const SHORT: usize = 8;
/// Bytes of a record as it is written.
pub(super) const RECORD: usize = 1 + 3 * 4 + 8 + 3 * SHORT;

/// The start of a digest.
pub(super) type Short = [u8; SHORT];

/// What is recorded of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::copy) struct Record {
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    rdev: u64,
    /// Of a file's content or a link's target.
    data: Short,
    xattrs: Short,
    /// Of the path that a file with several names was first seen by.
    first_name: Short,
}

impl Record {
    /// Of an entry that is complete; `owners`: they count.
    pub(in crate::copy) fn of(entry: &Entry, owners: bool) -> Self {
        let mut xattrs = Hasher::new();
        for part in entry.xattrs.iter().flat_map(|(name, value)| [name, value]) {
            xattrs.update((part.len() as u64).to_le_bytes());
            xattrs.update(part);
        }
        let is_link = entry.kind == Kind::Symlink;
        Self {
            kind: entry.kind as u8,
            mode: if is_link { 0 } else { entry.mode },
            uid: if owners { entry.uid } else { 0 },
            gid: if owners { entry.gid } else { 0 },
            rdev: entry.rdev,
            data: if is_link {
                short(&entry.target)
            } else {
                Short::default()
            },
            xattrs: if entry.xattrs.is_empty() {
                Short::default()
            } else {
                cut(&xattrs.finalize().into())
            },
            first_name: Short::default(),
        }
    }

    /// Of a socket, which becomes an empty file.
    pub(in crate::copy) const fn socket() -> Self {
        Self {
            kind: u8::MAX,
            mode: 0,
            uid: 0,
            gid: 0,
            rdev: 0,
            data: [0; SHORT],
            xattrs: [0; SHORT],
            first_name: [0; SHORT],
        }
    }

    pub(in crate::copy) fn with_content(self, content: &Sha256) -> Self {
        Self {
            data: cut(content),
            ..self
        }
    }

    pub(in crate::copy) fn with_first_name(self, path: &[u8]) -> Self {
        Self {
            first_name: short(path),
            ..self
        }
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.push(self.kind);
        for number in [self.mode, self.uid, self.gid] {
            into.extend_from_slice(&number.to_le_bytes());
        }
        into.extend_from_slice(&self.rdev.to_le_bytes());
        for digest in [self.data, self.xattrs, self.first_name] {
            into.extend_from_slice(&digest);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            kind: from.byte()?,
            mode: from.number()?,
            uid: from.number()?,
            gid: from.number()?,
            rdev: u64::from_le_bytes(from.array()?),
            data: from.array()?,
            xattrs: from.array()?,
            first_name: from.array()?,
        })
    }

    pub(super) fn differs(&self, other: &Self) -> Vec<Aspect> {
        if self.kind != other.kind {
            return vec![Aspect::Kind];
        }
        let data = if self.kind == Kind::Symlink as u8 {
            Aspect::Target
        } else {
            Aspect::Content
        };
        [
            (self.data != other.data, data),
            (self.mode != other.mode, Aspect::Mode),
            (
                (self.uid, self.gid) != (other.uid, other.gid),
                Aspect::Owner,
            ),
            (self.xattrs != other.xattrs, Aspect::Xattrs),
            (self.rdev != other.rdev, Aspect::Rdev),
            (self.first_name != other.first_name, Aspect::Links),
        ]
        .into_iter()
        .filter_map(|(differs, aspect)| differs.then_some(aspect))
        .collect()
    }
}

/// What of an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It is of another kind.
    Kind,
    /// A file's bytes.
    Content,
    /// A link's target.
    Target,
    /// Permission bits.
    Mode,
    /// User or group.
    Owner,
    /// Extended attributes.
    Xattrs,
    /// The number of a device.
    Rdev,
    /// With which names it shares an inode.
    Links,
    /// Something below it, of which no more is recorded.
    Below,
}

impl Aspect {
    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Kind => "kind",
            Self::Content => "content",
            Self::Target => "target",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Xattrs => "xattrs",
            Self::Rdev => "rdev",
            Self::Links => "links",
            Self::Below => "below",
        }
    }
}

fn short(bytes: &[u8]) -> Short {
    cut(&Hasher::digest(bytes).into())
}

pub(super) fn cut(digest: &Sha256) -> Short {
    let mut short = Short::default();
    short.copy_from_slice(&digest[..SHORT]);
    short
}
