//! Which paths match a list of patterns: those that a `.dockerignore` file or `--exclude` leaves out, those that
//! `--parents` takes.

use crate::error::{Error, Result};
use crate::glob::{Glob, Syntax, has_wildcard};
use crate::path::RelPath;

/// The patterns of a `.dockerignore` file, its comments gone, or of a flag.
///
/// The last pattern that matches a path or a directory above it wins; a `!` pattern lets in again what an earlier one
/// left out, also below a directory that stays out.
#[derive(Debug, Clone, Default)]
pub struct IgnorePatterns {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    readmits: bool,
    levels: Vec<Level>,
    matcher: Matcher,
}

/// One part of a pattern, as far as it tells which directories can hold a match.
#[derive(Debug, Clone)]
enum Level {
    Name(Vec<u8>),
    Glob(Glob),
    /// `**`, or a class, which can match a `/`.
    Anything,
}

#[derive(Debug, Clone)]
enum Matcher {
    Whole(Vec<u8>),
    /// `**x` without another wildcard: Docker's matcher takes it as "ends with x", so `**b` matches `ab`.
    End(Vec<u8>),
    Glob(Glob),
}

/// What the patterns say of one path, and what that means for paths below it.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    matched: Vec<bool>,
    excluded: bool,
}

impl Verdict {
    /// Whether the path matches; of an ignore file: is left out.
    pub fn matched(&self) -> bool {
        self.excluded
    }
}

impl IgnorePatterns {
    /// One pattern, a `!` at its start being no mark.
    pub fn one(pattern: &[u8]) -> Result<Self> {
        Ok(Self {
            patterns: vec![Pattern::new(&clean(pattern), false, pattern)?],
        })
    }

    /// Reads patterns, blank ones dropped. A bad one and a lone `!` are refused.
    pub fn new<L: AsRef<[u8]>>(lines: &[L]) -> Result<Self> {
        let mut patterns = Vec::new();
        for line in lines {
            let line = line.as_ref();
            let text = trim(line);
            let (readmits, text) = match text.strip_prefix(b"!") {
                Some(rest) => (true, trim(rest)),
                None => (false, text),
            };
            if text.is_empty() {
                if readmits {
                    return Err(Error::refused(
                        line,
                        "an ignore pattern cannot be a lone \"!\"",
                    ));
                }
                continue;
            }
            patterns.push(Pattern::new(&clean(text), readmits, line)?);
        }
        Ok(Self { patterns })
    }

    /// Whether a path matches.
    pub fn matches(&self, path: &RelPath) -> bool {
        self.verdict(path).excluded
    }

    /// What the patterns say of `path`, from the root down.
    pub fn verdict(&self, path: &RelPath) -> Verdict {
        let mut verdict = Verdict::default();
        for above in path.ancestors().skip(1).chain([path.clone()]) {
            if !above.is_root() {
                verdict = self.below(&verdict, &above);
            }
        }
        verdict
    }

    /// What the patterns say of `path`, given what they say of its parent (the default verdict for the root).
    pub fn below(&self, parent: &Verdict, path: &RelPath) -> Verdict {
        let mut verdict = Verdict {
            matched: Vec::with_capacity(self.patterns.len()),
            excluded: false,
        };
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.matched.get(index).copied().unwrap_or(false);
            // A pattern that could not change the outcome is not asked, and its answer counts as no: as Docker has it.
            let asked = pattern.readmits == verdict.excluded;
            let matched = inherited || (asked && pattern.matches(path.as_bytes()));
            if matched {
                verdict.excluded = !pattern.readmits;
            }
            verdict.matched.push(matched);
        }
        verdict
    }

    /// Whether a `!` pattern could let in something below a directory that is left out. May say yes in vain, never no.
    pub fn may_readmit_below(&self, directory: &RelPath) -> bool {
        let mut readmitting = self.patterns.iter().filter(|pattern| pattern.readmits);
        readmitting.any(|pattern| pattern.may_match_below(directory))
    }

    /// Whether something below a directory could match. May say yes in vain, never no.
    pub fn may_match_below(&self, directory: &RelPath) -> bool {
        let mut patterns = self.patterns.iter().filter(|pattern| !pattern.readmits);
        patterns.any(|pattern| pattern.may_match_below(directory))
    }
}

impl Pattern {
    fn new(text: &[u8], readmits: bool, line: &[u8]) -> Result<Self> {
        let glob = Glob::new(text, Syntax::DoubleStar)
            .map_err(|_| Error::refused(line, "syntax error in ignore pattern"))?;
        let matcher = match text.strip_prefix(b"**") {
            _ if !has_wildcard(text) => Matcher::Whole(text.to_vec()),
            Some(end) if !end.is_empty() && !end.starts_with(b"/") && is_literal(end) => {
                Matcher::End(end.to_vec())
            }
            _ => Matcher::Glob(glob),
        };
        Ok(Self {
            readmits,
            levels: text.split(|&byte| byte == b'/').map(Level::new).collect(),
            matcher,
        })
    }

    fn matches(&self, path: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Whole(text) => path == text,
            Matcher::End(end) => path.ends_with(end),
            Matcher::Glob(glob) => glob.matches(path),
        }
    }

    fn may_match_below(&self, directory: &RelPath) -> bool {
        let mut levels = self.levels.iter();
        for name in directory.parts() {
            match levels.next() {
                Some(Level::Name(wanted)) if wanted == name => {}
                Some(Level::Glob(glob)) if glob.matches(name) => {}
                Some(Level::Anything) => return true,
                _ => return false,
            }
        }
        levels.next().is_some()
    }
}

impl Level {
    fn new(part: &[u8]) -> Self {
        if !has_wildcard(part) {
            return Self::Name(part.to_vec());
        }
        let crosses = part.contains(&b'[') || part.windows(2).any(|pair| pair == b"**");
        match Glob::new(part, Syntax::Plain) {
            Ok(glob) if !crosses => Self::Glob(glob),
            // A class or an escape that holds the slash was cut in two.
            _ => Self::Anything,
        }
    }
}

fn is_literal(text: &[u8]) -> bool {
    !has_wildcard(text) && !text.contains(&b']')
}

fn trim(line: &[u8]) -> &[u8] {
    match std::str::from_utf8(line) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => line.trim_ascii(),
    }
}

/// Cleans a pattern as a path, lexically. A leading `/` goes; a `..` that leaves the context stays and matches nothing.
fn clean(pattern: &[u8]) -> Vec<u8> {
    let rooted = pattern.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in pattern.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|&last| last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true if rooted => b"/".to_vec(),
        true => b".".to_vec(),
        false => parts.join(&b'/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(lines: &[&str], path: &str) -> bool {
        let patterns = IgnorePatterns::new(lines).unwrap();
        patterns.matches(&RelPath::new(path).unwrap())
    }

    #[test]
    fn the_last_match_wins() {
        assert!(excluded(&["a"], "a/b"));
        assert!(!excluded(&["a", "!a/b"], "a/b"));
        assert!(excluded(&["a", "!a/b", "a/b/c"], "a/b/c"));
        assert!(!excluded(&["*", "!x"], "x"));
        assert!(!excluded(&["*", "!x"], "x/y"));
    }

    #[test]
    fn patterns_are_cleaned_before_they_match() {
        assert!(!excluded(&["*", "!./x"], "x"));
        assert!(excluded(&["/a//b/../c/"], "a/c"));
        assert!(excluded(&["  a\t"], "a"));
        assert!(excluded(&["! x", "x"], "x"));
    }

    #[test]
    fn one_pattern_is_taken_as_it_is() {
        let matches = |pattern: &str, path: &str| {
            let patterns = IgnorePatterns::one(pattern.as_bytes()).unwrap();
            patterns.matches(&RelPath::new(path).unwrap())
        };
        assert!(matches("!a", "!a"));
        assert!(matches("/a/./*.c", "a/b.c/d"));
        assert!(!matches("a/*.c", "a"));
        let patterns = IgnorePatterns::one(b"a/b*/c").unwrap();
        let may = |path: &str| patterns.may_match_below(&RelPath::new(path).unwrap());
        assert!(may("a") && may("a/bb"));
        assert!(!may("b") && !may("a/c"));
    }

    #[test]
    fn a_lone_exclamation_mark_is_refused() {
        assert!(IgnorePatterns::new(&["!"]).is_err());
        assert!(IgnorePatterns::new(&["! "]).is_err());
        assert!(IgnorePatterns::new(&["", " "]).is_ok());
        assert!(IgnorePatterns::new(&["[a"]).is_err());
    }

    #[test]
    fn a_directory_is_walked_only_where_something_can_come_back() {
        let patterns = IgnorePatterns::new(&["*", "!a/b/c", "!d*/x"]).unwrap();
        let may = |path: &str| patterns.may_readmit_below(&RelPath::new(path).unwrap());
        assert!(may("a"));
        assert!(may("a/b"));
        assert!(!may("a/x"));
        assert!(!may("b"));
        assert!(may("dd"));
        let anywhere = IgnorePatterns::new(&["*", "!**/x"]).unwrap();
        assert!(anywhere.may_readmit_below(&RelPath::new("q/r").unwrap()));
    }

    #[test]
    fn bytes_that_are_no_text_match() {
        let patterns = IgnorePatterns::new(&[b"\xff*".as_slice()]).unwrap();
        assert!(patterns.matches(&RelPath::new(b"\xffa".to_vec()).unwrap()));
    }
}
