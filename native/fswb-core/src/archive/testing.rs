//! Archives made by hand, for tests: also what no honest writer writes.

use crate::archive::{BLOCK, Header, MemberKind, encode, pad};
use crate::entry::{Kind, Xattrs};

static NONE: Xattrs = Vec::new();

/// A tar under construction. Owners are those of the test's user.
#[derive(Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    pub(crate) fn header(name: &str, kind: Kind) -> Header<'_> {
        Header {
            name: name.as_bytes(),
            kind: MemberKind::New(kind),
            link: b"",
            mode: if kind == Kind::Directory {
                0o755
            } else {
                0o644
            },
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            size: 0,
            mtime: 1_000_000_000,
            rdev: 0,
            xattrs: &NONE,
        }
    }

    pub(crate) fn put(mut self, header: &Header<'_>) -> Self {
        encode(header, &mut self.0);
        self
    }

    pub(crate) fn file(mut self, name: &str, content: &str) -> Self {
        let size = content.len() as u64;
        encode(
            &Header {
                size,
                ..Self::header(name, Kind::File)
            },
            &mut self.0,
        );
        self.0.extend_from_slice(content.as_bytes());
        pad(&mut self.0, size);
        self
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.put(&Self::header(name, Kind::Directory))
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        let link = target.as_bytes();
        self.put(&Header {
            link,
            ..Self::header(name, Kind::Symlink)
        })
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        let header = Self::header(name, Kind::File);
        self.put(&Header {
            link: target.as_bytes(),
            kind: MemberKind::HardLink,
            ..header
        })
    }

    /// A member whose header is changed before its checksum is set anew.
    pub(crate) fn forged(
        mut self,
        name: &str,
        content: &[u8],
        forge: impl FnOnce(&mut [u8]),
    ) -> Self {
        let start = self.0.len();
        let size = content.len() as u64;
        encode(
            &Header {
                size,
                ..Self::header(name, Kind::File)
            },
            &mut self.0,
        );
        let block = &mut self.0[start..start + BLOCK];
        forge(block);
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend_from_slice(content);
        pad(&mut self.0, size);
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 2 * BLOCK]);
        self.0
    }
}
