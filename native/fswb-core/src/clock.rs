//! Whether a stat proves anything: the clock that stamps ctimes. The reasoning is in `fswatch_builder/index/CLOCK.md`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memmap2::MmapOptions;
use rustix::fs::{self, FsWord, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::entry::{Entry, Kind, nanoseconds};
use crate::error::{Context, Error, Result};
use crate::root::Root;

/// How often the probe writes and stats. Measured: a multigrain clock (Linux 6.13 and later) gave no equal ctimes in
/// 20,000 writes; a coarse one (1 to 4 ms a tick) gives one within the first two.
const PROBES: usize = 50;

/// File systems where another machine or a process stamps the times: no evidence holds there.
const FOREIGN: [FsWord; 6] = [
    0x6969,      // NFS_SUPER_MAGIC
    0xff53_4d42, // CIFS_SUPER_MAGIC
    0xfe53_4d42, // SMB2_SUPER_MAGIC
    0x6573_5546, // FUSE_SUPER_MAGIC
    0x0102_1997, // V9FS_MAGIC
    0x00c3_6400, // CEPH_SUPER_MAGIC
];

/// Which stats are evidence. To be made before the first one that it judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// What it stamps ctimes with.
    pub ticks: Ticks,
    /// Whether a store into a shared mapping moves the times of its file. On tmpfs a page is mapped for writing as
    /// soon as it is read, so the store makes no fault, and nobody hears of it (tests/kernel/test_stat.py).
    pub shows_stores: bool,
}

/// Which ctimes are evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticks {
    /// After a stat the next change always has a new ctime (Linux 6.13, ext4, xfs, btrfs, tmpfs): all are.
    Multigrain,
    /// The clock stands still within a tick. Those before this one, in nanoseconds, are; a change in the tick of the stat
    /// would not show in the others.
    Coarse(i64),
    /// None is: a network file system, FUSE, or nowhere to probe.
    Unknown,
}

impl Clock {
    /// Nothing can be said of it.
    pub(crate) const UNKNOWN: Self = Self {
        ticks: Ticks::Unknown,
        shows_stores: false,
    };

    /// Of the file system that a root directory is on.
    pub fn of(root: &Root) -> Result<Self> {
        Self::at(root.fd(), root.path())
    }

    /// Of the file system that an open directory is on. `path` is for messages.
    pub(crate) fn at(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Self> {
        let kind = fs::fstatfs(directory).during("fstatfs", path)?.f_type;
        let file = if FOREIGN.contains(&kind) {
            None
        } else {
            scratch(directory, path)?
        };
        let Some(file) = file else {
            return Ok(Self::UNKNOWN);
        };
        match Self::tried(file.as_fd()) {
            // Full: nothing can be written to try it.
            Err(Error::System {
                errno: libc::ENOSPC | libc::EDQUOT,
                ..
            }) => Ok(Self::UNKNOWN),
            tried => tried,
        }
    }

    fn tried(file: BorrowedFd<'_>) -> Result<Self> {
        // Stores first: of two calls the ticks of the later one are the ones to judge by.
        let shows_stores = probe_stores(file)?;
        Ok(Self {
            ticks: probe(file)?,
            shows_stores,
        })
    }

    /// Whether equal evidence will prove nothing about this entry.
    pub fn is_racy(self, entry: &Entry) -> bool {
        let may_hide_stores = !self.shows_stores && entry.kind == Kind::File;
        may_hide_stores
            || match self.ticks {
                Ticks::Multigrain => false,
                Ticks::Coarse(tick) => entry.ctime_ns >= tick,
                Ticks::Unknown => true,
            }
    }
}

/// Returns when no inode can any more get a ctime that one has now: at once with a multigrain clock, whose time a query
/// and a write move on for all inodes (kernel, `inode_set_ctime_current`: none is stamped earlier than the last fine one),
/// else after a tick, 1 to 10 ms (a second on an ext4 with inodes of 128 bytes).
pub fn pass_a_tick(root: &Root) -> Result<()> {
    let file = scratch(root.fd(), root.path())?
        .ok_or_else(|| Error::system("open", root.path(), Errno::OPNOTSUPP))?;
    let first = touched(file.as_fd())?;
    while touched(file.as_fd())? <= first {
        std::thread::yield_now();
    }
    Ok(())
}

/// The ctime of a write made now, in nanoseconds.
fn touched(file: BorrowedFd<'_>) -> Result<i64> {
    rustix::io::pwrite(file, b".", 0).during("pwrite", b"")?;
    ctime(file)
}

fn ctime(file: BorrowedFd<'_>) -> Result<i64> {
    let stat = fs::fstat(file).during("fstat", b"")?;
    // The C library's types differ by architecture; the values fit.
    Ok(nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as u32))
}

fn probe(file: BorrowedFd<'_>) -> Result<Ticks> {
    let mut before = ctime(file)?;
    let mut equal = false;
    for _ in 0..PROBES {
        let after = touched(file)?;
        equal |= after == before;
        before = after;
    }
    Ok(if equal {
        Ticks::Coarse(before)
    } else {
        Ticks::Multigrain
    })
}

/// Whether a store moves the mtime of a file whose page was read through the same mapping before. mtime, since that can be
/// set to what no clock says: a coarse one stands still.
fn probe_stores(file: BorrowedFd<'_>) -> Result<bool> {
    const LONG_AGO: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::io::pwrite(file, b".", 0).during("pwrite", b"")?;
    let times = Timestamps {
        last_access: LONG_AGO,
        last_modification: LONG_AGO,
    };
    fs::futimens(file, &times).during("utimensat", b"")?;
    // SAFETY: nobody else has the file, which has no name, so nobody cuts it off below us.
    let mapped = unsafe { MmapOptions::new().len(1).map_mut(&file) };
    let mut mapped = match mapped {
        Ok(mapped) => mapped,
        // mmap(2): the file system maps nothing, or nothing for writing. Then nobody stores.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(true),
        Err(error) => return Err(error).during("mmap", b""),
    };
    let byte: *mut u8 = mapped.as_mut_ptr();
    // SAFETY: the byte lies in the mapping, which is ours. Volatile, and the black box: two accesses, not one instruction
    // that does both, whose fault would be that of a write.
    unsafe {
        std::hint::black_box(byte.read_volatile());
        byte.write_volatile(b'x');
    }
    drop(mapped);
    let stat = fs::fstat(file).during("fstat", b"")?;
    Ok((stat.st_mtime, stat.st_mtime_nsec) != (0, 0))
}

/// A nameless file on the file system of a directory. Beside the directory rather than in it, where a watch would hear of it.
fn scratch(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Option<OwnedFd>> {
    let own = fs::fstat(directory).during("fstat", path)?.st_dev;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let above = OFlags::PATH | OFlags::CLOEXEC;
    let beside = fs::openat(directory, "..", above, Mode::empty());
    if let Ok(beside) = &beside {
        let other = fs::fstat(beside).during("fstat", path)?.st_dev;
        if other == own {
            if let Ok(file) = fs::openat(beside, ".", flags, Mode::RUSR | Mode::WUSR) {
                return Ok(Some(file));
            }
        }
    }
    match fs::openat(directory, ".", flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(Some(file)),
        // open(2): no O_TMPFILE on this file system, or nothing may be written here. Then nothing is known of its clock.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::ROFS | Errno::ACCESS) => {
            Ok(None)
        }
        Err(Errno::NOSPC | Errno::DQUOT) => Ok(None),
        Err(errno) => Err(Error::system("open", path, errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::path::RelPath;

    #[test]
    fn a_ctime_of_the_tick_that_was_current_before_the_stats_is_racy() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        let entry = root.entry(&RelPath::ROOT).unwrap().unwrap();
        let at = entry.ctime_ns;
        let is_racy = |ticks| {
            let clock = Clock {
                ticks,
                shows_stores: true,
            };
            clock.is_racy(&entry)
        };
        assert!(!is_racy(Ticks::Coarse(at + 1)));
        assert!(is_racy(Ticks::Coarse(at)));
        assert!(is_racy(Ticks::Coarse(at - 1)));
        assert!(!is_racy(Ticks::Multigrain));
        assert!(is_racy(Ticks::Unknown));
    }

    #[test]
    fn where_stores_are_silent_no_file_is_proven_and_everything_else_is() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("f"), b"0").unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        let entry = |path: &RelPath| root.entry(path).unwrap().unwrap();
        let silent = Clock {
            ticks: Ticks::Multigrain,
            shows_stores: false,
        };
        assert!(silent.is_racy(&entry(&RelPath::new("f").unwrap())));
        assert!(!silent.is_racy(&entry(&RelPath::ROOT)));
    }

    #[test]
    fn after_a_tick_no_new_inode_has_a_ctime_of_before() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        let ctime = |name: &str| {
            std::fs::write(directory.path().join(name), name).unwrap();
            let path = RelPath::new(name).unwrap();
            root.entry(&path).unwrap().unwrap().ctime_ns
        };
        let mut equal_without = 0;
        for round in 0..200 {
            let before = ctime(&format!("before{round}"));
            equal_without += usize::from(ctime(&format!("at once{round}")) <= before);
            let before = ctime(&format!("again{round}"));
            pass_a_tick(&root).unwrap();
            assert!(ctime(&format!("after{round}")) > before, "round {round}");
        }
        // The test can fail.
        assert!(equal_without > 0);
    }

    #[test]
    fn what_the_probe_says_holds_for_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        let clock = Clock::of(&root).unwrap();
        let (file, path) = (directory.path().join("f"), RelPath::new("f").unwrap());
        std::fs::write(&file, b"0").unwrap();
        let mut before = root.entry(&path).unwrap().unwrap();
        before.racy = clock.is_racy(&before);
        for round in 0..1000 {
            std::fs::write(&file, format!("{}", round % 10)).unwrap();
            let mut now = root.entry(&path).unwrap().unwrap();
            assert!(!before.is_untouched(&now), "round {round}");
            // A later file of a coarse tick is as racy as this one: the tick may only have gone on.
            now.racy = clock.is_racy(&now);
            before = now;
        }
    }
}
