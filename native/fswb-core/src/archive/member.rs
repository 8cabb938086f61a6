//! From a header, with what extended headers said before it, to a member.

use std::io::Read;

use crate::archive::header::{self, RawHeader};
use crate::archive::pax::Extension;
use crate::archive::reader::Reader;
use crate::archive::sparse::{self, MapText, Regions};
use crate::archive::{BLOCK, Member, MemberKind};
use crate::entry::{Kind, nanoseconds};
use crate::error::Result;

impl<R: Read> Reader<R> {
    /// The member that `raw` is the header of. `offset`: of the first header that belongs to it.
    pub(super) fn member(
        &mut self,
        offset: u64,
        raw: &RawHeader<'_>,
        mut extension: Extension,
    ) -> Result<Member> {
        self.members += 1;
        if let Some(limit) = self.max_members.filter(|&limit| self.members > limit) {
            return Err(self.error(format!(
                "the archive has more than the limit of {limit} members (--unpack-limit)"
            )));
        }
        let records = extension.sparse.take();
        let named = records.as_ref().and_then(|records| records.name.clone());
        self.name = named.or(extension.path).unwrap_or_else(|| raw.name());
        let flag = raw.type_flag();
        let kind = match flag {
            // V7 had no directories: a slash at the end made one.
            0 | b'0' if self.name.ends_with(b"/") => MemberKind::New(Kind::Directory),
            0 | b'0' | b'7' | b'S' => MemberKind::New(Kind::File),
            b'1' => MemberKind::HardLink,
            b'2' => MemberKind::New(Kind::Symlink),
            b'3' => MemberKind::New(Kind::CharDevice),
            b'4' => MemberKind::New(Kind::BlockDevice),
            b'5' => MemberKind::New(Kind::Directory),
            b'6' => MemberKind::New(Kind::Fifo),
            other => {
                let reason = format!("a member of unknown type '{}'", other.escape_ascii());
                return Err(self.error(reason));
            }
        };
        // Only files have content; some writers give links and directories a size all the same.
        let stored = match (flag, extension.size) {
            (b'1'..=b'6', _) => 0,
            (_, Some(size)) => size,
            (_, None) => self.unsigned(raw, header::SIZE, "size")?,
        };
        self.bounded(stored)?;
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
        self.expect(stored);
        let size = match kind {
            MemberKind::New(Kind::File) => self.lay_out(raw, records.as_deref())?,
            _ => 0,
        };
        let link = match kind {
            MemberKind::HardLink | MemberKind::New(Kind::Symlink) => {
                extension.link.unwrap_or_else(|| raw.link())
            }
            MemberKind::New(_) => Vec::new(),
        };
        Ok(Member {
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
        })
    }

    /// Finds out where the stored bytes of a file belong: its size, holes included.
    fn lay_out(&mut self, raw: &RawHeader<'_>, records: Option<&sparse::Records>) -> Result<u64> {
        let (regions, size) = if raw.type_flag() == b'S' {
            if !raw.is_gnu() {
                return Err(self.error("a sparse file that is not in GNU's format"));
            }
            (
                self.old_regions(raw)?,
                self.checked(sparse::real_size(raw.0))?,
            )
        } else if let Some(records) = records {
            let regions = match self.checked(records.map())? {
                Some(regions) => regions,
                None => self.regions_before_content()?,
            };
            (regions, records.size)
        } else {
            return Ok(self.content);
        };
        self.bounded(size)?;
        self.layout = Some(self.checked(regions.layout(size, self.content))?);
        self.stream.count(size - self.content)?;
        Ok(size)
    }

    fn old_regions(&mut self, raw: &RawHeader<'_>) -> Result<Regions> {
        let mut regions = Regions::default();
        let mut more = self.checked(regions.add_header(raw.0))?;
        while more {
            let Some(block) = self.stream.block()? else {
                return Err(self.error("cut off in the middle of the map of a sparse file"));
            };
            more = self.checked(regions.add_block(&block))?;
        }
        Ok(regions)
    }

    fn regions_before_content(&mut self) -> Result<Regions> {
        let mut map = MapText::default();
        loop {
            // The map is a part of the content, in blocks of its own.
            let left = self.content.checked_sub(BLOCK as u64);
            let (Some(left), Some(block)) = (left, self.stream.block()?) else {
                return Err(self.error("cut off in the middle of the map of a sparse file"));
            };
            self.content = left;
            if !self.checked(map.add(&block))? {
                return Ok(map.regions());
            }
        }
    }

    fn checked<T>(&self, result: std::result::Result<T, String>) -> Result<T> {
        result.map_err(|reason| self.error(reason))
    }

    /// No file system holds more.
    fn bounded(&self, size: u64) -> Result<()> {
        match i64::try_from(size) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.error(format!("a size of {size} bytes"))),
        }
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

    pub(super) fn unsigned(
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
}
