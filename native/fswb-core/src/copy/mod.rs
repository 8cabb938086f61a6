//! COPY: what its source names ([`expand`]), what that is as a cache key ([`content`]), and the copying itself
//! ([`copy`]), which tells every path it wrote: that list replaces a watcher's hints.
//!
//! The source (a build context, or the root file system of another stage) and the destination are both hostile: only
//! the path a Dockerfile gives follows links, and those are clamped at its root.

mod content;
mod data;
mod expand;
mod listing;
pub(crate) mod metadata;
mod mode;
mod place;
mod walk;

pub use content::{Content, Known, content};
pub use expand::expand;
pub use listing::{Aspect, Difference, differences};
pub use mode::{Clause, Mode};
pub use place::{Request, copy};

use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::ignore::IgnorePatterns;
use crate::path::RelPath;
use crate::root::Root;

/// Where COPY takes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The context or the stage.
    pub root: &'a Root,
    /// What is not seen of it.
    pub ignore: Option<&'a IgnorePatterns>,
    /// What the instruction takes of each directory it names.
    pub selection: Selection<'a>,
    /// A context's sockets become empty files and its devices stay behind; a stage's sockets stay behind (no layer holds
    /// them) and its devices are made anew.
    pub is_context: bool,
}

/// Patterns relative to a directory that is copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// `--parents`: only what matches, or is below something that does, and the directories above it.
    pub include: Option<&'a IgnorePatterns>,
    /// `--exclude`.
    pub exclude: Option<&'a IgnorePatterns>,
}

impl Source<'_> {
    /// Where a path given by a Dockerfile leads, and what is there. Nothing there is `ENOENT` for the path as given.
    fn find(&self, given: &RelPath) -> Result<(RelPath, walk::Found)> {
        let path = self.root.resolve(given.as_bytes())?;
        let absent = || Error::system("statx", given, rustix::io::Errno::NOENT);
        let found = match self.root.directory_of(&path)? {
            None => None,
            Some(None) => walk::look(self.root.fd(), b"", &path)?,
            Some(Some((directory, name))) => walk::look(directory.as_fd(), &name, &path)?,
        };
        Ok((path, found.ok_or_else(absent)?))
    }
}

/// What COPY or ADD did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    /// Every path it lists, sorted: files and links, directories that it made or gave metadata.
    pub paths: Vec<RelPath>,
    /// Those of them that were made to lead to the destination, sorted.
    pub led_through: Vec<RelPath>,
    /// Regular files written, links to one another counted each.
    pub files: u64,
    /// Bytes written to them.
    pub size: u64,
    /// What could not be copied as it is.
    pub warnings: Vec<String>,
}
