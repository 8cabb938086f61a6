//! The index of an overlay: which inodes with several names in the lower layer are copied up.
//!
//! What one name of such an inode is copied up for, all names show, and nothing need appear in the upper directory under
//! the name that is used: setxattr(2) on a file whose inode was copied up before, when another name of it was removed,
//! writes to the inode in the index (fs/overlayfs/xattrs.c). So each inode in the index is one that may have changed.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, Mode, OFlags};

use crate::descent::names;
use crate::error::{Context, Error, Result};
use crate::handle::{Handle, open};
use crate::path::RelPath;

/// `struct ovl_fb` (fs/overlayfs/overlayfs.h): version, magic number, length, flags, type of the handle, UUID, handle.
const VERSION: u8 = 0;
const MAGIC: u8 = 0xfb;
const TYPE_AT: usize = 4;
const HANDLE_AT: usize = 21;

/// overlayfs works in the same directory: `#` and a number, for the whiteout that it links from and for what is on its
/// way to another place (ovl_lookup_temp()).
const TEMPORARY: u8 = b'#';

/// The directory of the index, and what its entries were found to stand for. They are named after their inode, so that
/// stays.
#[derive(Debug)]
pub(super) struct Index {
    known: HashMap<Vec<u8>, u64>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            known: HashMap::new(),
        }
    }

    /// The numbers of all inodes that are in the index now. `directory` is the index, `lower` any directory of the lower
    /// layer, which nobody writes to: so none of its handles is stale.
    pub(super) fn inodes(
        &mut self,
        directory: BorrowedFd<'_>,
        lower: BorrowedFd<'_>,
    ) -> Result<Vec<u64>> {
        // Not a duplicate, which would share its offset with whoever reads next.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::openat(directory, ".", flags, Mode::empty()).during("openat", "")?;
        let mut inodes = Vec::new();
        for name in names(directory.as_fd(), &RelPath::ROOT)? {
            if name.first() == Some(&TEMPORARY) {
                continue;
            }
            let ino = match self.known.get(&name) {
                Some(&ino) => ino,
                None => {
                    let ino = number(&open_lower(&name, lower)?)?;
                    self.known.insert(name, ino);
                    ino
                }
            };
            inodes.push(ino);
        }
        Ok(inodes)
    }
}

fn number(file: &OwnedFd) -> Result<u64> {
    Ok(fs::fstat(file).during("fstat", "")?.st_ino)
}

fn open_lower(name: &[u8], lower: BorrowedFd<'_>) -> Result<OwnedFd> {
    let unknown = || {
        Error::refused(
            name,
            "an entry of an overlay's index that is not known here",
        )
    };
    let bytes = decoded(name).ok_or_else(unknown)?;
    let (Some(&[VERSION, MAGIC]), Some(&kind), Some(handle)) = (
        bytes.first_chunk(),
        bytes.get(TYPE_AT),
        bytes.get(HANDLE_AT..),
    ) else {
        return Err(unknown());
    };
    // The kernel counts a handle in words of four bytes (ovl_decode_real_fh()).
    let whole = handle.len() / 4 * 4;
    let handle = Handle {
        kind: kind.into(),
        bytes: &handle[..whole],
    };
    open(lower, handle)
}

/// From hexadecimal.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    text.chunks(2)
        .map(|pair| match *pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_entry_of_an_index_is_refused() {
        let directory = std::fs::File::open("/").unwrap();
        for name in [
            "",
            "00",
            "00fb0",
            "work",
            "01fb1d0001",
            &"00fb1d0001".repeat(2),
        ] {
            let error = open_lower(name.as_bytes(), directory.as_fd()).unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{name}: {error:?}");
        }
    }
}
