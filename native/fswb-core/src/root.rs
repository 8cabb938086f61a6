//! An open root directory. Every path is resolved inside it, whatever links an image has planted.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::entry::{Entry, Kind, STATX_WANTED};
use crate::error::{Context, Error, Result, present};
use crate::opening::past_leases;
use crate::overlay::Layers;
use crate::path::RelPath;
use crate::xattrs::read_xattrs;

/// An open directory and a name in it; `None` for the root, which is in no directory of ours.
pub type Place = Option<(OwnedFd, Vec<u8>)>;

/// A root file system, opened once. The directory behind it cannot be swapped by renaming or mounting at its path.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: Vec<u8>,
    layers: Option<Layers>,
    abandoned: AtomicBool,
}

/// Never a controlling terminal, never inherited by a RUN. (openat2(2) takes no `O_NOCTTY` beside `O_PATH`.)
fn quiet(flags: OFlags) -> OFlags {
    let terminal = if flags.contains(OFlags::PATH) {
        OFlags::empty()
    } else {
        OFlags::NOCTTY
    };
    flags | OFlags::CLOEXEC | terminal
}

impl Root {
    /// Opens a directory as root. Its own path may hold links: it is the user's, not the image's.
    pub fn open(path: &[u8]) -> Result<Self> {
        let name = c_string(path)?;
        let flags = quiet(OFlags::RDONLY | OFlags::DIRECTORY);
        let fd = fs::open(name.as_c_str(), flags, Mode::empty()).during("open", path)?;
        Ok(Self {
            fd,
            path: path.to_vec(),
            layers: None,
            abandoned: AtomicBool::new(false),
        })
    }

    /// The root of a mount that is mounted nowhere: it lives as long as this does.
    pub(crate) fn of_mount(mount: BorrowedFd<'_>) -> Result<Self> {
        let flags = quiet(OFlags::RDONLY | OFlags::DIRECTORY);
        let fd = fs::openat(mount, ".", flags, Mode::empty()).during("openat", "")?;
        Ok(Self {
            fd,
            path: Vec::new(),
            layers: None,
            abandoned: AtomicBool::new(false),
        })
    }

    /// The merged view of an overlay, which has no path in the file system: the one of its descriptor leads there, for
    /// this process and as long as it is open.
    pub(crate) fn merged(fd: OwnedFd, layers: Layers) -> Self {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes();
        Self {
            fd,
            path,
            layers: Some(layers),
            abandoned: AtomicBool::new(false),
        }
    }

    /// Nobody wants to know of it any more: whoever compares it with a baseline, in another thread, ends soon, with
    /// `ECANCELED`. A file that is being read is read to its end.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// An error once it was abandoned; `path` is where that was noticed.
    pub(crate) fn check_wanted(&self, path: &RelPath) -> Result<()> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Err(Error::system("reconcile", path, Errno::CANCELED));
        }
        Ok(())
    }

    /// The layers, if this is the merged view of an overlay of our own.
    pub fn layers(&self) -> Option<&Layers> {
        self.layers.as_ref()
    }

    /// The path it was opened by: for messages, and for calls that take no descriptor.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The descriptor of the root directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens an entry by its exact path: no part of it, the last included, may be a symbolic link (`ELOOP`), and
    /// nothing leaves the root (`openat2(2)`, `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`).
    pub fn open_exact(&self, path: &RelPath, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        self.openat2(
            path,
            flags,
            mode,
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        )
    }

    /// Opens an entry as a process chrooted here would: links are followed, and clamped at the root
    /// (`RESOLVE_IN_ROOT`; magic links of a mounted /proc are refused).
    pub fn open_following(&self, path: &RelPath, flags: OFlags) -> Result<OwnedFd> {
        self.openat2(
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// Opens a directory by its exact path, to work on its entries.
    pub fn open_directory(&self, path: &RelPath) -> Result<OwnedFd> {
        self.open_exact(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    fn openat2(
        &self,
        path: &RelPath,
        flags: OFlags,
        mode: Mode,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd> {
        let name: &[u8] = if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        };
        // A path above PATH_MAX is walked in pieces.
        if name.len() >= 4096 {
            return self.open_deep(path, flags, mode, resolve);
        }
        // openat2(2): EAGAIN also means that a rename raced with a `..` of a link; another try is the cure for both.
        past_leases(path, || {
            fs::openat2(&self.fd, name, quiet(flags), mode, resolve)
        })
    }

    fn open_deep(
        &self,
        path: &RelPath,
        flags: OFlags,
        mode: Mode,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd> {
        let steps = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let (Some(parent), Some(last)) = (path.parent(), path.name()) else {
            return Err(Error::refused(path, "path too long"));
        };
        let mut at: Option<OwnedFd> = None;
        for part in parent.parts() {
            let from = at.as_ref().map_or(self.fd.as_fd(), |fd| fd.as_fd());
            at = Some(
                fs::openat2(from, part, quiet(steps), Mode::empty(), resolve)
                    .during("openat2", path)?,
            );
        }
        let from = at.as_ref().map_or(self.fd.as_fd(), |fd| fd.as_fd());
        fs::openat2(from, last, quiet(flags), mode, resolve).during("openat2", path)
    }

    /// Stats an entry by its exact path, with link target and xattrs; `None` where there is none or only a socket.
    pub fn entry(&self, path: &RelPath) -> Result<Option<Entry>> {
        match self.directory_of(path)? {
            None => Ok(None),
            Some(None) => stat_at(self.fd(), b"", path),
            Some(Some((directory, name))) => stat_at(directory.as_fd(), &name, path),
        }
    }

    /// The opened parent of `path` and its last part: `Some(None)` for the root, `None` where there is no such parent.
    pub fn directory_of(&self, path: &RelPath) -> Result<Option<Place>> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Ok(Some(None));
        };
        match self.open_exact(&parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            // A parent that became a link is no parent: what was below it is gone.
            Err(Error::System {
                errno: libc::ELOOP, ..
            }) => Ok(None),
            result => Ok(present(result)?.map(|directory| Some((directory, name.to_vec())))),
        }
    }

    /// Where `path` leads for a process chrooted here: every link followed, also in the last part, clamped at the root.
    /// What does not exist at the end is kept as it is spelled.
    pub fn resolve(&self, path: &[u8]) -> Result<RelPath> {
        resolve(path, |next| self.read_link(next))
    }

    /// The target of the link at an exact path; `None` for what is no link, or not there.
    pub(crate) fn read_link(&self, path: &RelPath) -> Result<Option<Vec<u8>>> {
        let Some(Some((directory, name))) = self.directory_of(path)? else {
            return Ok(None);
        };
        match fs::readlinkat(&directory, name.as_slice(), Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            // EINVAL: not a link.
            Err(
                rustix::io::Errno::INVAL | rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR,
            ) => Ok(None),
            Err(errno) => Err(Error::system("readlinkat", path, errno)),
        }
    }

    /// Opens a regular file for reading, links followed inside the root. Anything else is refused.
    pub fn open_file(&self, path: &RelPath) -> Result<OwnedFd> {
        // O_NONBLOCK: opening a FIFO must not wait for its writer.
        let fd = self.open_following(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let stat = fs::fstat(&fd).during("fstat", path)?;
        if Kind::from_mode(stat.st_mode) != Some(Kind::File) {
            return Err(Error::refused(path, "not a regular file"));
        }
        Ok(fd)
    }

    /// Reads a small regular file, links followed inside the root; `None` where there is none.
    ///
    /// A FIFO, a device or a file above `limit` bytes is refused: an image must not make the builder hang or swell.
    pub fn read_file(&self, path: &RelPath, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(fd) = present(self.open_file(path))? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        std::fs::File::from(fd)
            .take(limit + 1)
            .read_to_end(&mut content)
            .during("read", path)?;
        if content.len() as u64 > limit {
            return Err(Error::refused(path, format!("larger than {limit} bytes")));
        }
        Ok(Some(content))
    }
}

/// Where `path` leads below a root whose links `read_link` tells, clamped there: see [`Root::resolve`].
pub(crate) fn resolve(
    path: &[u8],
    read_link: impl Fn(&RelPath) -> Result<Option<Vec<u8>>>,
) -> Result<RelPath> {
    // path_resolution(7): the kernel gives up after 40 links.
    const MAX_LINKS: usize = 40;
    let mut links = 0;
    let mut rest: Vec<Vec<u8>> = split(path).rev().collect();
    let mut at = RelPath::ROOT;
    while let Some(part) = rest.pop() {
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                at = at.parent().unwrap_or_default();
                continue;
            }
            _ => {}
        }
        let next = at.join(&part)?;
        match read_link(&next)? {
            None => at = next,
            Some(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::system("readlink", path, rustix::io::Errno::LOOP));
                }
                if target.starts_with(b"/") {
                    at = RelPath::ROOT;
                }
                rest.extend(split(&target).rev());
            }
        }
    }
    Ok(at)
}

fn split(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|&byte| byte == b'/').map(<[u8]>::to_vec)
}

/// Stats `name` in an open directory (`""`: the directory itself), with link target and xattrs. `None` where there is
/// none or only a socket. `path` is for messages.
pub fn stat_at(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<Option<Entry>> {
    let Some(mut entry) = stat_bare(directory, name, path)? else {
        return Ok(None);
    };
    complete(directory, name, path, &mut entry)?;
    Ok(Some(entry))
}

/// Stats `name` in an open directory and nothing more: one system call.
pub fn stat_bare(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<Option<Entry>> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let stat = fs::statx(directory, name, flags, STATX_WANTED).during("statx", path);
    Ok(present(stat)?.and_then(|stat| Entry::from_statx(&stat)))
}

/// Reads what `statx` does not tell: the target of a link and the extended attributes.
pub fn complete(
    directory: BorrowedFd<'_>,
    name: &[u8],
    path: &RelPath,
    entry: &mut Entry,
) -> Result<()> {
    if entry.kind == Kind::Symlink {
        entry.target = fs::readlinkat(directory, name, Vec::new())
            .during("readlinkat", path)?
            .into_bytes();
    }
    entry.xattrs = read_xattrs(directory, name, path)?;
    Ok(())
}

/// A path as the C library wants it; one with a NUL byte is refused.
pub fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::refused(bytes, "a path cannot hold a NUL byte"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        (directory, root)
    }

    #[test]
    fn links_are_clamped_at_the_root() {
        let (directory, root) = tree();
        std::fs::create_dir_all(directory.path().join("run/inner")).unwrap();
        std::fs::create_dir(directory.path().join("var")).unwrap();
        symlink("/run", directory.path().join("var/run")).unwrap();
        symlink("../../../../run/inner", directory.path().join("up")).unwrap();
        assert_eq!(root.resolve(b"/var/run/x").unwrap().as_bytes(), b"run/x");
        assert_eq!(root.resolve(b"up/../y").unwrap().as_bytes(), b"run/y");
        assert_eq!(root.resolve(b"absent/../z").unwrap().as_bytes(), b"z");
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let (directory, root) = tree();
        symlink("b", directory.path().join("a")).unwrap();
        symlink("a", directory.path().join("b")).unwrap();
        assert!(matches!(
            root.resolve(b"a"),
            Err(Error::System {
                errno: libc::ELOOP,
                ..
            })
        ));
    }

    #[test]
    fn an_exact_path_follows_no_link() {
        let (directory, root) = tree();
        symlink("/etc", directory.path().join("etc")).unwrap();
        let through = RelPath::new("etc/passwd").unwrap();
        assert!(
            root.open_exact(&through, OFlags::RDONLY, Mode::empty())
                .is_err()
        );
        assert_eq!(root.entry(&through).unwrap(), None);
        assert_eq!(
            root.entry(&RelPath::new("etc").unwrap())
                .unwrap()
                .unwrap()
                .target,
            b"/etc"
        );
    }

    #[test]
    fn a_fifo_for_a_file_is_refused_at_once() {
        let (directory, root) = tree();
        let fifo = c_string(directory.path().join("passwd").as_os_str().as_bytes()).unwrap();
        // SAFETY: the argument is a NUL-terminated string that outlives the call.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        let read = root.read_file(&RelPath::new("passwd").unwrap(), 1 << 20);
        assert!(matches!(read, Err(Error::Refused { .. })));
    }
}
