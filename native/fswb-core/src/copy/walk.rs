//! The walk through a directory that is copied: sorted, without what is ignored.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::vec::IntoIter;

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::copy::Source;
use crate::descent::Descent;
use crate::entry::{Entry, Kind, STATX_WANTED};
use crate::error::{Context, Error, Result, present};
use crate::ignore::Verdict;
use crate::path::RelPath;

/// An entry of the source. Link target and xattrs are read by whoever wants them ([`crate::root::complete`]).
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    /// A socket; its entry is that of an empty file.
    pub(crate) is_socket: bool,
}

/// Stats `name` in an open directory; sockets too.
pub(crate) fn look(
    directory: BorrowedFd<'_>,
    name: &[u8],
    path: &RelPath,
) -> Result<Option<Found>> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let stat = fs::statx(directory, name, flags, STATX_WANTED).during("statx", path);
    let Some(mut stat) = present(stat)? else {
        return Ok(None);
    };
    let is_socket = u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFSOCK;
    if is_socket {
        stat.stx_mode = stat.stx_mode & 0o7777 | 0o100_000;
        stat.stx_size = 0;
    }
    Ok(Entry::from_statx(&stat).map(|entry| Found { entry, is_socket }))
}

/// Opens a file of the source for reading. Its time of access stays as it is where the kernel allows that.
pub(crate) fn open_file(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<OwnedFd> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = match fs::openat(directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        // open(2): only the owner may ask for O_NOATIME.
        Err(Errno::PERM) => fs::openat(directory, name, flags, Mode::empty()),
        result => result,
    }
    .during("openat", path)?;
    let stat = fs::fstat(&fd).during("fstat", path)?;
    if Kind::from_mode(stat.st_mode) == Some(Kind::File) {
        Ok(fd)
    } else {
        Err(Error::refused(path, "changed while it was being copied"))
    }
}

/// A step of the walk.
#[derive(Debug)]
pub(crate) enum Step {
    /// Into a directory.
    Enter { name: Vec<u8>, entry: Entry },
    /// Anything else, in the directory that [`Walk::fd`] is.
    Item { name: Vec<u8>, found: Found },
    /// Out of the directory entered last.
    Leave,
}

/// A walk below one directory, which itself is no step.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    source: Source<'a>,
    descent: Descent,
    levels: Vec<Level>,
    ready: VecDeque<Step>,
}

#[derive(Debug)]
struct Level {
    names: IntoIter<Vec<u8>>,
    verdict: Verdict,
    /// An ignored directory is held back here until something below it turns out not to be.
    held_back: Option<(Vec<u8>, Entry)>,
}

impl<'a> Walk<'a> {
    /// Starts at a directory, by its exact path.
    pub(crate) fn new(source: Source<'a>, directory: &RelPath) -> Result<Self> {
        let fd = source.root.open_directory(directory)?;
        let descent = Descent::new(fd, directory.clone());
        let verdict = source
            .ignore
            .map(|patterns| patterns.verdict(directory))
            .unwrap_or_default();
        let level = Level {
            names: descent.names()?.into_iter(),
            verdict,
            held_back: None,
        };
        Ok(Self {
            source,
            descent,
            levels: vec![level],
            ready: VecDeque::new(),
        })
    }

    /// The directory that the last item is in, or that was entered last.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.descent.fd()
    }

    /// The next step; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Step>> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            let Some(name) = level.names.next() else {
                let left = self.levels.pop();
                self.descent.leave()?;
                if left.is_some_and(|level| level.held_back.is_none()) && !self.levels.is_empty() {
                    return Ok(Some(Step::Leave));
                }
                continue;
            };
            let path = self.descent.path().join(&name)?;
            let verdict = match self.source.ignore {
                Some(patterns) => patterns.below(&level.verdict, &path),
                None => Verdict::default(),
            };
            self.visit(name, &path, verdict)?;
        }
    }

    fn visit(&mut self, name: Vec<u8>, path: &RelPath, verdict: Verdict) -> Result<()> {
        let ignored = verdict.is_excluded();
        let hopeless = |patterns: &crate::ignore::IgnorePatterns| !patterns.may_readmit_below(path);
        if ignored && self.source.ignore.is_none_or(hopeless) {
            return Ok(());
        }
        // Gone since the directory was listed: as if it had never been there.
        let Some(found) = look(self.descent.fd(), &name, path)? else {
            return Ok(());
        };
        if found.entry.kind != Kind::Directory {
            if !ignored {
                self.release();
                self.ready.push_back(Step::Item { name, found });
            }
            return Ok(());
        }
        let mut entry = found.entry;
        self.descent.enter(&name)?;
        crate::root::complete(self.descent.fd(), b"", path, &mut entry)?;
        if !ignored {
            self.release();
            self.ready.push_back(Step::Enter {
                name: name.clone(),
                entry: entry.clone(),
            });
        }
        self.levels.push(Level {
            names: self.descent.names()?.into_iter(),
            verdict,
            held_back: ignored.then_some((name, entry)),
        });
        Ok(())
    }

    /// Enters the directories that were held back, for something below them is taken.
    fn release(&mut self) {
        for level in &mut self.levels {
            if let Some((name, entry)) = level.held_back.take() {
                self.ready.push_back(Step::Enter { name, entry });
            }
        }
    }
}
