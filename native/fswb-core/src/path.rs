//! Paths below a root file system: bytes, relative, clean.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

use crate::error::{Error, Result};

/// A path relative to the root file system.
///
/// Invariant: no part is empty, `.` or `..`, and no byte is NUL. The root itself is the empty path.
///
/// Paths are ordered part by part, each part bytewise, so a directory comes right before what is below it:
/// `a`, `a/b`, `a-b`. (Plain byte order would put `a-b` between the two.)
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The root itself.
    pub const ROOT: Self = Self(Vec::new());

    /// Takes a path that is clean already; one that is not is refused.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Ok(Self(bytes));
        }
        let clean = bytes.split(|&byte| byte == b'/').all(is_name);
        if clean {
            Ok(Self(bytes))
        } else {
            Err(Error::refused(bytes, "not a clean relative path"))
        }
    }

    /// Cleans a path lexically: leading `/`, empty parts and `.` go; `..` takes the part before it away and stops at
    /// the root, as the kernel does for `/..`.
    pub fn clean(bytes: &[u8]) -> Result<Self> {
        let mut path = Self::ROOT;
        for part in bytes.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => path = path.parent().unwrap_or_default(),
                name => path = path.join(name)?,
            }
        }
        Ok(path)
    }

    /// This path and one more part.
    pub fn join(&self, name: &[u8]) -> Result<Self> {
        if !is_name(name) || name.contains(&b'/') {
            return Err(Error::refused(name, "not a file name"));
        }
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        if !self.is_root() {
            bytes.extend_from_slice(&self.0);
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Ok(Self(bytes))
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory it is in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The last part; `None` for the root.
    pub fn name(&self) -> Option<&[u8]> {
        if self.is_root() {
            None
        } else {
            self.0.rsplit(|&byte| byte == b'/').next()
        }
    }

    /// The parts, from the root down.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty())
    }

    /// The directories above it, from the root (included) down to its parent. Empty for the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        let root = (!self.is_root()).then_some(Self::ROOT);
        let slashes = self.0.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        root.into_iter()
            .chain(slashes.map(|(end, _)| Self(self.0[..end].to_vec())))
    }

    /// Whether it is `directory` or below it.
    pub fn is_within(&self, directory: &Self) -> bool {
        directory.is_root()
            || self
                .0
                .strip_prefix(directory.0.as_slice())
                .is_some_and(|rest| rest.first().is_none_or(|&b| b == b'/'))
    }

    /// What is left of it below a directory that it is within.
    pub fn below(&self, directory: &Self) -> Self {
        let rest = self.0.strip_prefix(directory.0.as_slice()).unwrap_or(&[]);
        Self(rest.strip_prefix(b"/").unwrap_or(rest).to_vec())
    }

    /// The bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a leading slash.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

pub(crate) fn is_name(part: &[u8]) -> bool {
    !part.is_empty() && part != b"." && part != b".." && !part.contains(&0)
}

/// Where the shorter of two ends or before. Paths of one tree begin alike: eight bytes are compared at a time.
fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    const STEP: usize = 8;
    let pairs = one.chunks_exact(STEP).zip(other.chunks_exact(STEP));
    let same = STEP * pairs.take_while(|(one, other)| one == other).count();
    let rest = one[same..].iter().zip(&other[same..]);
    let at = rest.take_while(|(one, other)| one == other).count() + same;
    (at < one.len().min(other.len())).then_some(at)
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        // A NUL is in no path, so `/` may take its place as the lowest byte.
        let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
        match first_difference(&self.0, &other.0) {
            Some(at) => rank(self.0[at]).cmp(&rank(other.0[at])),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<[u8]> for RelPath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        // Sound for hashing and equality, which a `Vec` and a slice share. Not for ordered maps: `Ord` differs.
        &self.0
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn unclean_paths_are_refused() {
        for bad in ["/a", "a/", "a//b", ".", "a/..", "a/./b", "a\0b"] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        assert!(RelPath::new("").unwrap().is_root());
    }

    #[test]
    fn cleaning_is_clamped_at_the_root() {
        assert_eq!(RelPath::clean(b"/a/./b//../c/").unwrap(), path("a/c"));
        assert_eq!(
            RelPath::clean(b"../../etc/passwd").unwrap(),
            path("etc/passwd")
        );
        assert!(RelPath::clean(b"/").unwrap().is_root());
    }

    #[test]
    fn a_directory_comes_right_before_what_is_below_it() {
        let mut paths = [
            path("a-b"),
            path("a/b"),
            path("a"),
            path("a.d"),
            path("a/b/c"),
            RelPath::ROOT,
        ];
        paths.sort();
        assert_eq!(
            paths,
            [
                RelPath::ROOT,
                path("a"),
                path("a/b"),
                path("a/b/c"),
                path("a-b"),
                path("a.d")
            ]
        );
    }

    #[test]
    fn paths_compare_as_their_lists_of_parts_do_however_long_they_begin_alike() {
        let names = [
            "a",
            "b",
            "a-",
            "a.",
            "aaaaaaa",
            "aaaaaaaa",
            "aaaaaaab",
            "aaaaaaaaa",
        ];
        let mut all = vec![RelPath::ROOT];
        for first in names {
            all.push(path(first));
            for second in names {
                all.push(path(&format!("{first}/{second}")));
            }
        }
        let parts = |path: &RelPath| path.parts().map(<[u8]>::to_vec).collect::<Vec<_>>();
        for one in &all {
            for other in &all {
                assert_eq!(
                    one.cmp(other),
                    parts(one).cmp(&parts(other)),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn ancestors_run_from_the_root_to_the_parent() {
        let above: Vec<_> = path("a/b/c").ancestors().collect();
        assert_eq!(above, [RelPath::ROOT, path("a"), path("a/b")]);
        assert_eq!(RelPath::ROOT.ancestors().count(), 0);
    }

    #[test]
    fn within_goes_by_part_not_by_prefix() {
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(!path("a-b").is_within(&path("a")));
    }
}
