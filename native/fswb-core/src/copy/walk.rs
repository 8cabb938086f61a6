//! The walk through a directory that is copied: sorted, without what is ignored, excluded, or not asked for.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::vec::IntoIter;

use rustix::fs::{self, AtFlags};

use crate::copy::Source;
use crate::descent::Descent;
use crate::entry::{Entry, Kind, STATX_WANTED};
use crate::error::{Context, Error, Result, present};
use crate::ignore::{IgnorePatterns, Verdict};
use crate::opening::open_quietly;
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
    let fd = open_quietly(directory, name, path)?;
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
    /// Where it starts: what `--exclude` and `--parents` say is relative to it.
    start: RelPath,
    descent: Descent,
    levels: Vec<Level>,
    ready: VecDeque<Step>,
}

#[derive(Debug)]
struct Level {
    names: IntoIter<Vec<u8>>,
    verdicts: Verdicts,
    /// A directory that is not taken is held back here until something below it turns out to be.
    held_back: Option<(Vec<u8>, Entry)>,
}

/// What each of the lists of patterns says of one path.
#[derive(Debug, Clone, Default)]
struct Verdicts {
    ignored: Verdict,
    excluded: Verdict,
    included: Verdict,
}

impl Verdicts {
    fn below(&self, source: &Source<'_>, path: &RelPath, relative: &RelPath) -> Self {
        let judge = |patterns: Option<&IgnorePatterns>, verdict: &Verdict, path| {
            patterns.map_or_else(Verdict::default, |patterns| patterns.below(verdict, path))
        };
        let selection = source.selection;
        Self {
            ignored: judge(source.ignore, &self.ignored, path),
            excluded: judge(selection.exclude, &self.excluded, relative),
            included: judge(selection.include, &self.included, relative),
        }
    }

    fn takes(&self, source: &Source<'_>) -> bool {
        !self.ignored.matched()
            && !self.excluded.matched()
            && (source.selection.include.is_none() || self.included.matched())
    }

    /// Whether something below could be taken though this is not. May say yes in vain, never no.
    fn may_take_below(&self, source: &Source<'_>, path: &RelPath, relative: &RelPath) -> bool {
        let readmits = |patterns: Option<&IgnorePatterns>, verdict: &Verdict, path| {
            !verdict.matched() || patterns.is_some_and(|patterns| patterns.may_readmit_below(path))
        };
        let selection = source.selection;
        readmits(source.ignore, &self.ignored, path)
            && readmits(selection.exclude, &self.excluded, relative)
            && (self.included.matched()
                || selection
                    .include
                    .is_none_or(|patterns| patterns.may_match_below(relative)))
    }
}

impl<'a> Walk<'a> {
    /// Starts at a directory, by its exact path.
    pub(crate) fn new(source: Source<'a>, directory: &RelPath) -> Result<Self> {
        let fd = source.root.open_directory(directory)?;
        let descent = Descent::new(fd, directory.clone());
        let ignored = source
            .ignore
            .map(|patterns| patterns.verdict(directory))
            .unwrap_or_default();
        let level = Level {
            names: descent.names()?.into_iter(),
            verdicts: Verdicts {
                ignored,
                ..Verdicts::default()
            },
            held_back: None,
        };
        Ok(Self {
            source,
            start: directory.clone(),
            descent,
            levels: vec![level],
            ready: VecDeque::new(),
        })
    }

    /// The directory that the last item is in, or that was entered last.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.descent.fd()
    }

    /// The same, for somebody who needs it longer than the walk is there.
    pub(crate) fn shared_fd(&self) -> Arc<OwnedFd> {
        self.descent.shared()
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
            let relative = path.below(&self.start);
            let verdicts = level.verdicts.below(&self.source, &path, &relative);
            if verdicts.takes(&self.source)
                || verdicts.may_take_below(&self.source, &path, &relative)
            {
                self.visit(name, &path, verdicts)?;
            }
        }
    }

    fn visit(&mut self, name: Vec<u8>, path: &RelPath, verdicts: Verdicts) -> Result<()> {
        let taken = verdicts.takes(&self.source);
        // Gone since the directory was listed: as if it had never been there.
        let Some(found) = look(self.descent.fd(), &name, path)? else {
            return Ok(());
        };
        if found.entry.kind != Kind::Directory {
            if taken {
                self.release();
                self.ready.push_back(Step::Item { name, found });
            }
            return Ok(());
        }
        let mut entry = found.entry;
        self.descent.enter(&name)?;
        crate::root::complete(self.descent.fd(), b"", path, &mut entry)?;
        if taken {
            self.release();
            self.ready.push_back(Step::Enter {
                name: name.clone(),
                entry: entry.clone(),
            });
        }
        self.levels.push(Level {
            names: self.descent.names()?.into_iter(),
            verdicts,
            held_back: (!taken).then_some((name, entry)),
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
