//! Extended attributes of what is in a root file system (xattr(7)).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs;
use rustix::io::Errno;

use crate::entry::Xattrs;
use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::c_string;

/// Attributes that belong to the host and its drivers, never to an image.
pub(crate) fn is_host_attribute(name: &[u8]) -> bool {
    // The last are another face of inode flags: chattr +c sets one, files inherit it, and no event tells.
    const PREFIXES: [&[u8]; 3] = [b"trusted.overlay.", b"user.overlay.", b"btrfs."];
    // The last is how an NFS 4 client tells the mode and the ACL that the server has.
    const NAMES: [&[u8]; 4] = [
        b"security.selinux",
        b"security.ima",
        b"security.evm",
        b"system.nfs4_acl",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// xfs, btrfs and tmpfs keep any number of attributes; listxattr(2) fails with E2BIG beyond XATTR_LIST_MAX, for everybody.
const UNLISTABLE: &str = "the names of its extended attributes take more than 64 KiB, and the kernel lists no more: no \
                          program can copy them. Remove some by their names (setfattr -x)";

/// Whether any file system takes it: limits.h, XATTR_NAME_MAX and XATTR_SIZE_MAX.
pub(crate) fn is_holdable_attribute(name: &[u8], value: &[u8]) -> bool {
    name.len() <= 255 && value.len() <= 65_536
}

/// The extended attributes of `name` in an open directory, sorted. Never follows a link.
pub(crate) fn read_xattrs(
    directory: BorrowedFd<'_>,
    name: &[u8],
    path: &RelPath,
) -> Result<Xattrs> {
    // There is no *at form before Linux 6.13: /proc/self/fd/N/NAME reaches the entry without resolving its path anew.
    let mut link = format!("/proc/self/fd/{}", directory.as_raw_fd()).into_bytes();
    if !name.is_empty() {
        link.push(b'/');
        link.extend_from_slice(name);
    }
    let link = c_string(&link)?;
    let link = link.as_c_str();
    if name.is_empty() {
        let calls = ("listxattr", "getxattr");
        let list = |names: &mut [u8]| fs::listxattr(link, names);
        xattrs(
            calls,
            list,
            |key, value| fs::getxattr(link, key, value),
            path,
        )
    } else {
        let calls = ("llistxattr", "lgetxattr");
        let list = |names: &mut [u8]| fs::llistxattr(link, names);
        xattrs(
            calls,
            list,
            |key, value| fs::lgetxattr(link, key, value),
            path,
        )
    }
}

/// Those of a file that is open for reading, sorted.
pub(crate) fn xattrs_of_open(file: BorrowedFd<'_>, path: &RelPath) -> Result<Xattrs> {
    let calls = ("flistxattr", "fgetxattr");
    let list = |names: &mut [u8]| fs::flistxattr(file, names);
    xattrs(
        calls,
        list,
        |key, value| fs::fgetxattr(file, key, value),
        path,
    )
}

/// `calls`: what `list` and `get` are called in an error.
fn xattrs(
    calls: (&'static str, &'static str),
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&CStr, &mut [u8]) -> rustix::io::Result<usize>,
    path: &RelPath,
) -> Result<Xattrs> {
    let names = match whole(list) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(Errno::TOOBIG) => return Err(Error::refused(path, UNLISTABLE)),
        names => names.during(calls.0, path)?,
    };
    let mut attributes = Xattrs::new();
    for attribute in names
        .split(|&byte| byte == 0)
        .filter(|n| !n.is_empty() && !is_host_attribute(n))
    {
        let key = c_string(attribute)?;
        let value = whole(|value| get(key.as_c_str(), value)).during(calls.1, path)?;
        attributes.push((attribute.to_vec(), value));
    }
    attributes.sort();
    Ok(attributes)
}

/// What a call writes into a buffer that is large enough for it.
fn whole(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0_u8; 256];
    loop {
        match read(&mut buffer) {
            Err(Errno::RANGE) => buffer.resize(buffer.len() * 2, 0),
            length => {
                buffer.truncate(length?);
                return Ok(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{CWD, Mode, OFlags};

    use super::*;

    #[test]
    fn an_error_names_the_call_that_failed() {
        let directory = tempfile::tempdir().unwrap();
        // A descriptor that stands for a place, and is not open, has no attributes to ask for (open(2), O_PATH).
        let place = fs::openat(CWD, directory.path(), OFlags::PATH, Mode::empty()).unwrap();
        let failed = |result: Result<Xattrs>| match result {
            Err(Error::System { operation, .. }) => operation,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            failed(xattrs_of_open(place.as_fd(), &RelPath::ROOT)),
            "flistxattr"
        );
        assert_eq!(
            failed(read_xattrs(place.as_fd(), b"missing", &RelPath::ROOT)),
            "llistxattr"
        );
    }

    #[test]
    fn what_the_host_and_its_drivers_add_is_told_from_what_users_set() {
        for name in [
            "security.ima",
            "trusted.overlay.opaque",
            "system.nfs4_acl",
            "btrfs.compression",
        ] {
            assert!(is_host_attribute(name.as_bytes()), "{name}");
        }
        for name in [
            "security.capability",
            "system.posix_acl_access",
            "user.overlay",
        ] {
            assert!(!is_host_attribute(name.as_bytes()), "{name}");
        }
    }
}
