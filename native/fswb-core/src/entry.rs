//! One entry of a root file system, as the baseline records it.

use rustix::fs::{Statx, StatxFlags, StatxTimestamp};

/// SHA-256 of a file's content.
pub type Sha256 = [u8; 32];

/// What an entry is. Sockets are no entries: an image cannot hold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    File = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A named pipe.
    Fifo = 4,
    /// A character device.
    CharDevice = 5,
    /// A block device.
    BlockDevice = 6,
}

impl Kind {
    /// From the type bits of `st_mode`; `None` for a socket.
    pub fn from_mode(mode: u32) -> Option<Self> {
        match mode & libc::S_IFMT {
            libc::S_IFREG => Some(Self::File),
            libc::S_IFDIR => Some(Self::Directory),
            libc::S_IFLNK => Some(Self::Symlink),
            libc::S_IFIFO => Some(Self::Fifo),
            libc::S_IFCHR => Some(Self::CharDevice),
            libc::S_IFBLK => Some(Self::BlockDevice),
            _ => None,
        }
    }
}

/// Extended attributes by name, sorted bytewise.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Device and inode number: what tells inodes apart at one moment.
pub type Inode = (u64, u64);

/// Metadata of one entry.
///
/// The first part counts: a difference there is a change. The second part is evidence: equal evidence proves that
/// nothing was touched (see [`crate::clock`]), different evidence proves nothing and sends us to look at the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number (`makedev`), 0 unless it is a device.
    pub rdev: u64,
    /// Bytes of a regular file; 0 for everything else.
    pub size: u64,
    /// Time of modification, in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Target of a symbolic link, else empty.
    pub target: Vec<u8>,
    /// Extended attributes, without those that belong to the host's drivers (`trusted.overlay.*`, `user.overlay.*`,
    /// `btrfs.*`) and to its security modules (`security.selinux`, `security.ima`, `security.evm`), and without `system.nfs4_acl`.
    pub xattrs: Xattrs,
    /// Content of a regular file, if it was read.
    pub sha256: Option<Sha256>,

    /// Time of the last change of the inode, in nanoseconds. No call can set it.
    pub ctime_ns: i64,
    /// Time of birth, in nanoseconds; 0 where the file system has none.
    pub btime_ns: i64,
    /// Device of the file system it is on (`makedev`). Not stable across remounts: for telling inodes apart, no more.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Number of names of the inode.
    pub nlink: u32,
    /// The evidence was taken too close to the last write to prove anything: never equal on stat alone.
    pub racy: bool,
}

/// What `statx` is asked for.
pub const STATX_WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

impl Entry {
    /// From `statx`; `None` for a socket. Target, xattrs and digest are left empty, `racy` false.
    pub fn from_statx(stat: &Statx) -> Option<Self> {
        let kind = Kind::from_mode(stat.stx_mode.into())?;
        let device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        let time = |stamp: StatxTimestamp| {
            if is_stand_in(stat, kind) {
                0
            } else {
                nanoseconds(stamp.tv_sec, stamp.tv_nsec)
            }
        };
        Some(Self {
            kind,
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            rdev: if device {
                libc::makedev(stat.stx_rdev_major, stat.stx_rdev_minor)
            } else {
                0
            },
            size: if kind == Kind::File { stat.stx_size } else { 0 },
            mtime_ns: time(stat.stx_mtime),
            target: Vec::new(),
            xattrs: Vec::new(),
            sha256: None,
            ctime_ns: time(stat.stx_ctime),
            btime_ns: time(stat.stx_btime),
            dev: libc::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            nlink: stat.stx_nlink,
            racy: false,
        })
    }

    /// Which inode it is.
    pub fn inode(&self) -> Inode {
        (self.dev, self.ino)
    }

    /// Whether other names may lead to the same inode. (A directory's links are its own `.` and `..`.)
    pub fn is_shared(&self) -> bool {
        self.nlink > 1 && self.kind != Kind::Directory
    }

    /// Whether the stat evidence proves that `self` and `now` are one untouched inode. (`dev` is left out: see there.)
    pub fn is_untouched(&self, now: &Self) -> bool {
        !self.racy && self.looks_untouched(now)
    }

    /// Whether stat shows no difference, which need not prove that there is none.
    pub fn looks_untouched(&self, now: &Self) -> bool {
        self.ino == now.ino
            && self.ctime_ns == now.ctime_ns
            && self.btime_ns == now.btime_ns
            && self.kind == now.kind
            && self.size == now.size
            && self.mtime_ns == now.mtime_ns
            && self.mode == now.mode
            && self.uid == now.uid
            && self.gid == now.gid
            && self.nlink == now.nlink
    }
}

/// Whether it stands in for a subvolume of btrfs that lay in what a snapshot was taken of: an empty directory with inode 2,
/// made anew at each look and stamped with the time of that (fs/btrfs/inode.c, `new_simple_dir`; tests/kernel/test_stat.py).
/// Its times are nobody's. Nothing tells of what kind the file system is: one under FUSE that shows such a directory, of one
/// time and no birth, is taken for it.
fn is_stand_in(stat: &Statx, kind: Kind) -> bool {
    let is_alone = (stat.stx_ino, stat.stx_nlink, stat.stx_size) == (2, 1, 0);
    let (modified, changed) = (stat.stx_mtime, stat.stx_ctime);
    kind == Kind::Directory
        && is_alone
        && (modified.tv_sec, modified.tv_nsec) == (changed.tv_sec, changed.tv_nsec)
        && !StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME)
}

/// Seconds and nanoseconds as one number, clamped to what an `i64` holds (the years 1677 to 2262).
pub fn nanoseconds(seconds: i64, nanos: u32) -> i64 {
    let exact = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    exact.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn times_beyond_what_the_index_holds_are_all_one() {
        assert_eq!(nanoseconds(-1, 5), -999_999_995);
        assert_eq!(nanoseconds(i64::MIN, 999_999_999), i64::MIN);
        assert_eq!(nanoseconds(-10_000_000_000, 5), i64::MIN);
        assert_eq!(nanoseconds(10_000_000_000, 0), i64::MAX);
        assert_eq!(nanoseconds(9_223_372_036, 854_775_806), i64::MAX - 1);
    }
}
