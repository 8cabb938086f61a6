//! Which mounted file system a directory is on.
//!
//! A device number does not say that: what is mounted on the device next has it, too. The same loop device holds another
//! image then, or the same one, which somebody has written to or taken back to a snapshot: equal stats, other contents.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{self, FsWord};
use sha2::{Digest, Sha256 as Hasher};

use crate::entry::Sha256;
use crate::root::Root;

/// Of ext2 and ext3, too. linux/magic.h has all three.
const EXT4: FsWord = 0xef53;
const XFS: FsWord = 0x5846_5342;
const BTRFS: FsWord = 0x9123_683e;

/// Equal for directories of one file system (of btrfs: of one subvolume) that stays mounted in between; of one boot.
///
/// `None` where the kernel does not tell, and for every kind of file system but ext4, xfs and btrfs.
pub fn identity(root: &Root) -> Option<Sha256> {
    let fd = root.fd();
    let device = fs::fstat(fd).ok()?.st_dev;
    // Their directories for this file system, made when it is mounted and removed when it is not any more.
    let shown = match fs::fstatfs(fd).ok()?.f_type {
        EXT4 => Path::new("/sys/fs/ext4").join(block_device(device)?),
        XFS => Path::new("/sys/fs/xfs").join(block_device(device)?),
        BTRFS => Path::new("/sys/fs/btrfs").join(btrfs_uuid(fd)?),
        _ => return None,
    };
    // sysfs counts inode numbers up and gives none twice in a boot (kernel, kernfs_new_node: `idr_alloc_cyclic`, whose
    // wraps are counted, too).
    let mount = fs::stat(shown).ok()?.st_ino;
    // Of btrfs the number of the subvolume is in it. A subvolume's device number is given to another when it has gone.
    let part = fs::fstatvfs(fd).ok()?.f_fsid;
    let mut hasher = Hasher::new();
    for number in [device, mount, part] {
        hasher.update(number.to_le_bytes());
    }
    hasher.update(std::fs::read("/proc/sys/kernel/random/boot_id").ok()?);
    Some(hasher.finalize().into())
}

/// The kernel's name for it.
fn block_device(device: u64) -> Option<OsString> {
    let (major, minor) = (fs::major(device), fs::minor(device));
    let link = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    link.file_name().map(Into::into)
}

/// As sysfs spells it.
fn btrfs_uuid(fd: BorrowedFd<'_>) -> Option<String> {
    /// linux/btrfs.h: `_IOR(0x94, 31, struct btrfs_ioctl_fs_info_args)`, which is 1024 bytes long.
    const BTRFS_IOC_FS_INFO: libc::Ioctl = 0x8400_941f_u32 as libc::Ioctl;
    /// Behind two numbers of 64 bits.
    const UUID: std::ops::Range<usize> = 16..32;
    let mut info = [0_u64; 128];
    // SAFETY: the descriptor is open, and the buffer as large as the call says it is, and aligned.
    if unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), BTRFS_IOC_FS_INFO, info.as_mut_ptr()) } != 0 {
        return None;
    }
    let bytes: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut spelled = String::new();
    for (index, byte) in bytes[UUID].iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            spelled.push('-');
        }
        spelled.push_str(&format!("{byte:02x}"));
    }
    Some(spelled)
}
