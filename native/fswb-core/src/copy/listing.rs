//! What a content digest was made of, small enough to be kept: a later build can say which file changed.
//!
//! A tree of records, each of an entry's metadata and of eight bytes of the digest of its content. It is evidence for a
//! sentence and for nothing else: whether a step is done again is decided by the whole digest alone. A large tree is
//! cut off, its largest directories first: of these one digest over all below them stays.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256 as Hasher};

use crate::entry::{Entry, Kind, Sha256};
use crate::error::{Error, Result};

/// Records in one listing, at most: about 300 KiB.
const MOST: usize = 4_000;
/// Changes whenever the form of a listing does.
const FORM: u8 = 1;
const SHORT: usize = 8;
const RECORD: usize = 1 + 3 * 4 + 8 + 3 * SHORT;
/// Of a record: it holds nothing below it, has all of it, or was cut off.
const LEAF: u8 = 0;
const LISTED: u8 = 1;
const CUT: u8 = 2;

type Short = [u8; SHORT];

/// What is recorded of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Record {
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
    pub(super) fn of(entry: &Entry, owners: bool) -> Self {
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
    pub(super) const fn socket() -> Self {
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

    pub(super) fn with_content(self, content: &Sha256) -> Self {
        Self {
            data: cut(content),
            ..self
        }
    }

    pub(super) fn with_first_name(self, path: &[u8]) -> Self {
        Self {
            first_name: short(path),
            ..self
        }
    }

    fn write(&self, into: &mut Vec<u8>) {
        into.push(self.kind);
        for number in [self.mode, self.uid, self.gid] {
            into.extend_from_slice(&number.to_le_bytes());
        }
        into.extend_from_slice(&self.rdev.to_le_bytes());
        for digest in [self.data, self.xattrs, self.first_name] {
            into.extend_from_slice(&digest);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self> {
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

    fn differs(&self, other: &Self) -> Vec<Aspect> {
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

/// A path of which something differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As the source was spelled, and below it.
    pub path: Vec<u8>,
    /// What differs, at least one.
    pub what: Vec<Aspect>,
}

/// The differences between two listings, by path: the first `most` of them, and how many there are.
///
/// What was cut off in one of the two counts as one. An error if a listing has not the form that [`Listing`] gives it.
pub fn differences(before: &[u8], after: &[u8], most: usize) -> Result<(Vec<Difference>, usize)> {
    let mut found = Found {
        most,
        first: Vec::new(),
        count: 0,
    };
    compare(&read(before)?, &read(after)?, &[], &mut found);
    Ok((found.first, found.count))
}

struct Found {
    most: usize,
    first: Vec<Difference>,
    count: usize,
}

impl Found {
    fn add(&mut self, path: &[u8], what: Vec<Aspect>) {
        self.count += 1;
        if self.first.len() < self.most {
            self.first.push(Difference {
                path: path.to_vec(),
                what,
            });
        }
    }
}

/// An entry of a listing that was read. `below` is a digest over all that a directory holds.
struct Node {
    record: Record,
    below: Short,
    children: Option<Children>,
}

type Children = BTreeMap<Vec<u8>, Node>;

fn compare(before: &Children, after: &Children, above: &[u8], found: &mut Found) {
    let mut names: Vec<&Vec<u8>> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = [above, name].concat();
        match (before.get(name), after.get(name)) {
            (Some(_), None) => found.add(&path, vec![Aspect::Removed]),
            (None, Some(_)) => found.add(&path, vec![Aspect::Added]),
            (Some(old), Some(new)) => compare_nodes(old, new, &path, found),
            (None, None) => {}
        }
    }
}

fn compare_nodes(old: &Node, new: &Node, path: &[u8], found: &mut Found) {
    let mut what = old.record.differs(&new.record);
    let changed_below = old.below != new.below && !what.contains(&Aspect::Kind);
    match (&old.children, &new.children) {
        (Some(before), Some(after)) if changed_below => {
            if !what.is_empty() {
                found.add(path, what);
            }
            let above = if path.is_empty() {
                Vec::new()
            } else {
                [path, b"/"].concat()
            };
            compare(before, after, &above, found);
        }
        _ => {
            if changed_below {
                what.push(Aspect::Below);
            }
            if !what.is_empty() {
                found.add(path, what);
            }
        }
    }
}

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

fn read(listing: &[u8]) -> Result<Children> {
    let mut reader = Reader(listing);
    if reader.byte()? != FORM {
        return Err(Error::refused(b"", "a listing of another form"));
    }
    let (_, top) = reader.node(0)?;
    Ok(Children::from([(Vec::new(), top)]))
}

/// Names may be paths, which a Dockerfile gives: so many levels at most.
const DEEPEST: usize = 4_096;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| Error::refused(b"", "a listing that ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn number(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn node(&mut self, depth: usize) -> Result<(Vec<u8>, Node)> {
        if depth > DEEPEST {
            return Err(Error::refused(b"", "a listing that is too deep"));
        }
        let length = self.number()?;
        let name = self.take(length as usize)?.to_vec();
        let record = Record::read(self)?;
        let form = self.byte()?;
        let below = if form == LEAF {
            Short::default()
        } else {
            self.array()?
        };
        let mut children = (form != CUT).then(Children::new);
        if let (LISTED, Some(children)) = (form, &mut children) {
            for _ in 0..self.number()? {
                let (name, node) = self.node(depth + 1)?;
                children.insert(name, node);
            }
        }
        let node = Node {
            record,
            below,
            children,
        };
        Ok((name, node))
    }
}

fn short(bytes: &[u8]) -> Short {
    cut(&Hasher::digest(bytes).into())
}

fn cut(digest: &Sha256) -> Short {
    let mut short = Short::default();
    short.copy_from_slice(&digest[..SHORT]);
    short
}
