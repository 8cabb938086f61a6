//! SHA-256 of file content.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs;
use rustix::io::Errno;
use sha2::{Digest, Sha256 as Hasher};

use crate::entry::{Kind, Sha256};
use crate::error::{Context, Error, Result};
use crate::opening::open_quietly;
use crate::path::RelPath;

/// 128 KiB: a larger buffer reads no faster and leaves the cache.
const BUFFER: usize = 128 << 10;

/// Opens the regular file `name` in an open directory for reading, no link followed, its atime left alone where allowed.
/// `path` is for messages. Anything but a regular file is refused.
pub fn open_file(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<OwnedFd> {
    let file = open_quietly(directory, name, path)?;
    let mode = fs::fstat(&file).during("fstat", path)?.st_mode;
    if Kind::from_mode(mode) == Some(Kind::File) {
        Ok(file)
    } else {
        Err(Error::refused(path, "not a regular file"))
    }
}

/// Digest and length in bytes of what is left to read of `file`. `path` is for messages.
///
/// `size` is how much that should be, by a stat: a read that ends short of its buffer, and there, was the last one. Any
/// other file, one that grew or shrank or whose size says 0 as in procfs, is read until there is no more.
///
/// `buffer` is scratch space for many calls: a new one of this size is a mapping of its own, whose pages cost more than the
/// digest of a small file.
pub fn hash_rest(
    file: impl AsFd,
    size: u64,
    path: &RelPath,
    buffer: &mut Vec<u8>,
) -> Result<(Sha256, u64)> {
    let mut hasher = Hasher::new();
    buffer.resize(BUFFER, 0);
    let mut hashed = 0;
    loop {
        match rustix::io::read(&file, &mut *buffer) {
            Ok(length) => {
                hasher.update(&buffer[..length]);
                hashed += length as u64;
                if length == 0 || (length < BUFFER && hashed == size) {
                    return Ok((hasher.finalize().into(), hashed));
                }
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("read", path, errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_whole_content_across_buffers() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..BUFFER * 2 + 1).map(|index| index as u8).collect();
        std::io::Write::write_all(&mut file, &content).unwrap();
        let expected: Sha256 = Hasher::digest(&content).into();
        let length = content.len() as u64;
        // Also of a file that grew or shrank since it was looked at, to the end of a buffer too.
        for size in [length, 0, 1, BUFFER as u64, 2 * BUFFER as u64, length + 1] {
            std::io::Seek::rewind(&mut file).unwrap();
            let hashed = hash_rest(&file, size, &RelPath::ROOT, &mut Vec::new());
            assert_eq!(hashed.unwrap(), (expected, length), "{size}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_never_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let at = std::fs::File::open(directory.path()).unwrap();
        let path = RelPath::new("p").unwrap();
        fs::mknodat(&at, "p", rustix::fs::FileType::Fifo, fs::Mode::RUSR, 0).unwrap();
        assert!(matches!(
            open_file(at.as_fd(), b"p", &path),
            Err(Error::Refused { .. })
        ));
    }
}
