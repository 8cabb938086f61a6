//! Headers as they are written: ustar where everything fits, PAX records where not. Nothing of the host is in them.

use std::ops::Range;

use crate::archive::header::{self, USTAR};
use crate::archive::{BLOCK, MemberKind, pax};
use crate::entry::{Kind, Xattrs};

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// Name, without leading slash; of a directory with one at the end.
    pub name: &'a [u8],
    /// What it is.
    pub kind: MemberKind,
    /// Target of a symbolic or hard link, else empty.
    pub link: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of content that will follow.
    pub size: u64,
    /// Time of modification, in seconds since the epoch.
    pub mtime: i64,
    /// Device number (`makedev`).
    pub rdev: u64,
    /// Extended attributes, sorted. A name with `=` in it cannot be written and must not come here.
    pub xattrs: &'a Xattrs,
}

impl Header<'_> {
    fn type_flag(&self) -> u8 {
        match self.kind {
            MemberKind::HardLink => b'1',
            MemberKind::New(Kind::File) => b'0',
            MemberKind::New(Kind::Symlink) => b'2',
            MemberKind::New(Kind::CharDevice) => b'3',
            MemberKind::New(Kind::BlockDevice) => b'4',
            MemberKind::New(Kind::Directory) => b'5',
            MemberKind::New(Kind::Fifo) => b'6',
        }
    }
}

/// Appends the blocks of a header: its PAX header, if it needs one, and itself.
pub fn encode(header: &Header<'_>, output: &mut Vec<u8>) {
    let mut block = [0_u8; BLOCK];
    let mut records = Vec::new();
    if !put_name(&mut block, header.name) {
        put_text(&mut records, b"path", header.name);
    }
    if !put_bytes(&mut block[header::LINK], header.link) {
        put_text(&mut records, b"linkpath", header.link);
    }
    put_octal(&mut block, header::MODE, header.mode.into());
    for (key, field, value) in [
        (&b"uid"[..], header::UID, i64::from(header.uid)),
        (b"gid", header::GID, i64::from(header.gid)),
        // No file system holds a file of more than i64::MAX bytes.
        (
            b"size",
            header::SIZE,
            i64::try_from(header.size).unwrap_or(i64::MAX),
        ),
        (b"mtime", header::MTIME, header.mtime),
    ] {
        if !put_octal(&mut block, field.clone(), value) {
            put_octal(&mut block, field, 0);
            pax::append(&mut records, key, value.to_string().as_bytes());
        }
    }
    // Linux: 12 bits of major, 20 of minor; both fit.
    put_octal(&mut block, header::MAJOR, libc::major(header.rdev).into());
    put_octal(&mut block, header::MINOR, libc::minor(header.rdev).into());
    block[header::TYPE] = header.type_flag();
    for (name, value) in header.xattrs {
        pax::append(&mut records, &[pax::XATTR, name.as_slice()].concat(), value);
    }
    if !records.is_empty() {
        put_extension(output, header.name, &records);
    }
    seal(&mut block);
    output.extend_from_slice(&block);
}

fn put_extension(output: &mut Vec<u8>, name: &[u8], records: &[u8]) {
    let mut block = [0_u8; BLOCK];
    // A reader that knows no PAX makes a file of this; so it is named after what it belongs to.
    let mut own_name = b"PaxHeaders.0/".to_vec();
    let last = name
        .strip_suffix(b"/")
        .unwrap_or(name)
        .rsplit(|&byte| byte == b'/')
        .next();
    own_name.extend(
        last.unwrap_or_default()
            .iter()
            .map(|&byte| if byte.is_ascii() { byte } else { b'_' }),
    );
    own_name.truncate(header::NAME.len());
    block[..own_name.len()].copy_from_slice(&own_name);
    put_octal(&mut block, header::MODE, 0o644);
    for field in [
        header::UID,
        header::GID,
        header::MTIME,
        header::MAJOR,
        header::MINOR,
    ] {
        put_octal(&mut block, field, 0);
    }
    put_octal(
        &mut block,
        header::SIZE,
        i64::try_from(records.len()).unwrap_or(i64::MAX),
    );
    block[header::TYPE] = b'x';
    seal(&mut block);
    output.extend_from_slice(&block);
    output.extend_from_slice(records);
    pad(output, records.len() as u64);
}

/// Appends zeros up to the next block after `size` bytes of content.
pub(crate) fn pad(output: &mut Vec<u8>, size: u64) {
    let padding = size.wrapping_neg() % BLOCK as u64;
    output.extend(std::iter::repeat_n(
        0,
        usize::try_from(padding).unwrap_or_default(),
    ));
}

/// A PAX value is UTF-8 unless said otherwise.
fn put_text(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    if std::str::from_utf8(value).is_err() {
        pax::append(records, b"hdrcharset", b"BINARY");
    }
    pax::append(records, key, value);
}

/// Whether the name fits, whole or divided at a slash. ustar holds ASCII only.
fn put_name(block: &mut [u8; BLOCK], name: &[u8]) -> bool {
    if put_bytes(&mut block[header::NAME], name) {
        return true;
    }
    let inner = &name[..name.len().saturating_sub(1)];
    let divided = name.is_ascii().then(|| {
        let slashes = inner.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        let mut places = slashes.map(|(at, _)| at);
        places.find(|&at| name.len() - at - 1 <= header::NAME.len())
    });
    match divided.flatten() {
        Some(at) if at > 0 && at <= header::PREFIX.len() => {
            block[header::NAME].fill(0);
            put_bytes(&mut block[header::NAME], &name[at + 1..])
                && put_bytes(&mut block[header::PREFIX], &name[..at])
        }
        _ => false,
    }
}

/// Whether the text fits. What does not is cut off: the PAX record has the whole.
fn put_bytes(field: &mut [u8], text: &[u8]) -> bool {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    length == text.len() && text.is_ascii()
}

/// Whether the number fits. If not, the field is left as it is.
fn put_octal(block: &mut [u8; BLOCK], field: Range<usize>, value: i64) -> bool {
    // The last byte of a field stays NUL. No field has room for all 22 digits of a number.
    let digits = field.start..field.end - 1;
    let Some(mut left) = u64::try_from(value)
        .ok()
        .filter(|value| value >> (3 * digits.len()) == 0)
    else {
        return false;
    };
    for digit in block[digits].iter_mut().rev() {
        *digit = b'0' + (left & 7) as u8;
        left >>= 3;
    }
    true
}

fn seal(block: &mut [u8; BLOCK]) {
    block[header::MAGIC].copy_from_slice(USTAR);
    block[header::CHECKSUM].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    // Six digits, NUL, space: as every tar has it.
    let digits = format!("{sum:06o}\0");
    block[header::CHECKSUM.start..header::CHECKSUM.end - 1].copy_from_slice(digits.as_bytes());
}
