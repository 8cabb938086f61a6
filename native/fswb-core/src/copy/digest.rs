//! The content of what COPY would take: as one digest for the cache key, and as a listing of what that was made of.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use sha2::{Digest, Sha256 as Hasher};

use crate::copy::Source;
use crate::copy::listing::{Listing, Record};
use crate::copy::walk::{Found, Step, Walk, open_file};
use crate::entry::{Entry, Kind, Sha256};
use crate::error::{Context, Result};
use crate::path::RelPath;
use crate::root::complete;

/// Changes whenever the records below change their form.
const VERSION: &[u8] = b"fswb copy content 1";

/// What COPY would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Equal for equal copies.
    pub digest: Sha256,
    /// For [`super::differences`].
    pub listing: Vec<u8>,
}

/// The digest is over names, kinds, modes, link targets, device numbers, xattrs, contents and hard links of `paths` (and
/// with `owners`, uid and gid). No times: a fresh checkout is the same content.
///
/// A file counts under its own name, because that may be its name in the destination; a directory gives only what is in
/// it. The records are length-prefixed, so no two different trees have the same ones.
pub fn content(source: &Source<'_>, paths: &[RelPath], owners: bool) -> Result<Content> {
    let mut digest = ContentDigest {
        hasher: Hasher::new(),
        owners,
        is_context: source.is_context,
        inodes: HashMap::new(),
        records: 0,
        listing: Listing::new(),
    };
    digest.bytes(VERSION);
    for given in paths {
        let (path, found) = source.find(given)?;
        if found.entry.kind == Kind::Directory {
            digest.bytes(b"contents");
            digest.listing.enter(given.as_bytes(), Record::default());
            digest.tree(Walk::new(*source, &path)?, &path)?;
            digest.listing.leave();
        } else if let Some(Some((directory, name))) = source.root.directory_of(&path)? {
            digest.bytes(b"entry");
            digest.bytes(given.name().unwrap_or_default());
            let record = digest.item(directory.as_fd(), &name, &path, found)?;
            if let Some(record) = record {
                digest.listing.item(given.as_bytes(), record);
            }
        }
    }
    Ok(Content {
        digest: digest.hasher.finalize().into(),
        listing: digest.listing.finish(),
    })
}

struct ContentDigest {
    hasher: Hasher,
    owners: bool,
    is_context: bool,
    /// What was first seen of a file which has more than one name.
    inodes: HashMap<(u64, u64), FirstName>,
    records: u64,
    listing: Listing,
}

/// The record that held it in the digest, and what the listing says of each of its names.
struct FirstName {
    number: u64,
    path: RelPath,
    content: Sha256,
}

impl ContentDigest {
    fn tree(&mut self, mut walk: Walk<'_>, top: &RelPath) -> Result<()> {
        let mut path = top.clone();
        while let Some(step) = walk.next()? {
            match step {
                Step::Enter { name, entry } => {
                    path = path.join(&name)?;
                    self.bytes(b"enter");
                    self.bytes(&name);
                    self.metadata(&entry);
                    self.listing.enter(&name, Record::of(&entry, self.owners));
                }
                Step::Item { name, found } => {
                    self.bytes(b"entry");
                    self.bytes(&name);
                    let record = self.item(walk.fd(), &name, &path.join(&name)?, found)?;
                    if let Some(record) = record {
                        self.listing.item(&name, record);
                    }
                }
                Step::Leave => {
                    path = path.parent().unwrap_or_default();
                    self.bytes(b"leave");
                    self.listing.leave();
                }
            }
        }
        self.bytes(b"end");
        Ok(())
    }

    /// Gives the record for the listing, if it is there at all.
    fn item(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &RelPath,
        found: Found,
    ) -> Result<Option<Record>> {
        let mut entry = found.entry;
        if found.is_socket {
            // In a stage it is not there at all, whether or not its root file system was ever run in.
            self.bytes(if self.is_context {
                b"socket"
            } else {
                b"absent"
            });
            return Ok(self.is_context.then(Record::socket));
        }
        complete(directory, name, path, &mut entry)?;
        self.metadata(&entry);
        let record = Record::of(&entry, self.owners);
        if entry.kind != Kind::File {
            return Ok(Some(record));
        }
        let inode = (entry.dev, entry.ino);
        if let Some(first) = self.inodes.get(&inode) {
            let record = record
                .with_content(&first.content)
                .with_first_name(first.path.as_bytes());
            let number = first.number;
            self.bytes(b"link");
            self.number(number);
            return Ok(Some(record));
        }
        let number = self.records;
        let fd = open_file(directory, name, path)?;
        let content = hash(fd.as_fd(), path)?;
        self.bytes(&content);
        if entry.nlink > 1 {
            let path = path.clone();
            self.inodes.insert(
                inode,
                FirstName {
                    number,
                    path,
                    content,
                },
            );
        }
        Ok(Some(record.with_content(&content)))
    }

    fn metadata(&mut self, entry: &Entry) {
        self.records += 1;
        self.number(entry.kind as u64);
        if entry.kind != Kind::Symlink {
            self.number(entry.mode.into());
        }
        if self.owners {
            self.number(entry.uid.into());
            self.number(entry.gid.into());
        }
        self.number(entry.rdev);
        self.bytes(&entry.target);
        self.number(entry.xattrs.len() as u64);
        for (name, value) in &entry.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

fn hash(fd: BorrowedFd<'_>, path: &RelPath) -> Result<Sha256> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match rustix::io::read(fd, &mut buffer[..]) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).during("read", path),
        }
    }
}
