//! What COPY would take, piece by piece, in the order in which the digest takes it.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::known::Known;
use crate::copy::Source;
use crate::copy::walk::{Found, Step, Walk, open_file};
use crate::entry::{Entry, Kind};
use crate::error::Result;
use crate::hash::hash_rest;
use crate::path::RelPath;
use crate::root::complete;
use crate::xattrs::xattrs_of_open;

/// A piece of what COPY would take.
#[derive(Debug)]
pub(super) enum Part {
    /// What follows, to `End`, is in a directory that was given by this path.
    Contents(RelPath),
    /// Into a directory.
    Enter { name: Vec<u8>, entry: Entry },
    /// Anything else.
    Item(Item),
    /// Out of the directory entered last.
    Leave,
    /// Of `Contents`.
    End,
}

/// Anything but a directory.
#[derive(Debug)]
pub(super) struct Item {
    /// As it was given, if it was not found in a directory that was.
    pub(super) given: Option<RelPath>,
    pub(super) name: Vec<u8>,
    pub(super) path: RelPath,
    pub(super) found: Found,
    /// A file whose content did not come under another name before.
    pub(super) has_content: bool,
    directory: Arc<OwnedFd>,
}

impl Item {
    /// Whether there is something that a stat does not tell, and that is not known either.
    pub(super) fn is_unread(&self) -> bool {
        !self.found.is_socket && self.found.entry.sha256.is_none()
    }

    /// Reads it: link target, extended attributes, and the digest of the content.
    pub(super) fn read(&mut self, known: Option<&Known>, buffer: &mut Vec<u8>) -> Result<()> {
        if !self.is_unread() {
            return Ok(());
        }
        let (directory, path) = (self.directory.as_fd(), &self.path);
        let entry = &mut self.found.entry;
        if !self.has_content {
            return complete(directory, &self.name, path, entry);
        }
        let file = open_file(directory, &self.name, path)?;
        let learner = match known {
            Some(known) if known.can_learn(entry, file.as_fd(), path)? => Some(known),
            _ => None,
        };
        entry.xattrs = xattrs_of_open(file.as_fd(), path)?;
        let content = hash_rest(&file, entry.size, path, buffer)?.0;
        entry.sha256 = Some(content);
        if let Some(known) = learner.filter(|_| entry.xattrs.is_empty()) {
            known.learn(entry, content);
        }
        Ok(())
    }
}

/// The parts that paths lead to. Items are not read, and of what is known nothing has to be.
pub(super) struct Parts<'a> {
    source: Source<'a>,
    given: std::slice::Iter<'a, RelPath>,
    known: Option<&'a Known>,
    walk: Option<Walk<'a>>,
    /// The directory that the walk is in.
    path: RelPath,
    /// Files that have more than one name.
    inodes: HashSet<(u64, u64)>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(source: Source<'a>, paths: &'a [RelPath], known: Option<&'a Known>) -> Self {
        Self {
            source,
            given: paths.iter(),
            known,
            walk: None,
            path: RelPath::ROOT,
            inodes: HashSet::new(),
        }
    }

    /// The next one; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Part>> {
        let Some(walk) = &mut self.walk else {
            return self.next_given();
        };
        let part = match walk.next()? {
            Some(Step::Enter { name, entry }) => {
                self.path = self.path.join(&name)?;
                Part::Enter { name, entry }
            }
            Some(Step::Item { name, found }) => {
                let directory = walk.shared_fd();
                let path = self.path.join(&name)?;
                Part::Item(self.item(None, directory, name, path, found))
            }
            Some(Step::Leave) => {
                self.path = self.path.parent().unwrap_or_default();
                Part::Leave
            }
            None => {
                self.walk = None;
                Part::End
            }
        };
        Ok(Some(part))
    }

    fn next_given(&mut self) -> Result<Option<Part>> {
        for given in self.given.by_ref() {
            let (path, found) = self.source.find(given)?;
            if found.entry.kind == Kind::Directory {
                self.walk = Some(Walk::new(self.source, &path)?);
                self.path = path;
                return Ok(Some(Part::Contents(given.clone())));
            }
            if let Some(Some((directory, name))) = self.source.root.directory_of(&path)? {
                let given = Some(given.clone());
                let item = self.item(given, Arc::new(directory), name, path, found);
                return Ok(Some(Part::Item(item)));
            }
        }
        Ok(None)
    }

    fn item(
        &mut self,
        given: Option<RelPath>,
        directory: Arc<OwnedFd>,
        name: Vec<u8>,
        path: RelPath,
        mut found: Found,
    ) -> Item {
        let entry = &mut found.entry;
        let inode = (entry.dev, entry.ino);
        let has_content =
            entry.kind == Kind::File && !found.is_socket && !self.inodes.contains(&inode);
        if has_content && entry.nlink > 1 {
            self.inodes.insert(inode);
        }
        if has_content {
            let root = self.source.root;
            entry.sha256 = self.known.and_then(|known| known.digest(root, entry));
        }
        Item {
            given,
            name,
            path,
            found,
            has_content,
            directory,
        }
    }
}
