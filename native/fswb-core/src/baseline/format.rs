//! The bytes of a saved baseline. The format is told in prose in `fswatch_builder/index/FORMAT.md`.

use crate::entry::{Entry, Kind, Xattrs};

pub(super) const MAGIC: [u8; 8] = *b"FSWBBASE";
pub(super) const VERSION: u32 = 2;
pub(super) const HEADER: usize = 64;
pub(super) const NODE: usize = 112;
pub(super) const DIRECTORY: usize = 40;
pub(super) const INODE: usize = 4;
pub(super) const DEVICE: usize = 8;

/// The directory number of what is no directory.
pub(super) const NO_DIRECTORY: u32 = u32::MAX;

const RACY: u8 = 1;
const HAS_DIGEST: u8 = 1 << 1;

/// How many items each section has. The sections follow the header without gaps, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) nodes: u32,
    pub(super) directories: u32,
    pub(super) devices: u32,
    pub(super) names: u32,
    pub(super) extras: u32,
}

impl Counts {
    /// Offsets of the six sections and of the end.
    pub(super) fn offsets(self) -> [u64; 7] {
        let sizes = [
            u64::from(self.nodes) * NODE as u64,
            u64::from(self.directories) * DIRECTORY as u64,
            u64::from(self.nodes) * INODE as u64,
            u64::from(self.devices) * DEVICE as u64,
            u64::from(self.names),
            u64::from(self.extras),
        ];
        let mut offsets = [HEADER as u64; 7];
        for (index, size) in sizes.into_iter().enumerate() {
            offsets[index + 1] = offsets[index] + size;
        }
        offsets
    }

    /// The header, `body` being the CRC-32 of all that follows it.
    pub(super) fn encode(self, body: u32) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        let fields = [
            VERSION,
            body,
            self.nodes,
            self.directories,
            self.devices,
            self.names,
            self.extras,
        ];
        for (index, field) in fields.into_iter().enumerate() {
            put(&mut header, 8 + 4 * index, field.to_le_bytes());
        }
        let checksum = crc32fast::hash(&header[..HEADER - 4]);
        put(&mut header, HEADER - 4, checksum.to_le_bytes());
        header
    }

    /// The counts and the CRC-32 of the body, or what is wrong.
    pub(super) fn decode(header: &[u8; HEADER]) -> Result<(Self, u32), &'static str> {
        if header[..8] != MAGIC {
            return Err("not a baseline");
        }
        if u32_at(header, 8) != VERSION {
            return Err("written by another version");
        }
        if crc32fast::hash(&header[..HEADER - 4]) != u32_at(header, HEADER - 4) {
            return Err("the header is damaged");
        }
        let counts = Self {
            nodes: u32_at(header, 16),
            directories: u32_at(header, 20),
            devices: u32_at(header, 24),
            names: u32_at(header, 28),
            extras: u32_at(header, 32),
        };
        Ok((counts, u32_at(header, 12)))
    }
}

/// Where a node stands in the tree and in the pools.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) name: u32,
    pub(super) name_length: u16,
    pub(super) parent: u32,
    pub(super) directory: u32,
    pub(super) device: u16,
    pub(super) extra: u32,
    pub(super) extra_length: u32,
}

/// One node record.
pub(super) fn encode_node(entry: &Entry, place: Place) -> [u8; NODE] {
    let mut node = [0; NODE];
    put(&mut node, 0, place.name.to_le_bytes());
    put(&mut node, 4, place.name_length.to_le_bytes());
    node[6] = entry.kind as u8;
    if entry.racy {
        node[7] |= RACY;
    }
    put(&mut node, 8, place.parent.to_le_bytes());
    put(&mut node, 12, place.directory.to_le_bytes());
    // Twelve bits are all that a mode has: see `Entry::mode`.
    put(&mut node, 16, (entry.mode as u16).to_le_bytes());
    put(&mut node, 18, place.device.to_le_bytes());
    put(&mut node, 20, entry.nlink.to_le_bytes());
    put(&mut node, 24, entry.uid.to_le_bytes());
    put(&mut node, 28, entry.gid.to_le_bytes());
    put(&mut node, 32, place.extra.to_le_bytes());
    put(&mut node, 36, place.extra_length.to_le_bytes());
    // A file has a size and no device number, a device the other way round.
    put(&mut node, 40, (entry.size | entry.rdev).to_le_bytes());
    put(&mut node, 48, entry.mtime_ns.to_le_bytes());
    put(&mut node, 56, entry.ctime_ns.to_le_bytes());
    put(&mut node, 64, entry.btime_ns.to_le_bytes());
    put(&mut node, 72, entry.ino.to_le_bytes());
    if let Some(digest) = entry.sha256 {
        node[7] |= HAS_DIGEST;
        put(&mut node, 80, digest);
    }
    node
}

/// A node record in the map.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub(super) &'a [u8; NODE]);

impl Node<'_> {
    pub(super) fn place(self) -> Place {
        Place {
            name: u32_at(self.0, 0),
            name_length: u16_at(self.0, 4),
            parent: u32_at(self.0, 8),
            directory: u32_at(self.0, 12),
            device: u16_at(self.0, 18),
            extra: u32_at(self.0, 32),
            extra_length: u32_at(self.0, 36),
        }
    }

    pub(super) fn directory(self) -> Option<u32> {
        Some(u32_at(self.0, 12)).filter(|&directory| directory != NO_DIRECTORY)
    }

    pub(super) fn kind(self) -> Option<Kind> {
        Some(match self.0[6] {
            1 => Kind::File,
            2 => Kind::Directory,
            3 => Kind::Symlink,
            4 => Kind::Fifo,
            5 => Kind::CharDevice,
            6 => Kind::BlockDevice,
            _ => return None,
        })
    }

    pub(super) fn ino(self) -> u64 {
        u64_at(self.0, 72)
    }

    /// The entry, without device, target and xattrs.
    pub(super) fn entry(self, kind: Kind) -> Entry {
        let number = u64_at(self.0, 40);
        let flags = self.0[7];
        Entry {
            kind,
            mode: u16_at(self.0, 16).into(),
            uid: u32_at(self.0, 24),
            gid: u32_at(self.0, 28),
            rdev: if kind == Kind::File { 0 } else { number },
            size: if kind == Kind::File { number } else { 0 },
            mtime_ns: u64_at(self.0, 48) as i64,
            target: Vec::new(),
            xattrs: Xattrs::new(),
            sha256: (flags & HAS_DIGEST != 0).then(|| bytes_at(self.0, 80)),
            ctime_ns: u64_at(self.0, 56) as i64,
            btime_ns: u64_at(self.0, 64) as i64,
            dev: 0,
            ino: self.ino(),
            nlink: u32_at(self.0, 20),
            racy: flags & RACY != 0,
        }
    }
}

/// One directory record: its node, its parent, the runs of its children and of those that are directories, and how much
/// is below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) node: u32,
    pub(super) parent: u32,
    pub(super) name: u32,
    pub(super) name_length: u32,
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) first_directory: u32,
    pub(super) directory_count: u32,
    pub(super) below: u32,
    pub(super) directories_below: u32,
}

impl Directory {
    pub(super) fn encode(self) -> [u8; DIRECTORY] {
        let mut record = [0; DIRECTORY];
        let fields = [
            self.node,
            self.parent,
            self.name,
            self.name_length,
            self.first,
            self.count,
            self.first_directory,
            self.directory_count,
            self.below,
            self.directories_below,
        ];
        for (index, field) in fields.into_iter().enumerate() {
            put(&mut record, 4 * index, field.to_le_bytes());
        }
        record
    }

    pub(super) fn decode(record: &[u8; DIRECTORY]) -> Self {
        let field = |index: usize| u32_at(record, 4 * index);
        Self {
            node: field(0),
            parent: field(1),
            name: field(2),
            name_length: field(3),
            first: field(4),
            count: field(5),
            first_directory: field(6),
            directory_count: field(7),
            below: field(8),
            directories_below: field(9),
        }
    }
}

/// A node in the section of inodes.
pub(super) fn decode_inode(record: &[u8; INODE]) -> u32 {
    u32::from_le_bytes(*record)
}

/// Target and xattrs: every string with its length in front, the target first.
pub(super) fn encode_extra(entry: &Entry, into: &mut Vec<u8>) {
    let mut string = |bytes: &[u8]| {
        into.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        into.extend_from_slice(bytes);
    };
    string(&entry.target);
    for (name, value) in &entry.xattrs {
        string(name);
        string(value);
    }
}

/// What [`encode_extra`] wrote; `None` if it is damaged.
pub(super) fn decode_extra(mut bytes: &[u8]) -> Option<(Vec<u8>, Xattrs)> {
    let mut string = || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (string, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        Some(string.to_vec())
    };
    let target = string()?;
    let mut xattrs = Xattrs::new();
    while let Some(name) = string() {
        xattrs.push((name, string()?));
    }
    bytes.is_empty().then_some((target, xattrs))
}

fn put<const N: usize>(record: &mut [u8], at: usize, value: [u8; N]) {
    record[at..at + N].copy_from_slice(&value);
}

fn bytes_at<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&record[at..at + N]);
    value
}

fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(record, at))
}

fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(record, at))
}

fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(record, at))
}
