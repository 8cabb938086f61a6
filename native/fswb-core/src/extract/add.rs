//! ADD of an archive: it is extracted into a directory. There are no whiteouts, and no baseline is kept: the list of what
//! was written is looked at afterwards.

use std::collections::BTreeSet;
use std::io::Read;

use crate::archive::{Limits, Member, MemberKind, Reader};
use crate::entry::Kind;
use crate::error::Result;
use crate::extract::metadata::Owner;
use crate::extract::place::{Made, clean_name, holdable, linked_path, on_the_way};
use crate::extract::tree::{Created, Tree, default_owner};
use crate::layer::WHITEOUT;
use crate::path::RelPath;
use crate::root::Root;

/// What ADD wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Added {
    /// Every path written, parents that had to be made included, sorted.
    pub paths: Vec<RelPath>,
    /// Those of them that were made to lead to the destination, itself included, sorted.
    pub led_through: Vec<RelPath>,
    /// Number of regular files.
    pub files: u64,
    /// Bytes of their content.
    pub size: u64,
    /// What could not be represented.
    pub warnings: Vec<String>,
}

/// Extracts an uncompressed tar into `dest`, which becomes a directory if there is nothing; links on the way to it are
/// followed inside the root.
///
/// `owner` replaces the owners in the archive. Directories merge; whatever else has the name of a member is replaced. An
/// entry for `.` leaves `dest` alone, and existing directories that the archive does not list keep their times.
///
/// # Errors
///
/// `Archive` for a tar that breaks the rules or cannot be part of an image; `ENOTDIR` if `dest` is no directory.
pub fn add_archive(
    root: &Root,
    dest: &RelPath,
    input: impl Read,
    owner: Option<Owner>,
    limits: Limits,
) -> Result<Added> {
    let created = Created {
        owner: owner.unwrap_or_else(default_owner),
        mtime_ns: None,
    };
    let mut tree = Tree::new(root, created);
    let dest = tree.directory_to_write(dest)?.path.clone();
    let mut added = Added {
        led_through: std::mem::take(&mut tree.new_parents),
        ..Added::default()
    };
    added.led_through.sort_unstable();
    let mut paths: BTreeSet<RelPath> = added.led_through.iter().cloned().collect();
    let mut reader = Reader::new(input, false, limits);
    while let Some(member) = reader.next_member()? {
        let spelled = holdable(&member, clean_name(&member, &member.name)?)?;
        let (Some(parent), Some(name)) = (spelled.parent(), spelled.name()) else {
            continue;
        };
        check_parts(&member, &spelled)?;
        let found = tree.directory_to_write(&below(&dest, &parent)?);
        let directory = found.map_err(|error| on_the_way(&member, error))?;
        paths.extend(tree.new_parents.drain(..));
        let path = directory.path.join(name)?;
        match member.kind {
            MemberKind::HardLink => {
                let target = below(&dest, &linked_path(&member)?)?;
                tree.link(&directory, &path, &member, &target)?;
            }
            MemberKind::New(kind) => {
                let owner = owner.unwrap_or((member.uid, member.gid));
                let made = tree.place(&directory, &path, kind, &member, owner, &mut reader)?;
                if let Made::File(file) = made {
                    file.finish(&mut tree.warnings)?;
                    added.files += 1;
                    added.size += member.size;
                }
            }
        }
        if !matches!(member.kind, MemberKind::New(Kind::Directory)) {
            drop_below(&mut paths, &path);
        }
        paths.insert(path);
    }
    // The writer of the archive is read to its end, so that it does not see a broken pipe.
    reader.finish()?;
    tree.finish(|_, _| Ok(()))?;
    added.paths = paths.into_iter().collect();
    added.warnings = tree.warnings;
    Ok(added)
}

fn below(dest: &RelPath, path: &RelPath) -> Result<RelPath> {
    path.parts()
        .try_fold(dest.clone(), |path, part| path.join(part))
}

fn check_parts(member: &Member, path: &RelPath) -> Result<()> {
    if path.parts().any(|part| part.starts_with(WHITEOUT)) {
        let reason =
            "a name that starts with .wh. cannot be in an image: layers use it to mark deletions";
        return Err(member.error(reason));
    }
    Ok(())
}

/// A later member of the archive took the place of a directory.
fn drop_below(paths: &mut BTreeSet<RelPath>, path: &RelPath) {
    let below = paths
        .range(path.clone()..)
        .take_while(|known| known.is_within(path));
    for known in below.cloned().collect::<Vec<_>>() {
        paths.remove(&known);
    }
}
