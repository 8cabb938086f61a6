//! What was read of a build context before: the digests of files that nobody has touched since.
//!
//! That an equal stat proves an equal content is the claim of `fswatch_builder/index/CLOCK.md`, for a tree that nobody else
//! has open. A build context is somebody's to work in. So a file is learned only if, after the stat and before it is
//! read, nobody has it open for writing: then no write is under way whose stamp was set at its beginning, and there is
//! no mapping to store into without one. Whoever opens it later moves its ctime with the first byte.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::Mmap;
use rustix::fs::{self, FsWord};
use rustix::io::Errno;

use crate::clock::Clock;
use crate::copy::walk::look;
use crate::entry::{Entry, Kind, Sha256};
use crate::error::{Context, Error, Result};
use crate::opening::nobody_writes;
use crate::path::RelPath;
use crate::root::Root;

/// File systems whose own inodes count who has them open for writing. An overlay's do not: a mapping is of the inode below.
const COUNTING: [FsWord; 3] = [
    0xef53,      // EXT4_SUPER_MAGIC, EXT2's and EXT3's too
    0x5846_5342, // XFS_SUPER_MAGIC
    0x9123_683e, // BTRFS_SUPER_MAGIC
];

/// Changes whenever a record does.
const MAGIC: [u8; 8] = *b"FSWBREA1";
/// Magic, device of the file system, CRC-32 of the records.
const HEADER: usize = 24;
/// A stat and a digest.
const RECORD: usize = STAT + 32;
/// Inode number, size, mtime, ctime, btime: big-endian, so that bytes are in the order of inode numbers.
const STAT: usize = 5 * 8;

type Stat = [u8; STAT];
type Record = (Stat, Sha256);

fn stat_of(entry: &Entry) -> Stat {
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

/// What is known of the files of one context, and what is learned while it is read. For any number of threads.
#[derive(Debug)]
pub struct Known {
    /// Files on other file systems are read each time.
    device: u64,
    /// `None`: nothing can be learned here.
    clock: Option<Clock>,
    before: Option<Saved>,
    /// By inode number.
    learned: Mutex<HashMap<u64, Record>>,
}

impl Known {
    /// Of the context `root`; `saved` is what [`Known::save`] wrote in the same boot, for device numbers, and contents that
    /// are not on the disk yet, are of a boot.
    ///
    /// `Refused` for a file that holds anything else.
    pub fn open(root: &Root, saved: Option<&Path>) -> Result<Self> {
        let gone = || Error::system("statx", root.path(), Errno::NOENT);
        let device = root.entry(&RelPath::ROOT)?.ok_or_else(gone)?.dev;
        let before = saved.map(Saved::open).transpose()?;
        let kind = fs::fstatfs(root.fd())
            .during("fstatfs", root.path())?
            .f_type;
        let clock = COUNTING.contains(&kind).then(|| Clock::of(root));
        Ok(Self {
            device,
            clock: clock.transpose()?,
            before: before.filter(|before| before.device() == device),
            learned: Mutex::default(),
        })
    }

    /// The digest of a file that was read before and not touched since. It has no attributes.
    pub(super) fn digest(&self, entry: &Entry) -> Option<Sha256> {
        if entry.kind != Kind::File || entry.dev != self.device {
            return None;
        }
        let stat = stat_of(entry);
        let before = self.before.as_ref().and_then(|before| before.find(&stat));
        before.or_else(|| {
            let (known, content) = *self.lock().get(&entry.ino)?;
            (known == stat).then_some(content)
        })
    }

    /// Whether what is read of this open file now is what any later file with the same stat as `entry` holds. Another
    /// file may have taken its name since that was stat'ed.
    pub(super) fn can_learn(
        &self,
        entry: &Entry,
        file: BorrowedFd<'_>,
        path: &RelPath,
    ) -> Result<bool> {
        if entry.dev != self.device || self.clock.is_none_or(|clock| clock.is_racy(entry)) {
            return Ok(false);
        }
        let Some(opened) = look(file, b"", path)? else {
            return Ok(false);
        };
        let is_same = opened.entry.dev == entry.dev && stat_of(&opened.entry) == stat_of(entry);
        Ok(is_same && nobody_writes(file))
    }

    /// Takes note of a file without attributes.
    pub(super) fn learn(&self, entry: &Entry, content: Sha256) {
        self.lock().insert(entry.ino, (stat_of(entry), content));
    }

    /// How many files were learned.
    pub fn learned(&self) -> usize {
        self.lock().len()
    }

    /// Writes all that is known now to the new file `path`: what was learned, and what was known before. Of that, files
    /// which were not met again (another Dockerfile may take them) are left out when they are the most.
    pub fn save(&self, path: &Path) -> Result<()> {
        let learned = self.lock().clone();
        let mut records: Vec<Record> = learned.values().copied().collect();
        if let Some(before) = &self.before {
            let (met, mut others): (Vec<usize>, Vec<usize>) = (0..before.len())
                .filter(|&index| !learned.contains_key(&before.ino(index)))
                .partition(|&index| before.met[index].load(Ordering::Relaxed));
            if others.len() > met.len() + records.len() {
                others.clear();
            }
            let stay = met.into_iter().chain(others);
            records.extend(stay.map(|index| before.record(index)));
        }
        records.sort_unstable();
        write(path, self.device, &records)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Record>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file of records, mapped, in the order of inode numbers.
#[derive(Debug)]
struct Saved {
    map: Mmap,
    /// Which of them were asked for.
    met: Vec<AtomicBool>,
}

impl Saved {
    fn open(path: &Path) -> Result<Self> {
        let name = path.as_os_str().as_bytes();
        let file = std::fs::File::open(path).during("open", name)?;
        let damaged = || Error::refused(name, "it does not hold what was read of a build context");
        if file.metadata().during("fstat", name)?.len() < HEADER as u64 {
            return Err(damaged());
        }
        // SAFETY: the file is ours alone, and is never written to once it has its name.
        let map = unsafe { Mmap::map(&file) }.during("mmap", name)?;
        let records = &map[HEADER..];
        if map[..8] != MAGIC
            || records.len() % RECORD != 0
            || number(&map, 16) != u64::from(crc32fast::hash(records))
        {
            return Err(damaged());
        }
        let met = (0..records.len() / RECORD)
            .map(|_| AtomicBool::new(false))
            .collect();
        Ok(Self { map, met })
    }

    fn device(&self) -> u64 {
        number(&self.map, 8)
    }

    fn len(&self) -> usize {
        self.met.len()
    }

    fn ino(&self, index: usize) -> u64 {
        number(&self.map, HEADER + index * RECORD)
    }

    fn record(&self, index: usize) -> Record {
        let at = HEADER + index * RECORD;
        let (mut stat, mut content) = ([0; STAT], Sha256::default());
        stat.copy_from_slice(&self.map[at..at + STAT]);
        content.copy_from_slice(&self.map[at + STAT..at + RECORD]);
        (stat, content)
    }

    fn find(&self, stat: &Stat) -> Option<Sha256> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.record(middle).0[..8] < stat[..8] {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let met = self.met.get(low)?;
        let (known, content) = self.record(low);
        if known != *stat {
            return None;
        }
        met.store(true, Ordering::Relaxed);
        Some(content)
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(number)
}

fn write(path: &Path, device: u64, records: &[Record]) -> Result<()> {
    let mut body = Vec::with_capacity(records.len() * RECORD);
    for (stat, content) in records {
        body.extend_from_slice(stat);
        body.extend_from_slice(content);
    }
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&device.to_be_bytes());
    header.extend_from_slice(&u64::from(crc32fast::hash(&body)).to_be_bytes());
    let name = path.as_os_str().as_bytes();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).during("open", name)?;
    file.write_all(&header).during("write", name)?;
    file.write_all(&body).during("write", name)
}
