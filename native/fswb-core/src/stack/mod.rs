//! A stack of layers read as one tree: what unpacking them in turn would make, known from their tars alone. Nothing is
//! written, and no content is kept: memory grows with the number of entries.
//!
//! [`apply`] lays one layer over those below by the law of [`crate::extract`]; the tests of that module hold the two
//! together. [`differences`] compares two stacks; [`copy_member`] reads the content of a file where the stack says it is.

mod apply;
mod compare;

use std::collections::HashMap;
use std::io::{Read, Write};

pub use compare::differences;

use crate::archive::{Limits, Piece, Reader};
use crate::baseline::{Baseline, Cursor};
use crate::entry::{Entry, Kind};
use crate::error::{Error, Result};
use crate::path::RelPath;

/// Where the content of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The layer, counted from 0 at the bottom.
    pub layer: u32,
    /// Where its member's header starts in the uncompressed layer, in bytes.
    pub offset: u64,
}

/// The root file system that layers make.
///
/// Entries have inode numbers of the stack's own, on device 0: equal for the names of one hard link, of no other meaning.
/// Invariant: `nlink` of what is no directory is the number of its names.
#[derive(Debug, Clone)]
pub struct Stack {
    tree: Baseline,
    /// By inode number, also of files that are gone.
    sources: HashMap<u64, Source>,
    layers: u32,
    last_ino: u64,
    digests: bool,
}

impl Stack {
    /// Of no layers: a root that belongs to root. `digests`: the SHA-256 of each file is taken, which comparing needs.
    pub fn new(digests: bool) -> Self {
        Self {
            tree: Baseline::empty(directory(1)),
            sources: HashMap::new(),
            layers: 0,
            last_ino: 1,
            digests,
        }
    }

    /// The entry at an exact path.
    pub fn entry(&self, path: &RelPath) -> Option<Entry> {
        self.tree.entry(path)
    }

    /// Sorted names in a directory; none for anything else.
    pub fn names(&self, directory: &RelPath) -> Vec<Vec<u8>> {
        self.tree.children(directory)
    }

    /// Number of entries, the root not counted.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// Where the content of the file at an exact path is; `None` if there is no file.
    pub fn source(&self, path: &RelPath) -> Option<Source> {
        let entry = self.entry(path).filter(|entry| entry.kind == Kind::File)?;
        self.sources.get(&entry.ino).copied()
    }

    /// Where `path` leads for a process chrooted there: as [`crate::root::Root::resolve`] on the unpacked tree.
    pub fn resolve(&self, path: &[u8]) -> Result<RelPath> {
        // path_resolution(7): the kernel gives up after 40 links.
        const MAX_LINKS: usize = 40;
        let mut links = 0;
        let mut rest: Vec<Vec<u8>> = parts(path).rev().collect();
        let mut way: Vec<(Vec<u8>, Option<Cursor<'_>>)> = Vec::new();
        while let Some(part) = rest.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ => {}
            }
            let above = way.last().map_or(Some(self.tree.root()), |(_, at)| *at);
            let next = above.and_then(|above| above.child(&part));
            let Some(link) = next.filter(|next| next.kind() == Kind::Symlink) else {
                way.push((part, next));
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::system("readlink", path, rustix::io::Errno::LOOP));
            }
            let target = link.entry().target;
            if target.starts_with(b"/") {
                way.clear();
            }
            rest.extend(parts(&target).rev());
        }
        let names: Vec<Vec<u8>> = way.into_iter().map(|(name, _)| name).collect();
        RelPath::new(names.join(&b'/'))
    }
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|&byte| byte == b'/').map(<[u8]>::to_vec)
}

/// A directory that no layer lists, as unpacking makes it.
fn directory(ino: u64) -> Entry {
    Entry {
        kind: Kind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        rdev: 0,
        size: 0,
        mtime_ns: 0,
        target: Vec::new(),
        xattrs: Vec::new(),
        sha256: None,
        ctime_ns: 0,
        btime_ns: 0,
        dev: 0,
        ino,
        nlink: 1,
        racy: false,
    }
}

/// Writes the content of the member at `offset` of an uncompressed layer.
///
/// # Errors
///
/// `Refused` if there is no such member: the layer is another one than was added to the stack.
pub fn copy_member(input: impl Read, offset: u64, mut output: impl Write) -> Result<()> {
    let mut reader = Reader::new(input, false, Limits::default());
    while let Some(member) = reader.next_member()? {
        if member.offset > offset {
            break;
        }
        if member.offset < offset {
            continue;
        }
        while let Some(piece) = reader.piece()? {
            let written = match piece {
                Piece::Data(bytes) => output.write_all(bytes),
                Piece::Hole(length) => {
                    std::io::copy(&mut std::io::repeat(0).take(length), &mut output).map(drop)
                }
            };
            written.map_err(|error| Error::io("write", "", &error))?;
        }
        return Ok(());
    }
    Err(Error::refused(
        "",
        "the layer is not the one that was read before",
    ))
}
