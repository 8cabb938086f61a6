//! `--chmod`: octal, or symbolic as chmod(1) takes it.

use crate::error::{Error, Result};

const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;
/// A clause that names no one (`+w`) spares these bits, as BuildKit's umask does.
const UMASK: u32 = 0o022;

/// A mode to give to what is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The mode itself.
    Octal(u32),
    /// What to change in the mode an entry has.
    Symbolic(Vec<Clause>),
}

/// One action of a symbolic mode, such as `+x` of `u=r+x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Bits of those it is for; 0: all of them, less the umask.
    who: u32,
    action: u8,
    permissions: Permissions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Permissions {
    Bits {
        bits: u32,
        /// `X`: execute, for a directory or what anyone can execute.
        search: bool,
    },
    /// `u`, `g` or `o`: those that they have, by how far their bits are shifted.
    CopyOf(u32),
}

impl Mode {
    /// Reads a mode; octal to 07777.
    pub fn new(text: &str) -> Result<Self> {
        let bad = || Error::refused(text, "invalid chmod parameter");
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o7777 => Ok(Self::Octal(mode)),
                _ => Err(bad()),
            };
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            clauses.extend(clauses_of(part.as_bytes()).ok_or_else(bad)?);
        }
        Ok(Self::Symbolic(clauses))
    }

    /// The mode of an entry that had `mode`.
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Octal(octal) => *octal,
            Self::Symbolic(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }

    /// The mode of a parent directory that is made on the way: only an octal one is for it.
    pub fn of_parent(&self) -> u32 {
        match self {
            Self::Octal(octal) => *octal,
            Self::Symbolic(_) => 0o755,
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let (who, spared) = match self.who {
            0 => (0o7777, UMASK),
            who => (who | STICKY, 0),
        };
        let granted = match self.permissions {
            Permissions::Bits { bits, search } if search && (is_directory || mode & 0o111 != 0) => {
                bits | 0o111
            }
            Permissions::Bits { bits, .. } => bits,
            Permissions::CopyOf(shift) => ((mode >> shift) & 0o7) * 0o111,
        };
        let bits = granted & who & !spared;
        match self.action {
            b'+' => mode | bits,
            b'-' => mode & !bits,
            _ => (mode & !(who & !STICKY)) | bits,
        }
    }
}

/// The actions of one comma-separated part: who, then one or more of action and permissions.
fn clauses_of(part: &[u8]) -> Option<Vec<Clause>> {
    let mut who = 0;
    let mut rest = part;
    while let Some((first, after)) = rest.split_first() {
        who |= match first {
            b'u' => 0o4700,
            b'g' => 0o2070,
            b'o' => 0o0007,
            b'a' => 0o6777,
            _ => break,
        };
        rest = after;
    }
    let mut clauses = Vec::new();
    while let Some((&action, after)) = rest.split_first() {
        if !b"+-=".contains(&action) {
            return None;
        }
        let end = after
            .iter()
            .position(|byte| b"+-=".contains(byte))
            .unwrap_or(after.len());
        let (letters, next) = after.split_at(end);
        clauses.push(Clause {
            who,
            action,
            permissions: permissions(letters, who)?,
        });
        rest = next;
    }
    (!clauses.is_empty()).then_some(clauses)
}

fn permissions(letters: &[u8], who: u32) -> Option<Permissions> {
    match letters {
        b"u" => return Some(Permissions::CopyOf(6)),
        b"g" => return Some(Permissions::CopyOf(3)),
        b"o" => return Some(Permissions::CopyOf(0)),
        _ => {}
    }
    let only_others = who == 0o0007;
    let mut bits = 0;
    let mut search = false;
    for letter in letters {
        match letter {
            b'r' => bits |= 0o444,
            b'w' => bits |= 0o222,
            b'x' => bits |= 0o111,
            b'X' => search = true,
            b's' => bits |= SET_ID,
            b't' if only_others => {}
            b't' => bits |= STICKY,
            _ => return None,
        }
    }
    Some(Permissions::Bits { bits, search })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> u32 {
        Mode::new(text).unwrap().apply(mode, false)
    }

    #[test]
    fn octal() {
        assert_eq!(file("0", 0o777), 0);
        assert_eq!(file("4755", 0o600), 0o4755);
        assert_eq!(file("07777", 0o600), 0o7777);
        for bad in ["8", "10000", "755x", "0o7", "7 "] {
            assert!(Mode::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn symbolic() {
        assert_eq!(file("u=rwX,go=rX", 0o600), 0o644);
        assert_eq!(file("u=rwX,go=rX", 0o700), 0o755);
        assert_eq!(Mode::new("a+X").unwrap().apply(0o600, true), 0o711);
        assert_eq!(file("u+s,g+s", 0o755), 0o6755);
        assert_eq!(file("+t", 0o755), 0o1755);
        assert_eq!(file("g=u", 0o640), 0o660);
        assert_eq!(file("a-w", 0o666), 0o444);
        assert_eq!(file("go=", 0o777), 0o700);
        assert_eq!(file("+w", 0o444), 0o644, "no one named: the umask counts");
        assert_eq!(file("u=r+x", 0o200), 0o500);
        assert_eq!(file("u=rw", 0o4755), 0o655, "= takes the set-id bit away");
        for bad in ["", "u", "z+x", "u+q", "u+x,", "+ug", "rw"] {
            assert!(Mode::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn parents_take_only_an_octal_mode() {
        assert_eq!(Mode::new("700").unwrap().of_parent(), 0o700);
        assert_eq!(Mode::new("go-rwx").unwrap().of_parent(), 0o755);
    }
}
