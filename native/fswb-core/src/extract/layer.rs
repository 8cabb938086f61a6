//! A layer over a root file system, every entry recorded in the baseline.
//!
//! Whiteouts hide what lower layers have, never what this layer brings, in whatever order it comes (OCI image spec,
//! "Whiteouts"). A parent that is a link is followed inside the root: a layer that has `bin/sh` over a base whose `bin` is
//! a link to `usr/bin` means `usr/bin/sh`.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::rc::Rc;

use crate::archive::{Digested, Limits, Member, MemberKind, Reader};
use crate::baseline::Baseline;
use crate::clock::Clock;
use crate::entry::{Entry, Kind};
use crate::error::Result;
use crate::extract::brought::Brought;
use crate::extract::meaning::Meaning;
use crate::extract::place::{Linked, clean_name};
use crate::extract::tree::{Created, Directory, Tree, default_owner};
use crate::path::RelPath;
use crate::root::{Root, stat_bare};

/// A layer as it was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedLayer {
    /// Digest and size of everything that was read.
    pub tar: Digested,
    /// Number of members.
    pub entries: u64,
    /// What could not be represented, such as attributes the file system cannot hold.
    pub warnings: Vec<String>,
}

/// Extracts an uncompressed layer, read to the end of `input`, and records every entry in `baseline`, with the evidence it
/// has after the last thing that was done to it.
///
/// # Errors
///
/// `Archive` for a layer that breaks the rules; the root file system is then half written and must be thrown away.
pub fn unpack_layer(
    root: &Root,
    baseline: &mut Baseline,
    input: impl Read,
    limits: Limits,
) -> Result<UnpackedLayer> {
    // Before the first stat: see `Clock`.
    unpack_by(Clock::of(root)?, root, baseline, input, limits)
}

/// As [`unpack_layer`], by a given clock.
pub(super) fn unpack_by(
    clock: Clock,
    root: &Root,
    baseline: &mut Baseline,
    input: impl Read,
    limits: Limits,
) -> Result<UnpackedLayer> {
    let mut reader = Reader::new(input, true, limits);
    let mut layer = Layer {
        // A fixed time, so that what is built upon the layer can be built again.
        tree: Tree::new(
            root,
            Created {
                owner: default_owner(),
                mtime_ns: Some(0),
            },
        ),
        written: Brought::over(baseline),
        baseline,
        clock,
        is_merged: root.layers().is_some(),
        links: BTreeMap::new(),
    };
    while let Some(member) = reader.next_member()? {
        layer.apply(&member, &mut reader)?;
    }
    let entries = reader.members();
    let tar = reader.finish()?;
    layer.seal()?;
    Ok(UnpackedLayer {
        tar,
        entries,
        warnings: layer.tree.warnings,
    })
}

struct Layer<'a> {
    tree: Tree<'a>,
    baseline: &'a mut Baseline,
    /// Judges every stat that is recorded.
    clock: Clock,
    /// Whether it is unpacked over an overlay, where a number tells the inode: what was recorded in the lower layer has
    /// another device than what is recorded now.
    is_merged: bool,
    written: Brought,
    /// Inodes that gained or lost a name, as they were last recorded.
    links: BTreeMap<(u64, u64), Entry>,
}

impl Layer<'_> {
    fn apply(&mut self, member: &Member, content: &mut Reader<impl Read>) -> Result<()> {
        match Meaning::of(member)? {
            Meaning::Nothing => Ok(()),
            Meaning::HideChildren(directory) => self.hide_children(&directory),
            Meaning::Hide(hidden) => self.hide_spelled(&hidden),
            Meaning::Entry(path) => self.write(member, &path, content),
        }
    }

    fn write(
        &mut self,
        member: &Member,
        spelled: &RelPath,
        content: &mut Reader<impl Read>,
    ) -> Result<()> {
        if spelled.is_root() && member.kind != MemberKind::New(Kind::Directory) {
            return Err(member.error("the root must be a directory"));
        }
        let directory = self.directory_to_write(member, &spelled.parent().unwrap_or_default())?;
        let path = match spelled.name() {
            Some(name) => directory.path.join(name)?,
            None => RelPath::ROOT,
        };
        match member.kind {
            MemberKind::HardLink => {
                let target = clean_name(member, &member.link)?;
                let Linked { first, mut entry } =
                    self.tree.link(&directory, &path, member, &target)?;
                self.forget(&path);
                entry.sha256 = self.baseline.entry(&first).and_then(|first| first.sha256);
                self.record(&first, entry.clone())?;
                self.links.insert((entry.dev, entry.ino), entry.clone());
                self.record(&path, entry)?;
            }
            MemberKind::New(kind) => {
                let owner = (member.uid, member.gid);
                let merged = kind == Kind::Directory
                    && self
                        .baseline
                        .entry(&path)
                        .is_some_and(|entry| entry.kind == Kind::Directory);
                let entry = self
                    .tree
                    .place(&directory, &path, kind, member, owner, content)?;
                if !merged {
                    self.forget(&path);
                }
                self.record(&path, entry)?;
            }
        }
        self.written.add(path);
        Ok(())
    }

    fn record(&mut self, path: &RelPath, mut entry: Entry) -> Result<()> {
        entry.racy = self.clock.is_racy(&entry);
        self.baseline.put(path, entry)
    }

    fn directory_to_write(&mut self, member: &Member, spelled: &RelPath) -> Result<Rc<Directory>> {
        let directory = match self.tree.directory_to_write(spelled) {
            Err(error) if error.is_absent() => {
                return Err(member.error("what should be a directory above it is none"));
            }
            result => result?,
        };
        for made in std::mem::take(&mut self.tree.new_parents) {
            let entry = self.tree.stat(&made)?;
            self.record(&made, entry)?;
            self.written.add(made);
        }
        Ok(directory)
    }

    /// Takes a path and all below it out of the record, and notes the other names of their inodes.
    fn forget(&mut self, path: &RelPath) {
        if self.baseline.entry(path).is_none() {
            return;
        }
        let mut pending = vec![path.clone()];
        while let Some(path) = pending.pop() {
            match self.baseline.entry(&path) {
                Some(entry) if entry.kind == Kind::Directory => {
                    let below = self.baseline.children(&path).into_iter();
                    pending.extend(below.filter_map(|name| path.join(&name).ok()));
                }
                Some(entry) if entry.nlink > 1 => {
                    self.links.insert((entry.dev, entry.ino), entry);
                }
                _ => {}
            }
        }
        self.baseline.remove(path);
        self.written.remove(path);
    }

    /// Hides what lower layers have in a directory. The last part of its path is not followed: a link there belongs to a
    /// lower layer, and what it points to is another directory's.
    fn hide_children(&mut self, spelled: &RelPath) -> Result<()> {
        let path = match (spelled.parent(), spelled.name()) {
            (Some(parent), Some(name)) => match self.tree.directory(&parent)? {
                Some(parent) => parent.path.join(name)?,
                None => return Ok(()),
            },
            _ => RelPath::ROOT,
        };
        let Some(directory) = self.tree.exact_directory(&path)? else {
            return Ok(());
        };
        for name in directory.names()? {
            self.hide(&directory, &path.join(&name)?)?;
        }
        Ok(())
    }

    fn hide_spelled(&mut self, spelled: &RelPath) -> Result<()> {
        let Some(directory) = self.tree.directory(&spelled.parent().unwrap_or_default())? else {
            return Ok(());
        };
        let path = directory.path.join(spelled.name().unwrap_or_default())?;
        self.hide(&directory, &path)
    }

    /// Removes a path, but for what this layer brought.
    fn hide(&mut self, directory: &Directory, path: &RelPath) -> Result<()> {
        let name = path.name().unwrap_or_default();
        let keeps = self.written.has_within(path);
        let Some(found) = stat_bare(directory.fd.as_fd(), name, path)? else {
            // Either nothing, which is as good, or a socket, which no layer can bring.
            return self.tree.clear(directory, name, path);
        };
        if !keeps {
            self.tree.clear(directory, name, path)?;
            self.forget(path);
            return Ok(());
        }
        if found.kind == Kind::Directory {
            return self.hide_children(path);
        }
        Ok(())
    }

    /// Takes the last evidence: of inodes whose names changed, then of directories.
    fn seal(&mut self) -> Result<()> {
        for inode in std::mem::take(&mut self.links).into_values() {
            let names = if self.is_merged {
                self.baseline.names_with_ino(inode.ino)
            } else {
                self.baseline.names_of(&inode)
            };
            let Some(first) = names.first() else {
                continue;
            };
            let now = self.tree.stat(first)?;
            for name in names {
                let sha256 = self.baseline.entry(&name).and_then(|entry| entry.sha256);
                self.record(
                    &name,
                    Entry {
                        sha256,
                        ..now.clone()
                    },
                )?;
            }
        }
        for (path, entry) in self.tree.finish()? {
            self.record(&path, entry)?;
        }
        Ok(())
    }
}
