//! File handles, as far as they tell an inode number.
//!
//! A handle is opaque by contract, but each file system writes the inode number into it, and the layouts are known to the
//! kernel's own decoders and thereby fixed: handles outlive a reboot (NFS). Nobody need trust that: [`crate::fanotify::Marked::arm`]
//! compares the numbers decoded from handles with those of stat before it relies on them. So nothing has to be opened
//! by its handle, which needs CAP_DAC_READ_SEARCH; that is done to spare a command events ([`open`]), or not done.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::FileType;

use crate::error::{Context, Error, Result};
use crate::path::RelPath;

/// A file handle: its type and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle<'a> {
    pub(crate) kind: i32,
    pub(crate) bytes: &'a [u8],
}

/// What a handle tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Inode {
    pub(crate) ino: u64,
    /// The subvolume of btrfs, which numbers its inodes by itself; 0 elsewhere.
    pub(crate) subvolume: u64,
}

// include/linux/exportfs.h, in 6.18.
const FILEID_INO32_GEN: i32 = 1;
const FILEID_INO64_GEN: i32 = 0x81;
const FILEID_BTRFS_WITHOUT_PARENT: i32 = 0x4d;

impl Handle<'_> {
    /// `None` if the layout is not known.
    pub(crate) fn inode(self) -> Option<Inode> {
        let plain = |ino| Inode { ino, subvolume: 0 };
        match (self.kind, self.bytes.len()) {
            // ext4, f2fs, xfs with small numbers: number, generation. generic_encode_ino32_fh().
            (FILEID_INO32_GEN, 8) => Some(plain(self.u32_at(0)?.into())),
            // tmpfs: generation, low and high half of the number. shmem_encode_fh().
            (FILEID_INO32_GEN, 12) => {
                let (low, high) = (self.u32_at(4)?, self.u32_at(8)?);
                Some(plain(u64::from(high) << 32 | u64::from(low)))
            }
            // xfs, and whatever has no encoder of its own: number, generation. exportfs_encode_ino64_fid().
            (FILEID_INO64_GEN, 12) => Some(plain(self.u64_at(0)?)),
            // btrfs: number, number of the subvolume's tree, generation. btrfs_encode_fh().
            (FILEID_BTRFS_WITHOUT_PARENT, 20) => Some(Inode {
                ino: self.u64_at(0)?,
                subvolume: self.u64_at(8)?,
            }),
            _ => None,
        }
    }

    /// What tells one inode from another that had its number before; `None` if the layout is not known.
    pub(crate) fn generation(self) -> Option<u32> {
        match (self.kind, self.bytes.len()) {
            (FILEID_INO32_GEN, 8) => self.u32_at(4),
            (FILEID_INO32_GEN, 12) => self.u32_at(0),
            (FILEID_INO64_GEN, 12) => self.u32_at(8),
            (FILEID_BTRFS_WITHOUT_PARENT, 20) => self.u32_at(16),
            _ => None,
        }
    }

    fn u32_at(self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn u64_at(self, at: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at + 8)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }
}

/// `MAX_HANDLE_SZ` of open_by_handle_at(2).
const LARGEST: usize = 128;

#[repr(C)]
struct Encoded {
    length: u32,
    kind: i32,
    bytes: [u8; LARGEST],
}

/// Asks the file system for the handle of an open file and checks what is read from it against stat.
///
/// `Error::Refused` if the layout is not known or means something else here.
pub(crate) fn inode_of(file: BorrowedFd<'_>, path: &RelPath) -> Result<Inode> {
    let mut encoded = Encoded {
        length: LARGEST as u32,
        kind: 0,
        bytes: [0; LARGEST],
    };
    let mut mount: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed for the call, the name is a C string, `encoded` is a struct file_handle with room
    // for `length` bytes and `mount` an int; the kernel writes to nothing else.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_fd().as_raw_fd(),
            c"".as_ptr(),
            &raw mut encoded,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    if result < 0 {
        return Err(std::io::Error::last_os_error()).during("name_to_handle_at", path);
    }
    let handle = Handle {
        kind: encoded.kind,
        bytes: encoded
            .bytes
            .get(..encoded.length as usize)
            .unwrap_or_default(),
    };
    let known = rustix::fs::fstat(file).during("fstat", path)?.st_ino;
    let told = handle.inode().filter(|told| told.ino == known);
    told.ok_or_else(|| {
        let (kind, length) = (encoded.kind, encoded.length);
        let reason = format!(
            "file handles are of a kind that is not known here (type {kind}, {length} bytes)"
        );
        Error::refused(path, reason)
    })
}

/// Opens what a handle stands for, with `O_PATH`, by a descriptor of any directory on its file system.
///
/// Needs CAP_DAC_READ_SEARCH; `ESTALE` if it is gone.
pub(crate) fn open(mount: BorrowedFd<'_>, handle: Handle<'_>) -> Result<OwnedFd> {
    let mut encoded = Encoded {
        length: handle.bytes.len() as u32,
        kind: handle.kind,
        bytes: [0; LARGEST],
    };
    let bytes = encoded.bytes.get_mut(..handle.bytes.len());
    let bytes = bytes.ok_or_else(|| Error::refused("", "the file handle is too long"))?;
    bytes.copy_from_slice(handle.bytes);
    // SAFETY: the descriptor is borrowed for the call, and `encoded` is a struct file_handle with `length` bytes.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw const encoded,
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error()).during("open_by_handle_at", "");
    }
    // SAFETY: the call has just returned this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// As [`open`], if it is a regular file with this number; else `Error::Refused`.
pub(crate) fn open_file(mount: BorrowedFd<'_>, handle: Handle<'_>, told: Inode) -> Result<OwnedFd> {
    let file = open(mount, handle)?;
    let stat = rustix::fs::fstat(&file).during("fstat", "")?;
    if stat.st_ino != told.ino || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::refused("", "it is no regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(kind: i32, bytes: &[u8]) -> Option<(u64, u64)> {
        let told = Handle { kind, bytes }.inode()?;
        Some((told.ino, told.subvolume))
    }

    #[test]
    fn each_known_layout_tells_the_inode_number() {
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_ne_bytes()).collect()
        };
        let wide = |numbers: &[u64]| -> Vec<u8> {
            let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
            bytes.extend(7_u32.to_ne_bytes());
            bytes
        };
        assert_eq!(inode(1, &words(&[42, 7])), Some((42, 0)));
        assert_eq!(inode(1, &words(&[7, 42, 1])), Some((1 << 32 | 42, 0)));
        assert_eq!(inode(0x81, &wide(&[1 << 40])), Some((1 << 40, 0)));
        assert_eq!(inode(0x4d, &wide(&[257, 5])), Some((257, 5)));
        for (kind, length) in [
            (1, 4),
            (1, 16),
            (0x81, 8),
            (0x82, 24),
            (0xf8, 29),
            (0xff, 0),
        ] {
            assert_eq!(inode(kind, &vec![1; length]), None, "{kind} {length}");
        }
    }

    #[test]
    fn a_handle_of_a_real_directory_tells_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let opened = std::fs::File::open(directory.path()).unwrap();
        let told = inode_of(opened.as_fd(), &RelPath::ROOT).unwrap();
        let stat = rustix::fs::fstat(&opened).unwrap();
        assert_eq!(told.ino, stat.st_ino);
    }
}
