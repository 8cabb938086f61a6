//! One entry: what the baseline has, what the disk has, and what differs.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, StatxAttributes};

use super::HashMode;
use crate::baseline::Cursor;
use crate::change::{Effort, Why};
use crate::clock::Ticks;
use crate::clocks::Clocks;
use crate::entry::{Entry, Inode, Kind, STATX_WANTED, Sha256};
use crate::error::{Context, Error, Result, present};
use crate::hash::{hash_rest, open_file};
use crate::path::RelPath;
use crate::root::complete;

/// How often an entry is looked at that is another one each time it is to be read, and a directory that has gone each time
/// it is to be listed.
pub(super) const LOOKS: usize = 100;

/// Why nothing can be said of an entry after that many looks.
pub(super) fn in_motion(path: &RelPath) -> Error {
    let reason = format!(
        "it was replaced, by others, between any two of {LOOKS} looks: let nobody change it meanwhile"
    );
    Error::refused(path, reason)
}

/// What one look found.
#[derive(Debug, Clone)]
pub(super) struct Observation {
    pub(super) before: Option<Arc<Entry>>,
    pub(super) after: Option<Arc<Entry>>,
    /// What differs, if both are there and of one kind.
    pub(super) why: Why,
    /// The stat evidence does not prove that nothing happened.
    pub(super) touched: bool,
}

/// What a look says about what is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    /// There is no directory, or nothing but a recorded one.
    Nothing,
    /// The directory that was recorded: what is below is as the hints say.
    Known,
    /// A directory that is new here: everything below is to be compared.
    Unknown,
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// What stat proves untouched is.
    Passing,
    /// Something happened to this very entry: a file is read, whatever its stat says. There are calls that exchange what two
    /// files hold and move no stamp (`XFS_IOC_SWAPEXT`, `EXT4_IOC_MOVE_EXT`; tests/kernel/test_stat.py): they take files open
    /// for writing, which raises an event in the end.
    Named,
    /// It must leave an observation.
    Listed,
}

/// Where to look: a name in an open directory. The root is `""` in itself.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) fd: BorrowedFd<'a>,
    pub(super) directory: &'a RelPath,
    pub(super) name: &'a [u8],
}

impl Site<'_> {
    pub(super) fn path(self) -> Result<RelPath> {
        if self.name.is_empty() {
            Ok(self.directory.clone())
        } else {
            self.directory.join(self.name)
        }
    }

    fn is_root(self) -> bool {
        self.name.is_empty()
    }
}

/// What the disk has under a name.
enum Stat {
    Absent,
    Socket,
    Entry { entry: Entry, is_mount: bool },
}

/// Looks at entries, one after the other, and keeps what it saw.
#[derive(Debug)]
pub(super) struct Looker {
    clocks: Arc<Clocks>,
    mode: HashMode,
    /// Device of the lower layer, if this is the merged view of an overlay.
    lower: Option<u64>,
    pub(super) observations: Vec<(RelPath, Observation)>,
    /// Shared inodes that had a name below a directory that is gone. Whatever was done through that name shows at their
    /// other names.
    pub(super) lost: Vec<Inode>,
    pub(super) sockets: Vec<RelPath>,
    /// Directories that were looked at and then were not there to be listed.
    pub(super) vanished: Vec<RelPath>,
    pub(super) effort: Effort,
    /// Scratch space.
    buffer: Vec<u8>,
}

impl Looker {
    pub(super) fn new(clocks: Arc<Clocks>, mode: HashMode, lower: Option<u64>) -> Self {
        Self {
            clocks,
            mode,
            lower,
            observations: Vec::new(),
            lost: Vec::new(),
            sockets: Vec::new(),
            vanished: Vec::new(),
            effort: Effort::default(),
            buffer: Vec::new(),
        }
    }

    /// Records that a recorded entry is gone.
    pub(super) fn gone(&mut self, path: RelPath, known: Cursor<'_>) {
        self.lose_below(known);
        self.keep(path, Some(Arc::new(known.entry())), None, Why::empty());
    }

    fn lose_below(&mut self, known: Cursor<'_>) {
        let mut rest = vec![known];
        while let Some(directory) = rest.pop() {
            for (_, child) in directory.children() {
                if child.kind() == Kind::Directory {
                    rest.push(child);
                } else {
                    let entry = child.entry();
                    self.lost.extend(entry.is_shared().then(|| entry.inode()));
                }
            }
        }
    }

    /// Looks at one entry. Untouched ones leave no observation, unless they are listed or share their inode with others.
    pub(super) fn look(
        &mut self,
        site: Site<'_>,
        known: Option<Cursor<'_>>,
        care: Care,
    ) -> Result<Below> {
        for _ in 0..LOOKS {
            if let Some(below) = self.look_once(site, known, care)? {
                return Ok(below);
            }
        }
        Err(in_motion(&site.path()?))
    }

    /// `None` if it was another one by the time it was read: others are at work.
    fn look_once(
        &mut self,
        site: Site<'_>,
        known: Option<Cursor<'_>>,
        care: Care,
    ) -> Result<Option<Below>> {
        let always = care == Care::Listed;
        let (now, is_mount) = match self.stat(site)? {
            Stat::Entry { entry, is_mount } => (entry, is_mount),
            Stat::Socket => {
                self.sockets.push(site.path()?);
                return self.absent(site, known).map(Some);
            }
            Stat::Absent => return self.absent(site, known).map(Some),
        };
        let path = || site.path();
        if now.kind == Kind::Directory && self.clocks.meet(site.fd, site.name, &now, path)? {
            return Ok(None);
        }
        let before = known.map(|known| Arc::new(known.entry()));
        // A mount raises no event at what it covers, so no tracker vouches for what is below. Every entry on the way to a
        // place is looked at, so none is passed unseen. (A RUN cannot mount where we look; the host can.) What was mounted
        // when it was recorded is another matter.
        let covered = before.as_ref().filter(|_| is_mount && !site.is_root());
        if covered.is_some_and(|before| before.inode() != now.inode()) {
            return Err(Error::refused(
                &site.path()?,
                "something was mounted over it since it was recorded: unmount that",
            ));
        }
        let below = match &before {
            _ if now.kind != Kind::Directory => Below::Nothing,
            Some(before) if self.is_same_directory(site, before, &now) => Below::Known,
            _ => Below::Unknown,
        };
        if let Some(before) = &before {
            let untouched = before.is_untouched(&now);
            if untouched && !self.reads_untouched(before, care) {
                if now.is_shared() || always {
                    let after = Arc::new(Entry {
                        dev: now.dev,
                        ..Entry::clone(before)
                    });
                    let seen = Observation {
                        before: Some(before.clone()),
                        after: Some(after),
                        why: Why::empty(),
                        touched: false,
                    };
                    self.observations.push((site.path()?, seen));
                }
                return Ok(Some(below));
            }
        }
        if let Some(known) = known.filter(|_| now.kind != Kind::Directory) {
            self.lose_below(known);
        }
        let path = site.path()?;
        match self.compare(site, &path, before.as_deref(), now.clone()) {
            Ok((after, why)) => {
                // A content that was read to be sure, and is what it was, is nothing to remember.
                let same = why.is_empty() && before.as_deref() == Some(&after);
                if !same || after.is_shared() || always {
                    self.keep(path, before, Some(Arc::new(after)), why);
                }
                Ok(Some(below))
            }
            // A stat decides whether it has gone, or is another one, not the call that failed: /proc may be what is missing.
            Err(error) => match self.stat(site)? {
                Stat::Absent => self.absent(site, known).map(Some),
                Stat::Entry { entry, .. } if entry.looks_untouched(&now) => Err(error),
                Stat::Socket | Stat::Entry { .. } => Ok(None),
            },
        }
    }

    /// Whether the content is read though stat shows no difference. An overlay hands no such call on to the file below it
    /// (`Care::Named`), and its tracker names all that its stage has written, at each step.
    fn reads_untouched(&self, before: &Entry, care: Care) -> bool {
        let in_doubt = care == Care::Named && self.lower.is_none() && before.sha256.is_some();
        let reads = match self.mode {
            HashMode::All | HashMode::Record => true,
            HashMode::Evidence => in_doubt,
            HashMode::Never => false,
        };
        reads && before.kind == Kind::File
    }

    /// Whether a directory is the one that was recorded. An inode number may be used again (ext4 does so at once); together
    /// with the time of birth it is not.
    ///
    /// In the merged view of an overlay a copied-up directory keeps its number and gets another birth. What the baseline
    /// recorded in the lower layer is still there, so nothing else has its number. The root is never replaced.
    fn is_same_directory(&self, site: Site<'_>, before: &Entry, now: &Entry) -> bool {
        let was_lower = self.lower == Some(before.dev);
        let is_same = before.ino == now.ino && (before.btime_ns == now.btime_ns || was_lower);
        before.kind == Kind::Directory && (is_same || (site.is_root() && self.lower.is_some()))
    }

    fn absent(&mut self, site: Site<'_>, known: Option<Cursor<'_>>) -> Result<Below> {
        if let Some(known) = known {
            self.gone(site.path()?, known);
        }
        Ok(Below::Nothing)
    }

    fn keep(
        &mut self,
        path: RelPath,
        before: Option<Arc<Entry>>,
        after: Option<Arc<Entry>>,
        why: Why,
    ) {
        let seen = Observation {
            before,
            after,
            why,
            touched: true,
        };
        self.observations.push((path, seen));
    }

    fn stat(&mut self, site: Site<'_>) -> Result<Stat> {
        self.effort.stats += 1;
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
        match fs::statx(site.fd, site.name, flags, STATX_WANTED) {
            Ok(stat) => {
                let is_mount = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
                let entry = Entry::from_statx(&stat);
                Ok(entry.map_or(Stat::Socket, |entry| Stat::Entry { entry, is_mount }))
            }
            Err(errno) => {
                let failed = Err(errno).during("statx", site.path()?);
                Ok(present(failed)?.map_or(Stat::Absent, |()| Stat::Absent))
            }
        }
    }

    /// Reads what the stat did not tell and says what differs.
    fn compare(
        &mut self,
        site: Site<'_>,
        path: &RelPath,
        before: Option<&Entry>,
        mut now: Entry,
    ) -> Result<(Entry, Why)> {
        match before.filter(|before| before.is_untouched(&now)) {
            // Only the content is in doubt: a store into a mapping may leave the ctime alone, nothing else does.
            Some(before) => {
                now.target.clone_from(&before.target);
                now.xattrs.clone_from(&before.xattrs);
            }
            None => complete(site.fd, site.name, path, &mut now)?,
        }
        now.racy = self.clocks.is_racy(&now);
        let Some(before) = before.filter(|before| before.kind == now.kind) else {
            if self.mode == HashMode::Record && now.kind == Kind::File && now.size > 0 {
                now.sha256 = Some(self.digest(site, now.size, path)?);
            }
            return Ok((now, Why::empty()));
        };
        let mut why = Why::between(before, &now);
        if site.is_root() {
            why &= Why::MODE | Why::UID | Why::GID | Why::XATTRS;
        }
        if now.kind == Kind::File {
            why.set(
                Why::CONTENT,
                self.content_differs(site, path, before, &mut now)?,
            );
        }
        Ok((now, why))
    }

    fn content_differs(
        &mut self,
        site: Site<'_>,
        path: &RelPath,
        before: &Entry,
        now: &mut Entry,
    ) -> Result<bool> {
        if before.size != now.size {
            return Ok(true);
        }
        if now.size == 0 {
            now.sha256 = before.sha256;
            return Ok(false);
        }
        match (self.mode, before.sha256) {
            (HashMode::Never, _) => return Ok(false),
            // Nothing to compare with. If only stores are hidden (tmpfs), what looks untouched is taken for that: else every
            // file of a record without digests would count as changed.
            (HashMode::Evidence, None) => {
                let clock = self.clocks.clock_of(now);
                let only_stores = clock.is_some_and(|clock| clock.ticks == Ticks::Multigrain);
                return Ok(!(only_stores && before.looks_untouched(now)));
            }
            (HashMode::Evidence | HashMode::All | HashMode::Record, _) => {}
        }
        let digest = self.digest(site, now.size, path)?;
        now.sha256 = Some(digest);
        Ok(match before.sha256 {
            Some(known) => known != digest,
            None => !before.is_untouched(now),
        })
    }

    fn digest(&mut self, site: Site<'_>, size: u64, path: &RelPath) -> Result<Sha256> {
        let file = open_file(site.fd, site.name, path)?;
        let (digest, hashed) = hash_rest(&file, size, path, &mut self.buffer)?;
        self.effort.hashed_files += 1;
        self.effort.hashed_bytes += hashed;
        Ok(digest)
    }
}
