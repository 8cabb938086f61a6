//! The fields of a header block.

use std::ops::Range;

use crate::archive::BLOCK;

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
pub(super) const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
pub(super) const MAGIC: Range<usize> = 257..265;
pub(super) const MAJOR: Range<usize> = 329..337;
pub(super) const MINOR: Range<usize> = 337..345;
pub(super) const PREFIX: Range<usize> = 345..500;

pub(super) const USTAR: &[u8; 8] = b"ustar\x0000";

/// A header block as it was read.
pub(super) struct RawHeader<'a>(pub(super) &'a [u8; BLOCK]);

impl RawHeader<'_> {
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0[TYPE]
    }

    /// Whether the checksum is right. Old tars summed signed bytes.
    pub(super) fn is_intact(&self) -> bool {
        let Some(stored) = number(&self.0[CHECKSUM]) else {
            return false;
        };
        let (before, after) = (&self.0[..CHECKSUM.start], &self.0[CHECKSUM.end..]);
        let blanks = CHECKSUM.len() as i64 * i64::from(b' ');
        let plain = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let signed = |bytes: &[u8]| {
            let values = bytes.iter().map(|&byte| i8::from_ne_bytes([byte]));
            values.map(i32::from).sum::<i32>()
        };
        stored == i64::from(plain(before) + plain(after)) + blanks
            || stored == i64::from(signed(before) + signed(after)) + blanks
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[NAME]);
        // GNU keeps times where POSIX has the prefix; star keeps times behind a shorter one.
        if !self.0[MAGIC].starts_with(b"ustar\0") {
            return name.to_vec();
        }
        let star = self.0[508..].starts_with(b"tar\0");
        let prefix = if star {
            PREFIX.start..PREFIX.start + 131
        } else {
            PREFIX
        };
        let prefix = text(&self.0[prefix]);
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    /// Whether GNU tar wrote it in its own format.
    pub(super) fn is_gnu(&self) -> bool {
        self.0[MAGIC] == *b"ustar  \0"
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[LINK]).to_vec()
    }

    /// A numeric field; `None` if it is none.
    pub(super) fn number(&self, field: Range<usize>) -> Option<i64> {
        number(&self.0[field])
    }
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Octal digits with spaces or NULs around them, or GNU's base-256: the top bit set, then two's complement, big endian.
/// A blank field is 0.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let &first = field.first()?;
    if first & 0x80 != 0 {
        let sign = if first & 0x40 != 0 { -1 } else { 0 };
        let top = i128::from(first & 0x3f) | (sign << 6);
        let value = field[1..].iter().try_fold(top, |value, &byte| {
            value.checked_mul(256).map(|value| value | i128::from(byte))
        })?;
        return i64::try_from(value).ok();
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = field.iter().position(|byte| !blank(byte));
    let Some(start) = start else {
        return Some(0);
    };
    let digits = field[start..].split(blank).next().unwrap_or_default();
    digits.iter().try_fold(0_i64, |value, &digit| {
        let digit = matches!(digit, b'0'..=b'7').then(|| i64::from(digit - b'0'))?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_octal_and_in_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"77777777"), Some(0o77_777_777));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"12x4\0"), None);
        assert_eq!(number(b"0000009\0"), None);
        assert_eq!(number(b"\x80\0\0\0\0\x20\0\0"), Some(0x20_0000));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(
            number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
            Some(-2)
        );
        assert_eq!(
            number(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            None
        );
    }
}
