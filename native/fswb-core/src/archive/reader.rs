//! Members, one after the other.

use std::io::Read;

use sha2::{Digest as _, Sha256 as Hasher};

use crate::archive::header::{self, RawHeader};
use crate::archive::pax::Extension;
use crate::archive::sparse::{Layout, Next};
use crate::archive::stream::Stream;
use crate::archive::{BLOCK, Digested, Limits, Member, MemberKind};
use crate::entry::Kind;
use crate::error::{Error, Result};
use crate::path::RelPath;

// Extended headers and the maps of sparse files are the only parts of an archive that are kept in memory whole.
const MAX_EXTENSION: u64 = 1 << 20;
// What global headers say is held for every member that follows, however many headers it came in.
const MAX_GLOBALS: usize = 64 << 10;

/// A piece of a file's content.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes.
    Data(&'a [u8]),
    /// So many zeros, which the archive does not have: a hole.
    Hole(u64),
}

impl Piece<'_> {
    /// Adds it to a digest.
    pub(crate) fn update(&self, hasher: &mut Hasher) {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        match self {
            Self::Data(bytes) => hasher.update(bytes),
            Self::Hole(length) => {
                let mut left = *length;
                while left > 0 {
                    let piece = left.min(ZEROS.len() as u64);
                    hasher.update(&ZEROS[..piece as usize]);
                    left -= piece;
                }
            }
        }
    }
}

/// Reads an archive from its first byte to its last.
pub struct Reader<R> {
    pub(super) stream: Stream<R>,
    pub(super) members: u64,
    pub(super) max_members: Option<u64>,
    globals: Extension,
    offset: u64,
    pub(super) name: Vec<u8>,
    /// Bytes of content that are still to be read.
    pub(super) content: u64,
    padding: u64,
    /// Where they belong; `None`: one after the other.
    pub(super) layout: Option<Layout>,
}

impl<R: Read> Reader<R> {
    /// Of a plain tar. With `digest`, all bytes are digested.
    pub fn new(input: R, digest: bool, limits: Limits) -> Self {
        Self {
            stream: Stream::new(input, digest, limits.max_bytes),
            members: 0,
            max_members: limits.max_entries,
            globals: Extension::default(),
            offset: 0,
            name: Vec::new(),
            content: 0,
            padding: 0,
            layout: None,
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

    /// How many members there were so far.
    pub fn members(&self) -> u64 {
        self.members
    }

    /// Whether the member's content has holes, or is at least stored as if.
    pub fn has_holes(&self) -> bool {
        self.layout.is_some()
    }

    /// The next piece of the member's content; `None` at its end.
    pub fn piece(&mut self) -> Result<Option<Piece<'_>>> {
        let most = match self.layout.as_mut().map(Layout::next) {
            None => u64::MAX,
            Some(Next::Data(most)) => most,
            Some(Next::Hole(length)) => {
                self.stream.pause()?;
                return Ok(Some(Piece::Hole(length)));
            }
            Some(Next::End) => return Ok(None),
        };
        let length = self.stored(most)?.len();
        if length == 0 {
            return Ok(None);
        }
        if let Some(layout) = &mut self.layout {
            layout.took(length as u64);
        }
        Ok(Some(Piece::Data(self.stream.last(length))))
    }

    /// The next of the bytes that the archive has of the content, at most `most`; none at their end.
    fn stored(&mut self, most: u64) -> Result<&[u8]> {
        if self.content == 0 {
            return Ok(&[]);
        }
        // (The borrow checker cannot see that the error path does not keep the piece.)
        let length = self.stream.take(self.content.min(most))?.len();
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

    /// The content of an extended header.
    fn extension(&mut self, raw: &RawHeader<'_>) -> Result<Vec<u8>> {
        let size = self.unsigned(raw, header::SIZE, "size")?;
        if size > MAX_EXTENSION {
            return Err(self.error(format!("an extended header of {size} bytes")));
        }
        self.expect(size);
        let mut content = Vec::new();
        loop {
            let piece = self.stored(u64::MAX)?;
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

    pub(super) fn expect(&mut self, size: u64) {
        self.layout = None;
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<()> {
        while !self.stored(u64::MAX)?.is_empty() {}
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

    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Archive {
            offset: self.offset,
            path: self.name.clone(),
            reason: reason.into(),
        }
    }
}

/// The content of the first regular member with a name (cleaned), `None` if there is none. Reads no further than that.
pub fn read_member(input: impl Read, name: &RelPath, limit: u64) -> Result<Option<Vec<u8>>> {
    let mut reader = Reader::new(input, false, Limits::default());
    while let Some(member) = reader.next_member()? {
        if member.kind != MemberKind::New(Kind::File) || RelPath::clean(&member.name)? != *name {
            continue;
        }
        if member.size > limit {
            return Err(member.error(format!("larger than {limit} bytes")));
        }
        let mut content = Vec::new();
        while let Some(piece) = reader.piece()? {
            match piece {
                Piece::Data(bytes) => content.extend_from_slice(bytes),
                // Small enough: the hole is within the limit.
                Piece::Hole(length) => content.resize(content.len() + length as usize, 0),
            }
        }
        return Ok(Some(content));
    }
    Ok(None)
}
