//! Copying the content of one file.

use std::os::fd::BorrowedFd;

use rustix::buffer::spare_capacity;
use rustix::fs::{self, SeekFrom};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::path::RelPath;

const CHUNK: usize = 1 << 20;
const BUFFER: usize = 64 << 10;

/// Copies all of `from` to an empty file; holes stay holes. Returns the bytes of the copy.
///
/// What is read is what counts: a file may grow or shrink meanwhile.
pub(crate) fn copy_data(from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &RelPath) -> Result<u64> {
    let stat = fs::fstat(from).during("fstat", path)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let allocated = u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(512);
    if allocated < size {
        return copy_sparse(from, to, size, path);
    }
    copy_rest(from, to, path)
}

fn copy_rest(from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &RelPath) -> Result<u64> {
    let mut copied = 0;
    loop {
        match fs::copy_file_range(from, None, to, None, CHUNK) {
            // Nothing: the end, or a file like those of procfs, whose size says 0. Reading tells.
            Ok(0) => break,
            Ok(count) => copied += count as u64,
            Err(Errno::INTR) => {}
            // copy_file_range(2): not between these two files.
            Err(
                Errno::XDEV
                | Errno::INVAL
                | Errno::NOSYS
                | Errno::OPNOTSUPP
                | Errno::PERM
                | Errno::TXTBSY,
            ) => break,
            Err(errno) => return Err(errno).during("copy_file_range", path),
        }
    }
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        let count = match rustix::io::read(from, spare_capacity(&mut buffer)) {
            Ok(0) => return Ok(copied),
            Err(Errno::INTR) => continue,
            result => result.during("read", path)?,
        };
        write_all(to, &buffer, path)?;
        copied += count as u64;
    }
}

fn write_all(to: BorrowedFd<'_>, mut data: &[u8], path: &RelPath) -> Result<()> {
    while !data.is_empty() {
        match rustix::io::write(to, data) {
            Err(Errno::INTR) => {}
            result => data = &data[result.during("write", path)?..],
        }
    }
    Ok(())
}

fn copy_sparse(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64, path: &RelPath) -> Result<u64> {
    let mut at = 0;
    loop {
        let start = match fs::seek(from, SeekFrom::Data(at)) {
            // lseek(2): ENXIO means that there is no more data.
            Err(Errno::NXIO) => break,
            result => result.during("lseek", path)?,
        };
        let end = fs::seek(from, SeekFrom::Hole(start)).during("lseek", path)?;
        at = copy_range(from, to, start, end, path)?;
        if at < end {
            // The file shrank.
            break;
        }
    }
    let size = size.max(at);
    fs::ftruncate(to, size).during("ftruncate", path)?;
    Ok(size)
}

fn copy_range(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    start: u64,
    end: u64,
    path: &RelPath,
) -> Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut at = start;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER);
        let count = match rustix::io::pread(from, &mut buffer[..wanted], at) {
            Ok(0) => break,
            Err(Errno::INTR) => continue,
            result => result.during("pread", path)?,
        };
        let mut written = 0;
        while written < count {
            match rustix::io::pwrite(to, &buffer[written..count], at + written as u64) {
                Err(Errno::INTR) => {}
                result => written += result.during("pwrite", path)?,
            }
        }
        at += count as u64;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn holes_stay_holes() {
        let mut from = tempfile::tempfile().unwrap();
        let mut to = tempfile::tempfile().unwrap();
        from.seek(std::io::SeekFrom::Start(64 << 20)).unwrap();
        from.write_all(b"data").unwrap();
        from.set_len(128 << 20).unwrap();
        from.rewind().unwrap();
        let size = copy_data(from.as_fd(), to.as_fd(), &RelPath::ROOT).unwrap();
        assert_eq!(size, 128 << 20);
        let stat = to.metadata().unwrap();
        assert_eq!(stat.len(), 128 << 20);
        assert!(stat.blocks() * 512 < 1 << 20);
        let mut word = [0; 4];
        to.seek(std::io::SeekFrom::Start(64 << 20)).unwrap();
        to.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"data");
    }

    #[test]
    fn a_file_that_claims_to_be_empty_is_read() {
        let from = std::fs::File::open("/proc/self/status").unwrap();
        let to = tempfile::tempfile().unwrap();
        let size = copy_data(from.as_fd(), to.as_fd(), &RelPath::ROOT).unwrap();
        assert!(size > 0);
        assert_eq!(to.metadata().unwrap().len(), size);
    }
}
