//! Two entries change places.

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::{Context, Result};

/// Afterwards each of two paths of the host has what the other had, at once (renameat2(2), `RENAME_EXCHANGE`).
///
/// `EINVAL` and `ENOSYS`: the file system, or the kernel, cannot.
pub fn exchange(one: &[u8], other: &[u8]) -> Result<()> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).during("renameat2", one)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn each_has_the_others_name_whatever_it_is() {
        let place = tempfile::tempdir().unwrap();
        let (directory, file) = (place.path().join("d"), place.path().join("f"));
        fs::create_dir_all(directory.join("below")).unwrap();
        fs::write(&file, "text").unwrap();
        let (one, other) = (
            directory.as_os_str().as_bytes(),
            file.as_os_str().as_bytes(),
        );
        exchange(one, other).unwrap();
        assert_eq!(fs::read_to_string(&directory).unwrap(), "text");
        assert!(file.join("below").is_dir());
        fs::remove_file(&directory).unwrap();
        let absent = exchange(one, other).unwrap_err();
        assert!(absent.is_absent());
        assert!(file.join("below").is_dir());
    }
}
