//! Members, one after the other.

use std::io::Read;

use crate::archive::header::{self, RawHeader};
use crate::archive::pax::Extension;
use crate::archive::stream::Stream;
use crate::archive::{BLOCK, Digested, Member, MemberKind};
use crate::entry::{Kind, nanoseconds};
use crate::error::{Error, Result};
use crate::path::RelPath;

// Extended headers are the only part of an archive that is kept in memory whole.
const MAX_EXTENSION: u64 = 1 << 20;
// What global headers say is held for every member that follows, however many headers it came in.
const MAX_GLOBALS: usize = 64 << 10;

/// Reads an archive from its first byte to its last.
pub struct Reader<R> {
    stream: Stream<R>,
    globals: Extension,
    offset: u64,
    name: Vec<u8>,
    content: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// Of a plain tar. With `digest`, all bytes are digested; more than `limit` of them are an error.
    pub fn new(input: R, digest: bool, limit: Option<u64>) -> Self {
        Self {
            stream: Stream::new(input, digest, limit),
            globals: Extension::default(),
            offset: 0,
            name: Vec::new(),
            content: 0,
            padding: 0,
        }
    }

    /// The next member; what is left of the content of the one before is passed over. `None` at the end of the archive.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        let mut extension = self.globals.clone();
        let mut long_name = None;
        let mut long_link = None;
        let mut first = None;
        loop {
            self.skip()?;
            self.offset = self.stream.offset();
            let Some(block) = self.stream.block()? else {
                return self.end(first);
            };
            let raw = RawHeader(&block);
            if raw.is_zero() {
                return self.end_marker(first);
            }
            let offset = *first.get_or_insert(self.offset);
            if !raw.is_intact() {
                return Err(self.error(
                    "the checksum of the header is wrong: not a tar archive, or a damaged one",
                ));
            }
            self.name = raw.name();
            match raw.type_flag() {
                b'x' => {
                    let records = self.extension(&raw)?;
                    extension
                        .absorb(&records)
                        .map_err(|reason| self.error(reason))?;
                    if extension.size() as u64 > MAX_EXTENSION {
                        return Err(self.error("extended headers of too many bytes"));
                    }
                }
                b'g' => {
                    let records = self.extension(&raw)?;
                    self.globals
                        .absorb(&records)
                        .map_err(|reason| self.error(reason))?;
                    if self.globals.size() > MAX_GLOBALS {
                        return Err(self.error("global headers of too many bytes"));
                    }
                    extension = self.globals.clone();
                }
                b'L' => long_name = Some(self.long_text(&raw)?),
                b'K' => long_link = Some(self.long_text(&raw)?),
                // GNU: the label of the volume.
                b'V' => self.expect(0),
                _ => {
                    extension.path = extension.path.take().or(long_name);
                    extension.link = extension.link.take().or(long_link);
                    return self.member(offset, &raw, extension).map(Some);
                }
            }
        }
    }

    /// The next piece of the member's content; empty at its end.
    pub fn chunk(&mut self) -> Result<&[u8]> {
        if self.content == 0 {
            return Ok(&[]);
        }
        // (The borrow checker cannot see that the error path does not keep the piece.)
        let length = self.stream.take(self.content)?.len();
        if length == 0 {
            return Err(self.error("cut off in the middle of its content"));
        }
        self.content -= length as u64;
        Ok(self.stream.last(length))
    }

    /// Reads on to the end of the input, past the end of the archive.
    pub fn finish(self) -> Result<Digested> {
        self.stream.finish()
    }

    fn member(&mut self, offset: u64, raw: &RawHeader<'_>, extension: Extension) -> Result<Member> {
        self.name = extension.path.unwrap_or_else(|| raw.name());
        let flag = raw.type_flag();
        let kind = match flag {
            // V7 had no directories: a slash at the end made one.
            0 | b'0' if self.name.ends_with(b"/") => MemberKind::New(Kind::Directory),
            0 | b'0' | b'7' => MemberKind::New(Kind::File),
            b'1' => MemberKind::HardLink,
            b'2' => MemberKind::New(Kind::Symlink),
            b'3' => MemberKind::New(Kind::CharDevice),
            b'4' => MemberKind::New(Kind::BlockDevice),
            b'5' => MemberKind::New(Kind::Directory),
            b'6' => MemberKind::New(Kind::Fifo),
            b'S' => return Err(self.sparse()),
            other => {
                let reason = format!("a member of unknown type '{}'", other.escape_ascii());
                return Err(self.error(reason));
            }
        };
        if extension.sparse {
            return Err(self.sparse());
        }
        // Only files have content; some writers give links and directories a size all the same.
        let size = match (flag, extension.size) {
            (b'1'..=b'6', _) => 0,
            (_, Some(size)) => size,
            (_, None) => self.unsigned(raw, header::SIZE, "size")?,
        };
        if i64::try_from(size).is_err() {
            return Err(self.error(format!("a size of {size} bytes")));
        }
        let uid = match extension.uid {
            Some(uid) => uid,
            None => self.unsigned(raw, header::UID, "uid")?,
        };
        let gid = match extension.gid {
            Some(gid) => gid,
            None => self.unsigned(raw, header::GID, "gid")?,
        };
        let mode = self.unsigned(raw, header::MODE, "mode")?;
        let seconds = || nanoseconds(raw.number(header::MTIME).unwrap_or(0), 0);
        let rdev = match kind {
            MemberKind::New(Kind::CharDevice | Kind::BlockDevice) => self.device(raw)?,
            _ => 0,
        };
        let link = match kind {
            MemberKind::HardLink | MemberKind::New(Kind::Symlink) => {
                extension.link.unwrap_or_else(|| raw.link())
            }
            MemberKind::New(_) => Vec::new(),
        };
        let member = Member {
            offset,
            name: self.name.clone(),
            kind,
            link,
            mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
            uid: self.id(uid)?,
            gid: self.id(gid)?,
            size,
            mtime_ns: extension.mtime_ns.unwrap_or_else(seconds),
            rdev,
            xattrs: extension.xattrs,
        };
        self.expect(size);
        Ok(member)
    }

    fn device(&self, raw: &RawHeader<'_>) -> Result<u64> {
        let part = |field, name| {
            let number = self.unsigned(raw, field, name)?;
            u32::try_from(number).map_err(|_| self.error(format!("a {name} number of {number}")))
        };
        Ok(libc::makedev(
            part(header::MAJOR, "major")?,
            part(header::MINOR, "minor")?,
        ))
    }

    /// An id that the kernel can hold: 4294967295 means "leave it" to chown(2).
    fn id(&self, id: u64) -> Result<u32> {
        u32::try_from(id)
            .ok()
            .filter(|&id| id != u32::MAX)
            .ok_or_else(|| self.error(format!("an owner of {id}")))
    }

    fn unsigned(
        &self,
        raw: &RawHeader<'_>,
        field: std::ops::Range<usize>,
        name: &str,
    ) -> Result<u64> {
        let value = raw
            .number(field)
            .and_then(|value| u64::try_from(value).ok());
        value.ok_or_else(|| self.error(format!("the {name} in the header is no number")))
    }

    /// The content of an extended header.
    fn extension(&mut self, raw: &RawHeader<'_>) -> Result<Vec<u8>> {
        let size = self.unsigned(raw, header::SIZE, "size")?;
        if size > MAX_EXTENSION {
            return Err(self.error(format!("an extended header of {size} bytes")));
        }
        self.expect(size);
        let mut content = Vec::new();
        loop {
            let piece = self.chunk()?;
            if piece.is_empty() {
                return Ok(content);
            }
            content.extend_from_slice(piece);
        }
    }

    fn long_text(&mut self, raw: &RawHeader<'_>) -> Result<Vec<u8>> {
        let mut text = self.extension(raw)?;
        let end = text.iter().position(|&byte| byte == 0);
        text.truncate(end.unwrap_or(text.len()));
        Ok(text)
    }

    fn expect(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<()> {
        while !self.chunk()?.is_empty() {}
        while self.padding > 0 {
            let length = self.stream.take(self.padding)?.len() as u64;
            if length == 0 {
                return Err(self.error("cut off in the middle of its content"));
            }
            self.padding -= length;
        }
        Ok(())
    }

    /// The input ends without an end marker: many writers leave it out, all readers accept that.
    fn end(&self, extended: Option<u64>) -> Result<Option<Member>> {
        match extended {
            None => Ok(None),
            Some(_) => Err(self.error("the archive ends after an extended header")),
        }
    }

    fn end_marker(&mut self, extended: Option<u64>) -> Result<Option<Member>> {
        match self.stream.block()? {
            Some(second) if !RawHeader(&second).is_zero() => {
                Err(self.error("a lone block of zeros between members"))
            }
            _ => self.end(extended),
        }
    }

    fn sparse(&self) -> Error {
        self.error("a sparse file in GNU's format, which is not supported: write the archive without --sparse")
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        Error::Archive {
            offset: self.offset,
            path: self.name.clone(),
            reason: reason.into(),
        }
    }
}

/// The content of the first regular member with a name (cleaned), `None` if there is none. Reads no further than that.
pub fn read_member(input: impl Read, name: &RelPath, limit: u64) -> Result<Option<Vec<u8>>> {
    let mut reader = Reader::new(input, false, None);
    while let Some(member) = reader.next_member()? {
        if member.kind != MemberKind::New(Kind::File) || RelPath::clean(&member.name)? != *name {
            continue;
        }
        if member.size > limit {
            return Err(member.error(format!("larger than {limit} bytes")));
        }
        let mut content = Vec::new();
        loop {
            let piece = reader.chunk()?;
            if piece.is_empty() {
                return Ok(Some(content));
            }
            content.extend_from_slice(piece);
        }
    }
    Ok(None)
}
