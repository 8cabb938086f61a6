//! The file of what is known of a context: digests, each behind the stat that proves it, in the order of inode numbers.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::entry::{Entry, Sha256};
use crate::error::{Context, Error, Result};

/// Changes whenever a record does.
const MAGIC: [u8; 8] = *b"FSWBREA2";
/// Magic, and the identity of the file system.
const HEADER: usize = 8 + 32;
/// Inode number, size, mtime, ctime, btime: big-endian, so that bytes are in the order of inode numbers.
const STAT: usize = 5 * 8;
/// The CRC-32 of all before it.
const CHECKSUM: usize = 4;

pub(super) type Stat = [u8; STAT];
/// A stat and a digest.
pub(super) type Record = [u8; STAT + 32];
const RECORD: usize = size_of::<Record>();

/// What proves, on one file system, that a content is the same.
pub(super) fn stat_of(entry: &Entry) -> Stat {
    let fields = [
        entry.ino.to_be_bytes(),
        entry.size.to_be_bytes(),
        entry.mtime_ns.to_be_bytes(),
        entry.ctime_ns.to_be_bytes(),
        entry.btime_ns.to_be_bytes(),
    ];
    let mut stat = [0; STAT];
    stat.copy_from_slice(fields.as_flattened());
    stat
}

pub(super) fn record(stat: &Stat, content: &Sha256) -> Record {
    let mut record = [0; RECORD];
    record[..STAT].copy_from_slice(stat);
    record[STAT..].copy_from_slice(content);
    record
}

/// The digest of a record, if that is for this very stat.
pub(super) fn content_of(record: &Record, stat: &Stat) -> Option<Sha256> {
    let content = record.strip_prefix(stat)?;
    content.try_into().ok()
}

pub(super) fn ino_of(record: &Record) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *record;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What was saved. In memory as a whole: through a mapping, a disk that fails, or a file server that has forgotten the
/// file, would end the process.
#[derive(Debug)]
pub(super) struct Saved {
    identity: Sha256,
    records: Vec<Record>,
    /// Which of them were asked for.
    met: Vec<AtomicBool>,
}

impl Saved {
    /// `Refused` for a file that holds anything else.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = path.as_os_str().as_bytes();
        let damaged = || Error::refused(name, "it does not hold what was read of a build context");
        let mut file = File::open(path).during("open", name)?;
        let length = file.metadata().during("fstat", name)?.len() as usize;
        let size = length.checked_sub(HEADER + CHECKSUM).ok_or_else(damaged)?;
        let (mut header, mut checksum) = ([0; HEADER], [0; CHECKSUM]);
        let mut records = vec![[0; RECORD]; size / RECORD];
        let mut sum = crc32fast::Hasher::new();
        for bytes in [&mut header, records.as_flattened_mut()] {
            file.read_exact(bytes).during("read", name)?;
            sum.update(bytes);
        }
        file.read_exact(&mut checksum).during("read", name)?;
        if header[..8] != MAGIC || size % RECORD != 0 || checksum != sum.finalize().to_be_bytes() {
            return Err(damaged());
        }
        let mut identity = Sha256::default();
        identity.copy_from_slice(&header[8..]);
        let mut met = Vec::new();
        met.resize_with(records.len(), AtomicBool::default);
        Ok(Self {
            identity,
            records,
            met,
        })
    }

    /// Whether it is of this file system.
    pub(super) fn is_of(&self, identity: &Sha256) -> bool {
        self.identity == *identity
    }

    pub(super) fn find(&self, stat: &Stat) -> Option<Sha256> {
        let order = |record: &Record| record[..8].cmp(&stat[..8]);
        let index = self.records.binary_search_by(order).ok()?;
        let content = content_of(&self.records[index], stat)?;
        self.met[index].store(true, Ordering::Relaxed);
        Some(content)
    }

    /// Those that were asked for, and the others.
    pub(super) fn by_use(&self) -> (Vec<Record>, Vec<Record>) {
        let (mut used, mut others) = (Vec::new(), Vec::new());
        for (record, met) in self.records.iter().zip(&self.met) {
            if met.load(Ordering::Relaxed) {
                used.push(*record);
            } else {
                others.push(*record);
            }
        }
        (used, others)
    }
}

/// Makes the file.
pub(super) fn write(path: &Path, identity: &Sha256, records: &mut [Record]) -> Result<()> {
    records.sort_unstable();
    let name = path.as_os_str().as_bytes();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = BufWriter::new(options.open(path).during("open", name)?);
    let mut checksum = crc32fast::Hasher::new();
    for bytes in [&MAGIC[..], identity, records.as_flattened()] {
        checksum.update(bytes);
        file.write_all(bytes).during("write", name)?;
    }
    let checksum = checksum.finalize().to_be_bytes();
    file.write_all(&checksum).during("write", name)?;
    file.flush().during("write", name)
}
