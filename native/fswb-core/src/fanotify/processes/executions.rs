//! Which programs the processes of this machine start.
//!
//! A group of its own, so that what the tracker reads stays as it is: nothing is merged otherwise, and no file system but
//! the tree's raises other events than `FAN_OPEN_EXEC`. It raises one for each file that is opened to be executed: the
//! program, of a script its interpreter too, and the loader (fanotify_mark(2), Linux 5.0).

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::fanotify::event::{Place, parse};
use crate::fanotify::group::{Group, Queue};
use crate::handle::{Handle, open};

const BUFFER: usize = 64 * 1024;

/// Answers that are kept: most programs are started again and again.
const REMEMBERED: usize = 1 << 12;

/// A file system whose programs are heard of.
#[derive(Debug)]
struct Marked {
    id: [u8; 8],
    mount: OwnedFd,
}

/// A process that opened a file to execute it.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) path: Arc<[u8]>,
}

/// A name in a directory, as an event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    file_system: [u8; 8],
    kind: i32,
    directory: Box<[u8]>,
    name: Box<[u8]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Executions {
    group: Group,
    marked: Vec<Marked>,
    /// Directories whose file systems cannot be marked.
    pub(super) unheard: Vec<Vec<u8>>,
    paths: HashMap<Key, Arc<[u8]>>,
    buffer: Vec<u8>,
}

impl Executions {
    /// Hears of what is started from the file systems that hold `places`, absolute paths.
    pub(super) fn hear(places: &[Vec<u8>]) -> Result<Self> {
        let group = Group::new(Queue::Unlimited)?;
        if group.queue != Queue::Unlimited {
            return Err(Error::system("fanotify_init", "", Errno::PERM));
        }
        let (mut marked, mut unheard) = (Vec::new(), Vec::new());
        for place in places {
            match mark(&group, place) {
                Ok(file_system) => marked.push(file_system),
                // Overlays, subvolumes, FUSE: programs there start unheard, which is told.
                Err(_) => unheard.push(place.clone()),
            }
        }
        Ok(Self {
            group,
            marked,
            unheard,
            paths: HashMap::new(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Who started what since the last call, in order. `None` stands for what could not be read.
    pub(super) fn read(&mut self) -> Result<Vec<Option<Started>>> {
        let queued = self.group.queued()? as usize;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut started = Vec::new();
        while started.len() < queued {
            let length = self.group.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            started.extend(parse(&buffer[..length]).map(|event| {
                let event = event?;
                let path = self.path(event.place?);
                Some(Started {
                    pid: event.pid,
                    path,
                })
            }));
        }
        self.buffer = buffer;
        Ok(started)
    }

    /// Where a program is, or its name alone where its directory cannot be found any more.
    fn path(&mut self, place: Place<'_>) -> Arc<[u8]> {
        let key = Key {
            file_system: place.file_system,
            kind: place.directory.kind,
            directory: place.directory.bytes.into(),
            name: place.name.into(),
        };
        if let Some(known) = self.paths.get(&key) {
            return Arc::clone(known);
        }
        let path: Arc<[u8]> = match self.directory(place.file_system, place.directory) {
            Some(mut path) => {
                if path.last() != Some(&b'/') {
                    path.push(b'/');
                }
                path.extend_from_slice(place.name);
                path.into()
            }
            None => place.name.into(),
        };
        if self.paths.len() >= REMEMBERED {
            self.paths.clear();
        }
        self.paths.insert(key, Arc::clone(&path));
        path
    }

    fn directory(&self, file_system: [u8; 8], handle: Handle<'_>) -> Option<Vec<u8>> {
        let marked = self.marked.iter().find(|marked| marked.id == file_system)?;
        let opened = open(marked.mount.as_fd(), handle).ok()?;
        path_of(&opened)
    }
}

fn path_of(opened: &OwnedFd) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let path = readlinkat(CWD, link, Vec::new()).ok()?.into_bytes();
    (!path.ends_with(b" (deleted)")).then_some(path)
}

fn mark(group: &Group, place: &[u8]) -> Result<Marked> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let path = std::ffi::OsStr::from_bytes(place);
    let mount = openat(CWD, path, flags, Mode::empty()).during("open", place)?;
    group.mark_executions(mount.as_fd(), place)?;
    let status = rustix::fs::fstatfs(&mount).during("fstatfs", place)?;
    // SAFETY: `f_fsid` is two ints, of which every bit pattern is a value; libc hides them.
    let id = unsafe { std::mem::transmute::<rustix::fs::Fsid, [u8; 8]>(status.f_fsid) };
    Ok(Marked { id, mount })
}
