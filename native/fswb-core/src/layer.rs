//! Packing a layer: a change set becomes a tar, in one pass, with its diffID.
//!
//! Order: by path, parents first; the whiteouts of a directory right after it. Same states, same bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use crate::archive::{Digested, Header, MemberKind, Output, encode};
use crate::baseline::Baseline;
use crate::change::{ChangeKind, ChangeSet};
use crate::entry::{Entry, Kind, Sha256, Xattrs};
use crate::error::{Error, Result};
use crate::layer::content::Files;
use crate::path::RelPath;
use crate::root::Root;

mod content;
#[cfg(test)]
mod tests;

/// Marks a name as deleted (OCI image spec, "Whiteouts").
pub const WHITEOUT: &[u8] = b".wh.";

/// A layer as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedLayer {
    /// Digest and size of the tar.
    pub tar: Digested,
    /// Number of members: changed entries, directories above them, whiteouts.
    pub entries: u64,
}

/// Writes `changes` as an uncompressed layer and records in them the digests of the contents it read.
///
/// `baseline` is the state before. `max_mtime`, in seconds: no time in the layer is later. Where `others_write`, files that
/// somebody has open for writing are recorded as racy.
/// `interrupted` is asked now and then; its error ends the work.
///
/// # Errors
///
/// `Refused` for what a layer cannot hold, and for a file that is no longer as it was when the changes were found.
pub fn pack_layer(
    root: &Root,
    baseline: &Baseline,
    changes: &mut ChangeSet,
    output: impl Write + Send + 'static,
    max_mtime: Option<i64>,
    others_write: bool,
    interrupted: &dyn Fn() -> Result<()>,
) -> Result<PackedLayer> {
    let plan = Plan::new(root, baseline, &*changes)?;
    let mut packer = Packer {
        files: Files::new(root, others_write),
        tar: Output::new(output, interrupted)?,
        max_mtime: max_mtime.unwrap_or(i64::MAX),
        entries: 0,
        contents: Vec::new(),
    };
    packer.write(&plan, &*changes)?;
    drop(plan);
    let tar = packer.tar.finish()?;
    record(changes, &packer.contents)?;
    Ok(PackedLayer {
        tar,
        entries: packer.entries,
    })
}

/// What was read of the file of a change.
struct Read {
    change: usize,
    sha256: Sha256,
    racy: bool,
}

/// All names of one inode have one content.
fn record(changes: &mut ChangeSet, contents: &[Read]) -> Result<()> {
    let mut of_inode = HashMap::new();
    for read in contents {
        let (sha256, change) = (read.sha256, &mut changes.changes[read.change]);
        let Some(after) = change.after.as_mut().map(Arc::make_mut) else {
            continue;
        };
        // Same size, same time, other bytes: someone wrote through a mapping, or set the time back.
        if after.sha256.is_some_and(|compared| compared != sha256) {
            return Err(changed(
                &change.path,
                "its content is not what was compared",
            ));
        }
        after.sha256 = Some(sha256);
        after.racy |= read.racy;
        if after.nlink > 1 {
            of_inode.insert((after.dev, after.ino), read);
        }
    }
    let linked = changes
        .changes
        .iter_mut()
        .filter_map(|change| change.after.as_mut())
        .map(Arc::make_mut);
    for after in linked.filter(|after| after.kind == Kind::File && after.nlink > 1) {
        if let Some(read) = of_inode.get(&(after.dev, after.ino)) {
            after.sha256 = Some(read.sha256);
            after.racy |= read.racy;
        }
    }
    Ok(())
}

/// What the tar will hold, in order.
struct Plan<'c> {
    members: BTreeMap<Cow<'c, RelPath>, Planned>,
    /// Names to hide, by directory.
    whiteouts: HashMap<RelPath, Vec<Vec<u8>>>,
}

enum Planned {
    /// A change, by its place in the change set.
    Changed(usize),
    /// A directory above a change.
    Above(Box<Entry>),
    /// The unchanged root: only its whiteouts are written.
    Root,
}

impl<'c> Plan<'c> {
    fn new(root: &Root, baseline: &Baseline, changes: &'c ChangeSet) -> Result<Self> {
        let mut plan = Self {
            members: BTreeMap::from([(Cow::Owned(RelPath::ROOT), Planned::Root)]),
            whiteouts: HashMap::new(),
        };
        for (at, change) in changes.changes.iter().enumerate() {
            if change.after.is_some() {
                plan.members
                    .insert(Cow::Borrowed(&change.path), Planned::Changed(at));
            }
        }
        for change in &changes.changes {
            plan.add_above(root, &change.path)?;
            if change.kind == ChangeKind::Deleted {
                plan.hide(baseline, &change.path);
            }
        }
        plan.members.keys().try_for_each(|path| check_name(path))?;
        Ok(plan)
    }

    /// A path a lower layer has needs a whiteout; another would only puzzle whoever applies the layer.
    fn hide(&mut self, baseline: &Baseline, path: &RelPath) {
        if baseline.entry(path).is_none() {
            return;
        }
        if let (Some(parent), Some(name)) = (path.parent(), path.name()) {
            self.whiteouts
                .entry(parent)
                .or_default()
                .push(name.to_vec());
        }
    }

    fn add_above(&mut self, root: &Root, path: &RelPath) -> Result<()> {
        // From the parent up: where one is planned, all above it are.
        let mut above = path.parent();
        while let Some(directory) = above.filter(|directory| !self.members.contains_key(directory))
        {
            let entry = root
                .entry(&directory)?
                .filter(|entry| entry.kind == Kind::Directory);
            let entry = entry.ok_or_else(|| changed(&directory, "it is no directory any more"))?;
            above = directory.parent();
            self.members
                .insert(Cow::Owned(directory), Planned::Above(Box::new(entry)));
        }
        Ok(())
    }
}

fn check_name(path: &RelPath) -> Result<()> {
    if path.name().is_some_and(|name| name.starts_with(WHITEOUT)) {
        let reason = "a name that starts with .wh. cannot be in an image: layers use it to mark deletions; rename it";
        return Err(Error::refused(path, reason));
    }
    Ok(())
}

fn changed(path: &RelPath, what: &str) -> Error {
    Error::refused(path, format!("changed while the layer was written: {what}"))
}

struct Packer<'a> {
    files: Files<'a>,
    tar: Output<'a>,
    max_mtime: i64,
    entries: u64,
    contents: Vec<Read>,
}

impl Packer<'_> {
    fn write(&mut self, plan: &Plan<'_>, changes: &ChangeSet) -> Result<()> {
        // The first name of an inode is the file, by its place in the change set.
        let mut first_names: HashMap<(u64, u64), usize> = HashMap::new();
        for (path, planned) in &plan.members {
            match planned {
                Planned::Root => {}
                Planned::Above(entry) => self.entry(path, entry, None)?,
                Planned::Changed(at) => {
                    let Some(entry) = &changes.changes[*at].after else {
                        continue;
                    };
                    let linked = entry.kind != Kind::Directory && entry.nlink > 1;
                    let first = if linked {
                        *first_names.entry((entry.dev, entry.ino)).or_insert(*at)
                    } else {
                        *at
                    };
                    if first == *at {
                        self.entry(path, entry, Some(*at))?;
                    } else {
                        self.hard_link(path, entry, &changes.changes[first].path)?;
                    }
                }
            }
            for name in plan.whiteouts.get(path.as_ref()).into_iter().flatten() {
                self.whiteout(path, name)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &RelPath, entry: &Entry, at: Option<usize>) -> Result<()> {
        let mut name = path.as_bytes().to_vec();
        if path.is_root() {
            name.push(b'.');
        }
        if entry.kind == Kind::Directory {
            name.push(b'/');
        }
        let mut header = self.header(&name, entry)?;
        header.link = &entry.target;
        header.size = entry.size;
        if entry.kind != Kind::File {
            return self.put(&header);
        }
        let content = self.files.open(path, entry)?;
        self.put(&header)?;
        let sha256 = content.write(path, &mut self.tar)?;
        self.contents.extend(at.map(|change| Read {
            change,
            sha256,
            racy: content.racy,
        }));
        Ok(())
    }

    fn hard_link(&mut self, path: &RelPath, entry: &Entry, first: &RelPath) -> Result<()> {
        let mut header = self.header(path.as_bytes(), entry)?;
        header.kind = MemberKind::HardLink;
        header.link = first.as_bytes();
        header.rdev = 0;
        // They are the inode's, and the first name has them.
        const NONE: &Xattrs = &Vec::new();
        header.xattrs = NONE;
        self.put(&header)
    }

    fn whiteout(&mut self, directory: &RelPath, name: &[u8]) -> Result<()> {
        let path = directory.join(&[WHITEOUT, name].concat())?;
        self.put(&Header {
            name: path.as_bytes(),
            kind: MemberKind::New(Kind::File),
            link: b"",
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            rdev: 0,
            xattrs: &Vec::new(),
        })
    }

    fn header<'h>(&self, name: &'h [u8], entry: &'h Entry) -> Result<Header<'h>> {
        if let Some((attribute, _)) = entry.xattrs.iter().find(|(name, _)| name.contains(&b'=')) {
            let reason = format!(
                "its attribute {} cannot be in a tar: the name holds an equals sign",
                attribute.escape_ascii()
            );
            return Err(Error::refused(name, reason));
        }
        Ok(Header {
            name,
            kind: MemberKind::New(entry.kind),
            link: b"",
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: 0,
            mtime: entry.mtime_ns.div_euclid(1_000_000_000).min(self.max_mtime),
            rdev: entry.rdev,
            xattrs: &entry.xattrs,
        })
    }

    fn put(&mut self, header: &Header<'_>) -> Result<()> {
        self.entries += 1;
        encode(header, self.tar.buffer());
        self.tar.spill()
    }
}
