//! Patterns over byte paths: the syntax of Go's `filepath.Match`, with or without `**`.
//!
//! Matching follows all states at once, so its time is pattern times path whatever the pattern: there is no backtracking
//! that a hostile pattern could blow up.

use crate::error::{Error, Result};

/// Which syntax a pattern is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `filepath.Match`: `*` stops at `/`, a second `*` means nothing new.
    Plain,
    /// As in an ignore file: `**` crosses `/`.
    DoubleStar,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(u32),
    /// `?`: any character but `/`.
    Any,
    Class {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
    /// `*`: any characters but `/`.
    Star,
    /// `**` at the end: anything.
    Rest,
    /// `**` elsewhere: nothing, or anything that ends with `/`. Always followed by `InLevels`.
    Levels,
    /// Inside such a run.
    InLevels,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    tokens: Vec<Token>,
}

/// Whether a path part or pattern holds a character that [`Glob`] reads specially.
pub fn has_wildcard(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| b"*?[\\".contains(byte))
}

/// The characters of bytes that need not be UTF-8: a byte that belongs to no character stands for itself.
fn characters(bytes: &[u8]) -> Vec<u32> {
    const BEYOND_UNICODE: u32 = 0x11_0000;
    let mut found = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        found.extend(chunk.valid().chars().map(u32::from));
        found.extend(
            chunk
                .invalid()
                .iter()
                .map(|&byte| BEYOND_UNICODE + u32::from(byte)),
        );
    }
    found
}

const SLASH: u32 = b'/' as u32;
const STAR: u32 = b'*' as u32;

impl Glob {
    /// Compiles a pattern; one that `filepath.Match` calls bad is refused: an open `[`, an empty class, half a range, a
    /// `\` at the end.
    pub fn new(pattern: &[u8], syntax: Syntax) -> Result<Self> {
        let bad = || Error::refused(pattern, "syntax error in pattern");
        let input = characters(pattern);
        let mut tokens = Vec::with_capacity(input.len());
        let mut at = 0;
        while let Some(&character) = input.get(at) {
            at += 1;
            match u8::try_from(character).unwrap_or(0) {
                b'*' if syntax == Syntax::DoubleStar && input.get(at) == Some(&STAR) => {
                    at += 1;
                    // `**/` is `**`: what it stands for ends with the slash already.
                    if input.get(at) == Some(&SLASH) {
                        at += 1;
                    }
                    if at == input.len() {
                        tokens.push(Token::Rest);
                    } else {
                        tokens.extend([Token::Levels, Token::InLevels]);
                    }
                }
                b'*' => tokens.push(Token::Star),
                b'?' => tokens.push(Token::Any),
                b'[' => tokens.push(class(&input, &mut at).ok_or_else(bad)?),
                b'\\' => {
                    tokens.push(Token::Char(*input.get(at).ok_or_else(bad)?));
                    at += 1;
                }
                _ => tokens.push(Token::Char(character)),
            }
        }
        Ok(Self { tokens })
    }

    /// Whether the whole of `path` matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        let end = self.tokens.len();
        let mut now = vec![false; end + 1];
        let mut next = now.clone();
        self.reach(&mut now, 0);
        for character in characters(path) {
            next.fill(false);
            for (state, token) in self.tokens.iter().enumerate() {
                if !now[state] {
                    continue;
                }
                match token {
                    Token::Char(wanted) if *wanted == character => self.reach(&mut next, state + 1),
                    Token::Any if character != SLASH => self.reach(&mut next, state + 1),
                    Token::Class { negated, ranges }
                        if *negated
                            != ranges
                                .iter()
                                .any(|&(low, high)| (low..=high).contains(&character)) =>
                    {
                        self.reach(&mut next, state + 1);
                    }
                    Token::Star if character != SLASH => self.reach(&mut next, state),
                    Token::Rest => self.reach(&mut next, state),
                    Token::InLevels => {
                        next[state] = true;
                        if character == SLASH {
                            self.reach(&mut next, state + 1);
                        }
                    }
                    _ => {}
                }
            }
            std::mem::swap(&mut now, &mut next);
        }
        now[end]
    }

    /// Marks a state and those that follow from it without a character.
    fn reach(&self, states: &mut [bool], state: usize) {
        if std::mem::replace(&mut states[state], true) {
            return;
        }
        match self.tokens.get(state) {
            Some(Token::Star | Token::Rest) => self.reach(states, state + 1),
            Some(Token::Levels) => {
                states[state + 1] = true;
                self.reach(states, state + 2);
            }
            _ => {}
        }
    }
}

/// The class after an opening bracket.
fn class(input: &[u32], at: &mut usize) -> Option<Token> {
    let is = |at: usize, byte: u8| input.get(at) == Some(&u32::from(byte));
    let negated = is(*at, b'^');
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    while ranges.is_empty() || !is(*at, b']') {
        let low = class_character(input, at)?;
        let high = if is(*at, b'-') {
            *at += 1;
            class_character(input, at)?
        } else {
            low
        };
        ranges.push((low, high));
    }
    *at += 1;
    Some(Token::Class { negated, ranges })
}

fn class_character(input: &[u32], at: &mut usize) -> Option<u32> {
    let mut character = *input.get(*at)?;
    if character == u32::from(b'-') || character == u32::from(b']') {
        return None;
    }
    *at += 1;
    if character == u32::from(b'\\') {
        character = *input.get(*at)?;
        *at += 1;
    }
    Some(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pattern: &str, path: &[u8]) -> bool {
        Glob::new(pattern.as_bytes(), Syntax::Plain)
            .unwrap()
            .matches(path)
    }

    fn double(pattern: &str, path: &str) -> bool {
        Glob::new(pattern.as_bytes(), Syntax::DoubleStar)
            .unwrap()
            .matches(path.as_bytes())
    }

    #[test]
    fn a_star_stops_at_a_slash() {
        assert!(plain("*.txt", b"a.txt"));
        assert!(plain("a*", b"a"));
        assert!(!plain("*", b"a/b"));
        assert!(!plain("**", b"a/b"));
        assert!(!plain("?", b"/"));
    }

    #[test]
    fn classes_and_escapes() {
        assert!(plain("[[]x", b"[x"));
        assert!(plain("[a-c]", b"b"));
        assert!(!plain("[^a-c]", b"b"));
        assert!(plain("[^a-c]", b"d"));
        assert!(plain(r"\*", b"*"));
        assert!(!plain(r"\*", b"x"));
        assert!(plain(r"[\]]", b"]"));
        assert!(plain("[!a]", b"!"), "only ^ negates");
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in [
            "[", "[]", "[]a]", "[a", "[a-", "[a-]", "[-a]", "\\", "a[^", "[\\",
        ] {
            assert!(Glob::new(bad.as_bytes(), Syntax::Plain).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_question_mark_is_one_character_or_one_stray_byte() {
        assert!(plain("?", "é".as_bytes()));
        assert!(plain("?", b"\xff"));
        assert!(!plain("?", b"\xff\xfe"));
        assert!(plain("[à-ü]", "é".as_bytes()));
    }

    #[test]
    fn two_stars_cross_levels() {
        assert!(double("**/.git", ".git"));
        assert!(double("**/.git", "a/b/.git"));
        assert!(!double("**/.git", "a/x.git"));
        assert!(double("a/**/b", "a/b"));
        assert!(double("a/**/b", "a/x/y/b"));
        assert!(!double("a/**/b", "a/xb"));
        assert!(double("a/**", "a/x/y"));
        assert!(!double("a/**", "a"));
        assert!(double("**", "a/b"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(40) + "b";
        assert!(!plain(&pattern, "a".repeat(2000).as_bytes()));
    }
}
