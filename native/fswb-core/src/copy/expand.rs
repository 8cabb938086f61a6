//! What the source of a COPY names.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::copy::Source;
use crate::copy::walk::Walk;
use crate::descent::names;
use crate::entry::Kind;
use crate::error::{Error, Result, present};
use crate::glob::{Glob, Syntax, has_wildcard};
use crate::path::RelPath;

/// The paths that a source names, sorted, as it spells them: links are followed when they are copied.
///
/// Without a wildcard that is the path itself, which must exist (`ENOENT` with the path as given). With one, each level
/// of the path is matched on its own; no match is no error, and what `--exclude` names is no match.
pub fn expand(source: &Source<'_>, pattern: &[u8]) -> Result<Vec<RelPath>> {
    let clean = RelPath::clean(pattern)?;
    if !has_wildcard(pattern) {
        let seen = match source.find(&clean) {
            Ok((path, found)) => is_seen(source, &clean, &path, found.entry.kind)?,
            Err(error) if error.is_absent() => false,
            Err(error) => return Err(error),
        };
        return if seen {
            Ok(vec![clean])
        } else {
            Err(Error::system("statx", pattern, Errno::NOENT))
        };
    }
    let mut base = RelPath::ROOT;
    let mut globs = Vec::new();
    for part in clean.parts() {
        if globs.is_empty() && !has_wildcard(part) {
            base = base.join(part)?;
        } else {
            globs.push(Glob::new(part, Syntax::Plain)?);
        }
    }
    // As spelled, and as it is without links. Below the base only real directories are looked into.
    let mut found = vec![(base.clone(), source.root.resolve(base.as_bytes())?)];
    for glob in &globs {
        let mut below = Vec::new();
        for (spelled, path) in found {
            for name in names_below(source, &path)? {
                if glob.matches(&name) {
                    below.push((spelled.join(&name)?, path.join(&name)?));
                }
            }
        }
        found = below;
    }
    let mut seen = Vec::new();
    for (spelled, path) in found {
        if is_excluded(source, &spelled)? {
            continue;
        }
        let target = source.root.resolve(path.as_bytes())?;
        // A link that leads nowhere is taken here, and fails when it is copied.
        let kind = match source.find(&target) {
            Ok((_, found)) => found.entry.kind,
            Err(error) if error.is_absent() => Kind::Symlink,
            Err(error) => return Err(error),
        };
        if is_seen(source, &spelled, &target, kind)? {
            seen.push(spelled);
        }
    }
    seen.sort();
    Ok(seen)
}

fn names_below(source: &Source<'_>, directory: &RelPath) -> Result<Vec<Vec<u8>>> {
    let opened = match source.root.open_directory(directory) {
        // A link: none of its names are below this directory.
        Err(Error::System {
            errno: libc::ELOOP, ..
        }) => None,
        result => present(result)?,
    };
    match opened {
        Some(fd) => names(fd.as_fd(), directory),
        None => Ok(Vec::new()),
    }
}

fn is_ignored(source: &Source<'_>, path: &RelPath) -> bool {
    source.ignore.is_some_and(|patterns| patterns.matches(path))
}

/// Whether `--exclude` names what a wildcard found: relative to itself, that is its last part.
fn is_excluded(source: &Source<'_>, found: &RelPath) -> Result<bool> {
    let (Some(patterns), Some(name)) = (source.selection.exclude, found.name()) else {
        return Ok(false);
    };
    Ok(patterns.matches(&RelPath::new(name)?))
}

/// Whether anything of an entry is left by the ignore patterns: an ignored directory is seen if something in it is.
fn is_seen(source: &Source<'_>, spelled: &RelPath, path: &RelPath, kind: Kind) -> Result<bool> {
    if path != spelled && is_ignored(source, spelled) {
        return Ok(false);
    }
    if !is_ignored(source, path) {
        return Ok(true);
    }
    if kind != Kind::Directory {
        return Ok(false);
    }
    Ok(Walk::new(*source, path)?.next()?.is_some())
}
