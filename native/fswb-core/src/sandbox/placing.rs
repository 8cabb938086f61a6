//! Where everything is mounted, found before the child is cloned: what it sees is put together in mind, mount by mount.

use std::cell::Cell;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use super::mount::{Detached, Mount, Source};
use super::stubs::Stubs;
use crate::entry::Kind;
use crate::error::{Error, Result};
use crate::path::RelPath;
use crate::root::{Root, c_string};

/// What /dev has of its own: nothing may lie over it.
const OWN_DEVICES: [&[u8]; 13] = [
    b"fd", b"full", b"mqueue", b"null", b"ptmx", b"pts", b"random", b"stderr", b"stdin", b"stdout",
    b"tty", b"urandom", b"zero",
];

/// A file that exists for the run only.
pub(super) struct MemoryFile {
    /// Its name while it waits on the staging tmpfs.
    pub(super) staged: CString,
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// The child's: its mount, between staging and mounting.
    pub(super) mount: Cell<Option<OwnedFd>>,
}

pub(super) enum What {
    File(MemoryFile),
    Detached(OwnedFd),
}

/// A mount point that the child makes on its own /dev.
pub(super) struct DeviceStub {
    pub(super) path: CString,
    pub(super) is_directory: bool,
}

/// A mount and its place.
pub(super) struct Placed {
    pub(super) what: What,
    /// An exact path, relative to the root.
    pub(super) target: CString,
    pub(super) device_stubs: Vec<DeviceStub>,
}

/// What is seen at and below a place, once it is mounted.
struct Seen {
    target: RelPath,
    /// `None` for what is no directory.
    root: Option<Root>,
    writable: bool,
}

/// Finds the place of each mount, parents first; of two with one target, the later one is on top. Missing mount points
/// are made, and are in `stubs`, also if this fails.
pub(super) fn place(rootfs: &Root, mounts: &[Mount], stubs: &mut Stubs) -> Result<Vec<Placed>> {
    let mut ordered = mounts
        .iter()
        .map(|mount| Ok((RelPath::clean(&mount.target)?, mount)))
        .collect::<Result<Vec<_>>>()?;
    ordered.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut view = View {
        rootfs,
        seen: Vec::new(),
        devices: Vec::new(),
    };
    let mut placed = Vec::with_capacity(ordered.len());
    for (number, (_, mount)) in ordered.into_iter().enumerate() {
        let target = view.resolve(&mount.target)?;
        match view.obstacle(&target)? {
            Some(_) if mount.optional => {}
            Some(reason) => return Err(Error::refused(&target, reason)),
            None => placed.push(view.add(mount, target, number, stubs)?),
        }
    }
    Ok(placed)
}

struct View<'a> {
    rootfs: &'a Root,
    /// In the order of mounting: the last one that holds a path is the one that is seen there.
    seen: Vec<Seen>,
    /// Made on /dev so far.
    devices: Vec<RelPath>,
}

impl View<'_> {
    /// Why nothing can be mounted at a place, whatever it is.
    fn obstacle(&self, target: &RelPath) -> Result<Option<&'static str>> {
        if is_reserved(target) {
            let reason = "nothing can be mounted here: a RUN has its own /, /proc, /sys and /dev";
            return Ok(Some(reason));
        }
        let read_only = self.at(target).filter(|(seen, _)| !seen.writable);
        if let Some((
            Seen {
                root: Some(root), ..
            },
            inner,
        )) = read_only
            && root.entry(&inner)?.is_none()
        {
            let reason = "nothing can be mounted here: it is in a read-only mount that lacks it";
            return Ok(Some(reason));
        }
        Ok(None)
    }

    fn add(
        &mut self,
        mount: &Mount,
        target: RelPath,
        number: usize,
        stubs: &mut Stubs,
    ) -> Result<Placed> {
        let (what, root, writable) = match &mount.source {
            Source::File {
                content,
                mode,
                owner,
            } => {
                let file = MemoryFile {
                    staged: c_string(format!("file{number}").as_bytes())?,
                    content: content.clone(),
                    mode: *mode,
                    owner: *owner,
                    mount: Cell::new(None),
                };
                (What::File(file), None, false)
            }
            Source::Tree { at, writable, .. } => {
                let detached = Detached::tree(at.as_fd(), &target, *writable)?;
                (What::Detached(detached.fd), detached.root, *writable)
            }
            Source::Tmpfs { size, writable } => {
                let detached = Detached::tmpfs(*size, &target, *writable)?;
                (What::Detached(detached.fd), detached.root, *writable)
            }
        };
        let device_stubs = self.make_room(&target, root.is_some(), stubs)?;
        let placed = Placed {
            what,
            target: c_string(target.as_bytes())?,
            device_stubs,
        };
        self.seen.push(Seen {
            target,
            root,
            writable,
        });
        Ok(placed)
    }

    /// What is seen at `path`, and where it is in there. `None`: the root file system itself.
    fn at(&self, path: &RelPath) -> Option<(&Seen, RelPath)> {
        let seen = self
            .seen
            .iter()
            .rev()
            .find(|seen| path.is_within(&seen.target))?;
        Some((seen, path.below(&seen.target)))
    }

    /// As [`Root::resolve`], with what is mounted so far.
    fn resolve(&self, path: &[u8]) -> Result<RelPath> {
        crate::root::resolve(path, |next| match self.at(next) {
            Some((Seen { root: None, .. }, _)) => Ok(None),
            Some((
                Seen {
                    root: Some(root), ..
                },
                inner,
            )) => root.read_link(&inner),
            // The image's own content of these is never seen.
            None if is_hidden(next) => Ok(None),
            None => self.rootfs.read_link(next),
        })
    }

    /// Makes sure that there is something of the right kind to mount over.
    fn make_room(
        &mut self,
        target: &RelPath,
        is_directory: bool,
        stubs: &mut Stubs,
    ) -> Result<Vec<DeviceStub>> {
        let Some((seen, inner)) = self.at(target) else {
            if target.parts().next() == Some(b"dev") {
                return self.make_device_stubs(target, is_directory);
            }
            make_stub(self.rootfs, target, is_directory, stubs)?;
            return Ok(Vec::new());
        };
        match &seen.root {
            Some(root) if seen.writable => make_stub(root, &inner, is_directory, stubs)?,
            Some(root) => match root.entry(&inner)? {
                Some(entry) if (entry.kind == Kind::Directory) == is_directory => {}
                _ => return Err(wrong_kind(target, is_directory)),
            },
            None if inner.is_root() && !is_directory => {}
            None => return Err(wrong_kind(target, is_directory)),
        }
        Ok(Vec::new())
    }

    fn make_device_stubs(
        &mut self,
        target: &RelPath,
        is_directory: bool,
    ) -> Result<Vec<DeviceStub>> {
        let mut made = Vec::new();
        let shm = RelPath::new("dev/shm")?;
        if *target == shm && !is_directory {
            return Err(wrong_kind(target, is_directory));
        }
        let levels = target.ancestors().skip(2).chain([target.clone()]);
        for level in levels.filter(|level| *level != shm) {
            if self.devices.contains(&level) {
                continue;
            }
            made.push(DeviceStub {
                path: c_string(level.as_bytes())?,
                is_directory: is_directory || level != *target,
            });
            self.devices.push(level);
        }
        Ok(made)
    }
}

fn make_stub(root: &Root, path: &RelPath, is_directory: bool, stubs: &mut Stubs) -> Result<()> {
    if is_directory {
        stubs.directory(root, path)
    } else {
        stubs.file(root, path)
    }
}

fn wrong_kind(target: &RelPath, is_directory: bool) -> Error {
    let reason = if is_directory {
        "a directory cannot be mounted over something else"
    } else {
        "a file cannot be mounted over a directory"
    };
    Error::refused(target, reason)
}

fn is_hidden(path: &RelPath) -> bool {
    path.parts()
        .next()
        .is_some_and(|first| matches!(first, b"proc" | b"sys" | b"dev"))
}

fn is_reserved(target: &RelPath) -> bool {
    let mut parts = target.parts();
    match (parts.next(), parts.next()) {
        (None, _) | (Some(b"proc" | b"sys"), _) | (Some(b"dev"), None) => true,
        (Some(b"dev"), Some(name)) => OWN_DEVICES.contains(&name),
        _ => false,
    }
}
