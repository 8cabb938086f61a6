//! One layer over those below.

use std::collections::BTreeSet;
use std::io::Read;

use sha2::{Digest as _, Sha256 as Hasher};

use super::{Source, Stack, directory};
use crate::archive::{Limits, Member, MemberKind, Reader};
use crate::baseline::Cursor;
use crate::entry::{Entry, Kind, Xattrs};
use crate::error::{Error, Result};
use crate::extract::{
    Meaning, UnpackedLayer, check_target, linked_path, links_to_nothing, on_the_way,
};
use crate::path::RelPath;
use crate::xattrs::{is_holdable_attribute, is_host_attribute};

impl Stack {
    /// Lays an uncompressed layer, read to the end of `input`, over what is there.
    ///
    /// # Errors
    ///
    /// `Archive` for a layer that breaks the rules; the stack is then half changed and must be thrown away.
    pub fn add(&mut self, input: impl Read, limits: Limits) -> Result<UnpackedLayer> {
        let mut reader = Reader::new(input, true, limits);
        let mut layer = Layer {
            stack: self,
            written: BTreeSet::new(),
            links: BTreeSet::new(),
        };
        while let Some(member) = reader.next_member()? {
            layer.apply(&member, &mut reader)?;
        }
        let entries = reader.members();
        let tar = reader.finish()?;
        layer.seal()?;
        self.layers += 1;
        Ok(UnpackedLayer {
            tar,
            entries,
            warnings: Vec::new(),
        })
    }
}

struct Layer<'a> {
    stack: &'a mut Stack,
    /// What this layer brought and still has: whiteouts leave it alone.
    written: BTreeSet<RelPath>,
    /// Numbers of inodes that gained or lost a name.
    links: BTreeSet<u64>,
}

impl Layer<'_> {
    fn apply(&mut self, member: &Member, content: &mut Reader<impl Read>) -> Result<()> {
        match Meaning::of(member)? {
            Meaning::Nothing => Ok(()),
            Meaning::HideChildren(directory) => {
                let Some(parent) = directory.parent() else {
                    return self.hide_children(&RelPath::ROOT);
                };
                match (self.directory(member, &parent)?, directory.name()) {
                    (Some(parent), Some(name)) => self.hide_children(&parent.join(name)?),
                    _ => Ok(()),
                }
            }
            Meaning::Hide(hidden) => {
                let parent = self.directory(member, &hidden.parent().unwrap_or_default())?;
                match (parent, hidden.name()) {
                    (Some(parent), Some(name)) => self.hide(&parent.join(name)?),
                    _ => Ok(()),
                }
            }
            Meaning::Entry(path) => self.write(member, &path, content),
        }
    }

    fn write(
        &mut self,
        member: &Member,
        spelled: &RelPath,
        content: &mut Reader<impl Read>,
    ) -> Result<()> {
        let path = match (spelled.parent(), spelled.name()) {
            (Some(parent), Some(name)) => self.directory_to_write(member, &parent)?.join(name)?,
            _ if member.kind == MemberKind::New(Kind::Directory) => RelPath::ROOT,
            _ => return Err(member.error("the root must be a directory")),
        };
        match member.kind {
            MemberKind::HardLink => self.link(member, &path)?,
            MemberKind::New(kind) => self.place(member, kind, &path, content)?,
        }
        self.written.insert(path);
        Ok(())
    }

    fn place(
        &mut self,
        member: &Member,
        kind: Kind,
        path: &RelPath,
        content: &mut Reader<impl Read>,
    ) -> Result<()> {
        if kind == Kind::Symlink {
            check_target(member)?;
        }
        let known = self
            .stack
            .tree
            .cursor(path)
            .filter(|known| kind == Kind::Directory && known.kind() == Kind::Directory);
        let ino = match known.map(Cursor::entry) {
            Some(directory) => directory.ino,
            None => {
                self.clear(path);
                self.next_ino()
            }
        };
        let sha256 = match kind {
            Kind::File if self.stack.digests => {
                let mut hasher = Hasher::new();
                while let Some(piece) = content.piece()? {
                    piece.update(&mut hasher);
                }
                Some(hasher.finalize().into())
            }
            _ => None,
        };
        if kind == Kind::File {
            let source = Source {
                layer: self.stack.layers,
                offset: member.offset,
            };
            self.stack.sources.insert(ino, source);
        }
        let entry = Entry {
            kind,
            // symlink(7): the permissions of a link are always these.
            mode: if kind == Kind::Symlink {
                0o777
            } else {
                member.mode
            },
            uid: member.uid,
            gid: member.gid,
            rdev: member.rdev,
            size: if kind == Kind::File { member.size } else { 0 },
            mtime_ns: member.mtime_ns,
            target: member.link.clone(),
            xattrs: kept(kind, &member.xattrs),
            sha256,
            ..directory(ino)
        };
        self.stack.tree.put(path, entry)
    }

    fn link(&mut self, member: &Member, path: &RelPath) -> Result<()> {
        let target = linked_path(member)?;
        let missing = || links_to_nothing(member, &target);
        let (Some(parent), Some(name)) = (target.parent(), target.name()) else {
            return Err(member.error("a hard link to a directory"));
        };
        let first = self
            .directory(member, &parent)?
            .ok_or_else(missing)?
            .join(name)?;
        if first == *path {
            return Err(member.error("a hard link to itself"));
        }
        let entry = self.stack.entry(&first).ok_or_else(missing)?;
        if entry.kind == Kind::Directory {
            return Err(member.error("a hard link to a directory"));
        }
        self.clear(path);
        // The target was below what had the name.
        if self.stack.tree.cursor(&first).is_none() {
            return Err(missing());
        }
        self.links.insert(entry.ino);
        self.stack.tree.put(path, entry)
    }

    /// The real path of a directory; missing levels are made.
    fn directory_to_write(&mut self, member: &Member, spelled: &RelPath) -> Result<RelPath> {
        let path = self.resolve(member, spelled)?;
        if self.is_directory(&path) {
            return Ok(path);
        }
        for level in path.ancestors().skip(1).chain([path.clone()]) {
            if self.stack.tree.cursor(&level).is_none() {
                let ino = self.next_ino();
                self.stack.tree.put(&level, directory(ino))?;
                self.written.insert(level);
            } else if !self.is_directory(&level) {
                return Err(member.error("what should be a directory above it is none"));
            }
        }
        Ok(path)
    }

    /// The real path of a directory, if there is one.
    fn directory(&self, member: &Member, spelled: &RelPath) -> Result<Option<RelPath>> {
        let path = self.resolve(member, spelled)?;
        Ok(self.is_directory(&path).then_some(path))
    }

    fn resolve(&self, member: &Member, spelled: &RelPath) -> Result<RelPath> {
        let path = self.stack.resolve(spelled.as_bytes());
        path.map_err(|error| on_the_way(member, error))
    }

    fn is_directory(&self, path: &RelPath) -> bool {
        let kind = self.stack.tree.cursor(path).map(Cursor::kind);
        kind == Some(Kind::Directory)
    }

    /// Hides what lower layers have in the directory at an exact path.
    fn hide_children(&mut self, path: &RelPath) -> Result<()> {
        if !self.is_directory(path) {
            return Ok(());
        }
        for name in self.stack.names(path) {
            self.hide(&path.join(&name)?)?;
        }
        Ok(())
    }

    /// Removes a path, but for what this layer brought.
    fn hide(&mut self, path: &RelPath) -> Result<()> {
        let next = self.written.range(path.clone()..).next();
        if next.is_some_and(|known| known.is_within(path)) {
            return self.hide_children(path);
        }
        self.clear(path);
        Ok(())
    }

    /// Removes a path with all below it, and notes the inodes that may have other names.
    fn clear(&mut self, path: &RelPath) {
        let Some(known) = self.stack.tree.cursor(path) else {
            return;
        };
        let mut rest = vec![known];
        while let Some(at) = rest.pop() {
            if at.kind() == Kind::Directory {
                rest.extend(at.children().into_iter().map(|(_, child)| child));
                continue;
            }
            let entry = at.entry();
            if entry.is_shared() || self.links.contains(&entry.ino) {
                self.links.insert(entry.ino);
            } else {
                self.stack.sources.remove(&entry.ino);
            }
        }
        self.stack.tree.remove(path);
        let below = self.written.range(path.clone()..);
        let below: Vec<RelPath> = below
            .take_while(|known| known.is_within(path))
            .cloned()
            .collect();
        for known in below {
            self.written.remove(&known);
        }
    }

    /// Counts the names of inodes that gained or lost some.
    fn seal(&mut self) -> Result<()> {
        for ino in std::mem::take(&mut self.links) {
            let names = self.stack.tree.names_of_inode((0, ino));
            let Some(entry) = names.first().and_then(|name| self.stack.entry(name)) else {
                continue;
            };
            let nlink = u32::try_from(names.len())
                .map_err(|_| Error::refused(&names[0], "more hard links than there can be"))?;
            for name in &names {
                let entry = Entry {
                    nlink,
                    ..entry.clone()
                };
                self.stack.tree.put(name, entry)?;
            }
        }
        Ok(())
    }

    fn next_ino(&mut self) -> u64 {
        self.stack.last_ino += 1;
        self.stack.last_ino
    }
}

/// What a file system that can hold everything would keep: nothing of the host's, and of users' own attributes those of files and
/// directories (xattr(7)).
fn kept(kind: Kind, xattrs: &Xattrs) -> Xattrs {
    let users_allowed = matches!(kind, Kind::File | Kind::Directory);
    let kept = xattrs.iter().filter(|(name, value)| {
        !is_host_attribute(name)
            && is_holdable_attribute(name, value)
            && (users_allowed || !name.starts_with(b"user."))
    });
    kept.cloned().collect()
}
