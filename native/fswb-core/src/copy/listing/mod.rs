//! What a content digest was made of, small enough to be kept: a later build can say which file changed.
//!
//! A tree of records, each of an entry's metadata and of eight bytes of the digest of its content. It is evidence for a
//! sentence and for nothing else: whether a step is done again is decided by the whole digest alone. A large tree is
//! cut off, its largest directories first: of these one digest over all below them stays.

mod difference;
mod reader;
mod record;

use sha2::{Digest, Sha256 as Hasher};

use record::{RECORD, SHORT, Short, cut};

pub use difference::{Difference, differences};
pub use record::Aspect;
pub(super) use record::Record;

/// Records in one listing, at most: about 300 KiB.
const MOST: usize = 4_000;
/// Changes whenever the form of a listing does.
const FORM: u8 = 1;
/// Of a record: it holds nothing below it, has all of it, or was cut off.
const LEAF: u8 = 0;
const LISTED: u8 = 1;
const CUT: u8 = 2;

/// A listing that is being made, in the order of the walk.
#[derive(Debug)]
pub(super) struct Listing {
    open: Vec<Directory>,
}

#[derive(Debug)]
struct Directory {
    name: Vec<u8>,
    record: Record,
    below: Hasher,
    children: Vec<Written>,
    /// Records of all children.
    count: usize,
    /// Even its own children are too many.
    is_cut: bool,
}

/// A finished entry: with all that is recorded below it, and cut off.
#[derive(Debug)]
struct Written {
    whole: Vec<u8>,
    brief: Vec<u8>,
    count: usize,
}

impl Listing {
    /// Of nothing.
    pub(super) fn new() -> Self {
        let mut listing = Self { open: Vec::new() };
        listing.enter(b"", Record::default());
        listing
    }

    /// A directory begins.
    pub(super) fn enter(&mut self, name: &[u8], record: Record) {
        self.open.push(Directory {
            name: name.to_vec(),
            record,
            below: Hasher::new(),
            children: Vec::new(),
            count: 0,
            is_cut: false,
        });
    }

    /// Anything but a directory.
    pub(super) fn item(&mut self, name: &[u8], record: Record) {
        let written = encoded(name, &record, LEAF, Short::default());
        self.add(Written {
            brief: written.clone(),
            whole: written,
            count: 1,
        });
    }

    /// The directory that began last ends.
    pub(super) fn leave(&mut self) {
        if let Some(directory) = self.open.pop() {
            let written = directory.written();
            self.add(written);
        }
    }

    /// All of it.
    pub(super) fn finish(mut self) -> Vec<u8> {
        while self.open.len() > 1 {
            self.leave();
        }
        let top = self.open.pop().map(Directory::written);
        let mut bytes = vec![FORM];
        bytes.extend(top.map_or_else(Vec::new, |top| top.whole));
        bytes
    }

    fn add(&mut self, child: Written) {
        let Some(directory) = self.open.last_mut() else {
            return;
        };
        directory
            .below
            .update((child.brief.len() as u64).to_le_bytes());
        directory.below.update(&child.brief);
        if directory.is_cut {
            return;
        }
        directory.count += child.count;
        directory.children.push(child);
        while directory.count > MOST {
            let largest = directory.children.iter_mut().max_by_key(|one| one.count);
            match largest {
                Some(largest) if largest.count > 1 => {
                    directory.count -= largest.count - 1;
                    largest.count = 1;
                    largest.whole = largest.brief.clone();
                }
                _ => {
                    directory.is_cut = true;
                    directory.children = Vec::new();
                    directory.count = 0;
                }
            }
        }
    }
}

impl Directory {
    fn written(self) -> Written {
        let below = cut(&self.below.finalize().into());
        let brief = encoded(&self.name, &self.record, CUT, below);
        if self.is_cut {
            return Written {
                whole: brief.clone(),
                brief,
                count: 1,
            };
        }
        let mut whole = encoded(&self.name, &self.record, LISTED, below);
        whole.extend_from_slice(&(self.children.len() as u32).to_le_bytes());
        for child in &self.children {
            whole.extend_from_slice(&child.whole);
        }
        Written {
            whole,
            brief,
            count: self.count + 1,
        }
    }
}

fn encoded(name: &[u8], record: &Record, form: u8, below: Short) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + name.len() + RECORD + 1 + SHORT);
    bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
    bytes.extend_from_slice(name);
    record.write(&mut bytes);
    bytes.push(form);
    if form != LEAF {
        bytes.extend_from_slice(&below);
    }
    bytes
}
