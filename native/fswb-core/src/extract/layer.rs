//! A layer over a root file system, every entry recorded in the baseline.
//!
//! Whiteouts hide what lower layers have, never what this layer brings, in whatever order it comes (OCI image spec,
//! "Whiteouts"). A parent that is a link is followed inside the root: a layer that has `bin/sh` over a base whose `bin` is
//! a link to `usr/bin` means `usr/bin/sh`.

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
use crate::extract::place::{Made, linked_path, on_the_way};
use crate::extract::record::{Note, Notes, Record};
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
    // A fixed time, so that what is built upon the layer can be built again.
    let created = Created {
        owner: default_owner(),
        mtime_ns: Some(0),
    };
    let mut tree = Tree::new(root, created);
    let brought = Brought::over(baseline);
    let mut record = Record::new(baseline, clock);
    let (tar, entries) = record.during(|notes| {
        let tree = &mut tree;
        let mut layer = Layer {
            tree,
            notes,
            brought,
        };
        while let Some(member) = reader.next_member()? {
            layer.apply(&member, &mut reader)?;
        }
        let entries = reader.members();
        let tar = reader.finish()?;
        layer.seal_directories()?;
        Ok((tar, entries))
    })?;
    seal_links(&mut tree, &mut record, root.layers().is_some())?;
    Ok(UnpackedLayer {
        tar,
        entries,
        warnings: record.warnings,
    })
}

/// The root file system, and what is to be recorded of it.
struct Layer<'a, 'root> {
    tree: &'a mut Tree<'root>,
    notes: &'a mut Notes,
    brought: Brought,
}

impl Layer<'_, '_> {
    fn apply(&mut self, member: &Member, content: &mut Reader<impl Read>) -> Result<()> {
        let hidden = match Meaning::of(member)? {
            Meaning::Nothing => return Ok(()),
            Meaning::Entry(path) => return self.write(member, &path, content),
            Meaning::HideChildren(directory) => self.hide_children(&directory),
            Meaning::Hide(hidden) => self.hide_spelled(&hidden),
        };
        hidden.map_err(|error| on_the_way(member, error))
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
        if member.kind != MemberKind::New(Kind::Directory) {
            self.brought.remove(&path);
        }
        self.brought.add(&path);
        let note = match member.kind {
            MemberKind::HardLink => {
                let target = linked_path(member)?;
                let linked = self.tree.link(&directory, &path, member, &target)?;
                Note::Link(path, linked)
            }
            MemberKind::New(kind) => {
                let owner = (member.uid, member.gid);
                let made = self
                    .tree
                    .place(&directory, &path, kind, member, owner, content)?;
                match made {
                    Made::File(file) => Note::File(file),
                    Made::Whole(entry) => Note::Entry(path, entry),
                }
            }
        };
        for warning in self.tree.warnings.drain(..) {
            self.notes.add(Note::Warning(warning))?;
        }
        self.notes.add(note)
    }

    fn directory_to_write(&mut self, member: &Member, spelled: &RelPath) -> Result<Rc<Directory>> {
        let found = self.tree.directory_to_write(spelled);
        let directory = found.map_err(|error| on_the_way(member, error))?;
        for made in std::mem::take(&mut self.tree.new_parents) {
            let entry = self.tree.stat(&made)?;
            self.brought.add(&made);
            self.notes.add(Note::Entry(made, entry))?;
        }
        Ok(directory)
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
        let keeps = self.brought.has_within(path);
        let Some(found) = stat_bare(directory.fd.as_fd(), name, path)? else {
            // Either nothing, which is as good, or a socket, which no layer can bring.
            return self.tree.clear(directory, name, path);
        };
        if !keeps {
            self.tree.clear(directory, name, path)?;
            return self.notes.add(Note::Gone(path.clone()));
        }
        if found.kind == Kind::Directory {
            return self.hide_children(path);
        }
        Ok(())
    }

    fn seal_directories(&mut self) -> Result<()> {
        let notes = &mut self.notes;
        self.tree
            .finish(|path, entry| notes.add(Note::Entry(path, entry)))
    }
}

/// Takes the last evidence of inodes whose names changed. `is_merged`: over an overlay, where the number tells the inode;
/// what was recorded in the lower layer has another device than what is recorded now.
fn seal_links(tree: &mut Tree<'_>, record: &mut Record<'_>, is_merged: bool) -> Result<()> {
    for inode in std::mem::take(&mut record.links).into_values() {
        let names = if is_merged {
            record.baseline.names_with_ino(inode.ino)
        } else {
            record.baseline.names_of(&inode)
        };
        let Some(first) = names.first() else {
            continue;
        };
        let now = tree.stat(first)?;
        for name in names {
            let sha256 = record.baseline.entry(&name).and_then(|entry| entry.sha256);
            let entry = Entry {
                sha256,
                ..now.clone()
            };
            record.put(&name, entry)?;
        }
    }
    Ok(())
}
