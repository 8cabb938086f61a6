//! The content of what COPY would take: as one digest for the cache key, and as a listing of what that was made of.

mod known;
mod part;
mod reading;
mod saved;

use std::collections::HashMap;
use std::thread;

use sha2::{Digest, Sha256 as Hasher};

use crate::copy::Source;
use crate::copy::listing::{Listing, Record};
use crate::entry::{Entry, Kind, Sha256};
use crate::error::Result;
use crate::path::RelPath;
pub use known::Known;
use part::{Item, Part, Parts};
use reading::Reading;

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
///
/// A file is not opened if `known` has it.
pub fn content(
    source: &Source<'_>,
    paths: &[RelPath],
    owners: bool,
    known: Option<&Known>,
) -> Result<Content> {
    let mut digest = ContentDigest {
        hasher: Hasher::new(),
        owners,
        is_context: source.is_context,
        inodes: HashMap::new(),
        records: 0,
        listing: Listing::new(),
    };
    digest.bytes(VERSION);
    thread::scope(|scope| {
        let mut reading = Reading::new(scope, Parts::new(*source, paths, known), known);
        while let Some(parts) = reading.next()? {
            for part in parts {
                digest.add(part);
            }
        }
        Ok(())
    })?;
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
    fn add(&mut self, part: Part) {
        match part {
            Part::Contents(given) => {
                self.bytes(b"contents");
                self.listing.enter(given.as_bytes(), Record::default());
            }
            Part::Enter { name, entry } => {
                self.bytes(b"enter");
                self.bytes(&name);
                self.metadata(&entry);
                self.listing.enter(&name, Record::of(&entry, self.owners));
            }
            Part::Item(item) => {
                self.bytes(b"entry");
                // A file that was given may be a link to one of another name.
                let (name, listed) = match &item.given {
                    Some(given) => (given.name().unwrap_or_default(), given.as_bytes()),
                    None => (item.name.as_slice(), item.name.as_slice()),
                };
                self.bytes(name);
                if let Some(record) = self.item(&item) {
                    self.listing.item(listed, record);
                }
            }
            Part::Leave => {
                self.bytes(b"leave");
                self.listing.leave();
            }
            Part::End => {
                self.bytes(b"end");
                self.listing.leave();
            }
        }
    }

    /// Gives the record for the listing, if it is there at all.
    fn item(&mut self, item: &Item) -> Option<Record> {
        let entry = &item.found.entry;
        if item.found.is_socket {
            // In a stage it is not there at all, whether or not its root file system was ever run in.
            self.bytes(if self.is_context {
                b"socket"
            } else {
                b"absent"
            });
            return self.is_context.then(Record::socket);
        }
        self.metadata(entry);
        let number = self.records;
        let record = Record::of(entry, self.owners);
        if entry.kind != Kind::File {
            return Some(record);
        }
        let inode = (entry.dev, entry.ino);
        if let Some(content) = entry.sha256 {
            self.bytes(&content);
            if entry.nlink > 1 {
                let path = item.path.clone();
                self.inodes.insert(
                    inode,
                    FirstName {
                        number,
                        path,
                        content,
                    },
                );
            }
            return Some(record.with_content(&content));
        }
        // Its first name came before: `Parts` saw to that.
        let first = self.inodes.get(&inode)?;
        let record = record
            .with_content(&first.content)
            .with_first_name(first.path.as_bytes());
        let number = first.number;
        self.bytes(b"link");
        self.number(number);
        Some(record)
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
