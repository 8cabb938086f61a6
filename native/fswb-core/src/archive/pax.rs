//! PAX records: `LENGTH KEY=VALUE\n`.

use crate::archive::sparse;
use crate::entry::Xattrs;
use crate::error::excerpt;

/// The prefix under which every tar of note keeps extended attributes. (bsdtar has them a second time, in a form of its
/// own.)
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";
const SPARSE: &[u8] = b"GNU.sparse.";

/// What PAX headers and GNU's long names say about the next member.
#[derive(Debug, Clone, Default)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime_ns: Option<i64>,
    pub(super) xattrs: Xattrs,
    pub(super) sparse: Option<Box<sparse::Records>>,
}

impl Extension {
    /// Bytes of memory that it takes, near enough.
    pub(super) fn size(&self) -> usize {
        let texts = [&self.path, &self.link].into_iter().flatten().map(Vec::len);
        let xattrs = self
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len());
        let sparse = self.sparse.iter().map(|sparse| sparse.memory());
        texts.chain(xattrs).chain(sparse).sum()
    }

    /// Takes over the records of one header. An empty value takes back what a global header said.
    pub(super) fn absorb(&mut self, mut records: &[u8]) -> Result<(), String> {
        while !records.is_empty() {
            let (key, value, rest) = split(records).ok_or("a malformed PAX record")?;
            self.set(key, value)?;
            records = rest;
        }
        // The last word on an attribute counts. Sorted at the end: a header may hold 50,000.
        self.xattrs.reverse();
        self.xattrs.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.xattrs.dedup_by(|(one, _), (other, _)| one == other);
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let bad = || format!("a PAX record {} of {}", excerpt(key), excerpt(value));
        if let Some(name) = key.strip_prefix(XATTR) {
            if name.is_empty() || name.contains(&0) {
                return Err(bad());
            }
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        if let Some(key) = key.strip_prefix(SPARSE) {
            return self.sparse.get_or_insert_default().set(key, value);
        }
        let text = (!value.is_empty()).then(|| value.to_vec());
        let number = || match value {
            b"" => Ok(None),
            digits => decimal(digits).map(Some).ok_or_else(bad),
        };
        match key {
            b"path" | b"linkpath" if value.contains(&0) => return Err(bad()),
            b"path" => self.path = text,
            b"linkpath" => self.link = text,
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            // A time no one can read is no reason to refuse an image (hazard E8 of tests/README.md).
            b"mtime" => self.mtime_ns = text.map(|text| nanoseconds(&text).unwrap_or(0)),
            b"SCHILY.realsize" => {
                return Err("a sparse file in star's format, which is not supported".into());
            }
            _ => {}
        }
        Ok(())
    }
}

fn split(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&records[..space])?).ok()?;
    if length > records.len() || length < space + 2 {
        return None;
    }
    let record = records[space + 1..length].strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    if equals == 0 {
        return None;
    }
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

/// A number without a sign.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let number = digits.iter().all(u8::is_ascii_digit);
    number
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten()
}

/// `[-]SECONDS[.FRACTION]`, clamped to what nanoseconds in an `i64` hold; `None` if it is no number.
fn nanoseconds(text: &[u8]) -> Option<i64> {
    let (sign, text) = match text.strip_prefix(b"-") {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let seconds = decimal(whole).and_then(|seconds| i64::try_from(seconds).ok());
    let nanos = (0..9).fold(0, |nanos, at| {
        nanos * 10 + fraction.get(at).map_or(0, |digit| i64::from(digit - b'0'))
    });
    let total = seconds
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000_000)
        .saturating_add(nanos);
    Some(sign * total)
}

/// Appends one record. Its length counts its own digits.
pub(super) fn append(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + digits(length) != length {
        length = rest + digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for size in (0..120).chain(980..1010) {
            let mut records = Vec::new();
            append(&mut records, b"path", &vec![b'x'; size]);
            append(&mut records, b"uid", b"7");
            let mut extension = Extension::default();
            extension.absorb(&records).unwrap();
            assert_eq!(extension.path.unwrap_or_default().len(), size);
            assert_eq!(extension.uid, Some(7));
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            "7 path=a\n",
            "x path=a\n",
            "4 =\n",
            "0 a=b\n",
            "6 ab=\n7",
            "99 path=a\n",
            "+6 a=b\n",
        ] {
            let refused = Extension::default().absorb(bad.as_bytes());
            assert!(refused.is_err(), "{bad:?}");
        }
        assert!(Extension::default().absorb(b"12 path=a\0b\n").is_err());
        assert!(Extension::default().absorb(b"9 uid=-1\n").is_err());
    }

    #[test]
    fn e8_odd_and_negative_times_are_clamped() {
        assert_eq!(nanoseconds(b"-1.5"), Some(-1_500_000_000));
        assert_eq!(nanoseconds(b"1.000000001999"), Some(1_000_000_001));
        assert_eq!(nanoseconds(b"99999999999999999999999"), Some(i64::MAX));
        assert_eq!(nanoseconds(b"-99999999999999999999999"), Some(-i64::MAX));
        assert_eq!(nanoseconds(b"12."), Some(12_000_000_000));
        assert_eq!(nanoseconds(b"1e9"), None);
        assert_eq!(nanoseconds(b""), None);
    }
}
