//! The way down from the root to every place of interest, directory by directory, on several threads.

use std::collections::HashSet;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{self, Mode, OFlags, RawDir, ResolveFlags};

use super::look::{Below, Care, LOOKS, Looker, Site, in_motion};
use super::names::{Names, folds_case};
use super::places::{Place, Places, Todo, care, is_children, narrow, within};
use super::queue::Queue;
use super::{Found, HashMode};
use crate::baseline::{Baseline, Cursor};
use crate::change::Effort;
use crate::clocks::Clocks;
use crate::entry::{Inode, Kind};
use crate::error::{Context, Error, Result};
use crate::hint::Scope;
use crate::overlay::Layers;
use crate::path::RelPath;
use crate::root::Root;

/// How many directories may be held open for the sake of what is below them. Beyond, they are opened anew by path: a
/// deep tree must not use up the descriptors (1,024 by default).
const OPEN_DIRECTORIES: usize = 256;

/// Directories done by one thread before others are called: a step's few hints are done by then.
const ALONE: usize = 64;

/// Bytes for one getdents64 call.
const LISTING: usize = 32 << 10;

/// One directory to be done.
struct Task<'a> {
    path: RelPath,
    known: Option<Cursor<'a>>,
    todo: Todo<'a>,
    parent: Option<Arc<Opened<'a>>>,
}

/// An open directory, counted.
struct Opened<'a> {
    fd: OwnedFd,
    count: &'a AtomicUsize,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks at places of one root file system.
pub(super) struct Walk<'a> {
    root: &'a Root,
    baseline: &'a Baseline,
    clocks: Arc<Clocks>,
    mode: HashMode,
    threads: usize,
    lost: HashSet<Inode>,
    sockets: Vec<RelPath>,
    effort: Effort,
    /// How often directories had gone that were to be listed.
    rounds: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        root: &'a Root,
        baseline: &'a Baseline,
        clocks: Clocks,
        mode: HashMode,
        threads: usize,
    ) -> Self {
        Self {
            root,
            baseline,
            clocks: Arc::new(clocks),
            mode,
            threads,
            lost: HashSet::new(),
            sockets: Vec::new(),
            effort: Effort::default(),
            rounds: 0,
        }
    }

    fn lower(&self) -> Option<u64> {
        self.root.layers().map(Layers::lower_device)
    }

    /// Looks at `places` and adds what was seen to `found`.
    pub(super) fn look_at(&mut self, places: Places, found: &mut Found) -> Result<()> {
        let places: Vec<Place> = places.into_sorted();
        if places.is_empty() {
            return Ok(());
        }
        let mut looker = Looker::new(self.clocks.clone(), self.mode, self.lower());
        let site = Site {
            fd: self.root.fd(),
            directory: &RelPath::ROOT,
            name: b"",
        };
        let todo = match looker.look(site, Some(self.baseline.root()), Care::Passing)? {
            Below::Known => narrow(&RelPath::ROOT, &places),
            // Another directory under the root's name.
            Below::Unknown => Some(Todo::Everything(&[])),
            Below::Nothing => {
                return Err(Error::system(
                    "statx",
                    self.root.path(),
                    rustix::io::Errno::NOENT,
                ));
            }
        };
        self.absorb(looker, found);
        let Some(todo) = todo else { return Ok(()) };
        let open = AtomicUsize::new(0);
        let task = Task {
            path: RelPath::ROOT,
            known: Some(self.baseline.root()),
            todo,
            parent: None,
        };
        let mut vanished = Vec::new();
        for mut looker in self.run(task, &open)? {
            vanished.append(&mut looker.vanished);
            self.absorb(looker, found);
        }
        self.look_again(&vanished, found)
    }

    /// Looks again at directories that were there by a stat and could not be listed then: others are at work. What was seen
    /// on the way to them, and below, may be as outdated.
    fn look_again(&mut self, vanished: &[RelPath], found: &mut Found) -> Result<()> {
        let Some(first) = vanished.first() else {
            return Ok(());
        };
        self.rounds += 1;
        if self.rounds > LOOKS {
            return Err(in_motion(first));
        }
        let mut places = Places::default();
        for path in vanished {
            for above in path.ancestors().skip(1) {
                found.remove(&above);
            }
            forget_within(path, found);
            places.add(path.clone(), Scope::Subtree);
        }
        self.look_at(places, found)?;
        for path in vanished {
            let mut above = path.ancestors().skip(1);
            if let Some(gone) = above.find(|above| !self.is_directory(above, found)) {
                let seen = found.remove(&gone);
                forget_within(&gone, found);
                found.extend(seen.map(|seen| (gone, seen)));
            }
        }
        Ok(())
    }

    /// Whether there is a directory, by what was seen or else recorded.
    fn is_directory(&self, path: &RelPath, found: &Found) -> bool {
        let kind = match found.get(path) {
            Some(seen) => seen.after.as_ref().map(|entry| entry.kind),
            None => self.baseline.cursor(path).map(Cursor::kind),
        };
        kind == Some(Kind::Directory)
    }

    /// Looks at one entry that must leave an observation.
    pub(super) fn observe(&mut self, path: &RelPath, found: &mut Found) -> Result<()> {
        let Some(Some((directory, name))) = self.root.directory_of(path)? else {
            return Err(Error::refused(
                path,
                "it is to be in the layer, but it is not there",
            ));
        };
        let parent = path.parent().unwrap_or_default();
        let site = Site {
            fd: directory.as_fd(),
            directory: &parent,
            name: &name,
        };
        let mut looker = Looker::new(self.clocks.clone(), self.mode, self.lower());
        looker.look(site, self.baseline.cursor(path), Care::Listed)?;
        self.absorb(looker, found);
        if found.get(path).is_none_or(|seen| seen.after.is_none()) {
            return Err(Error::refused(
                path,
                "it is to be in the layer, but it is not there",
            ));
        }
        Ok(())
    }

    /// Sockets, sorted, and what it took.
    pub(super) fn finish(mut self) -> (Vec<RelPath>, Effort) {
        self.sockets.sort_unstable();
        self.sockets.dedup();
        (self.sockets, self.effort)
    }

    /// Shared inodes that had a name below something that is gone.
    pub(super) fn lost(&self) -> &HashSet<Inode> {
        &self.lost
    }

    fn absorb(&mut self, looker: Looker, found: &mut Found) {
        self.lost.extend(looker.lost);
        found.extend(looker.observations);
        self.sockets.extend(looker.sockets);
        self.effort.stats += looker.effort.stats;
        self.effort.listings += looker.effort.listings;
        self.effort.hashed_files += looker.effort.hashed_files;
        self.effort.hashed_bytes += looker.effort.hashed_bytes;
    }

    fn run<'w>(&'w self, first: Task<'w>, open: &'w AtomicUsize) -> Result<Vec<Looker>> {
        let mut worker = Worker::new(self, open);
        let mut tasks = vec![first];
        for _ in 0..ALONE {
            let Some(task) = tasks.pop() else { break };
            worker.directory(&task, &mut tasks)?;
        }
        if tasks.is_empty() {
            return Ok(vec![worker.looker]);
        }
        let queue = Queue::new(tasks);
        let mut workers = vec![worker];
        workers.resize_with(self.threads.max(1), || Worker::new(self, open));
        std::thread::scope(|scope| {
            let mut rest = workers.iter_mut();
            let own = rest.next();
            for worker in rest {
                scope.spawn(|| queue.work(|task, more| worker.directory(task, more)));
            }
            if let Some(worker) = own {
                queue.work(|task, more| worker.directory(task, more));
            }
        });
        queue.result()?;
        Ok(workers.into_iter().map(|worker| worker.looker).collect())
    }
}

/// Forgets what was seen at a path and below.
fn forget_within(path: &RelPath, found: &mut Found) {
    let within = found.range(path.clone()..).map(|(seen, _)| seen);
    let within: Vec<RelPath> = within
        .take_while(|seen| seen.is_within(path))
        .cloned()
        .collect();
    for seen in within {
        found.remove(&seen);
    }
}

/// One thread's part.
struct Worker<'a> {
    root: &'a Root,
    open: &'a AtomicUsize,
    looker: Looker,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl<'a> Worker<'a> {
    fn new(walk: &Walk<'a>, open: &'a AtomicUsize) -> Self {
        Self {
            root: walk.root,
            open,
            looker: Looker::new(walk.clocks.clone(), walk.mode, walk.lower()),
            buffer: vec![MaybeUninit::uninit(); LISTING].into_boxed_slice(),
        }
    }

    /// Does one directory and adds those below it that are to be done.
    fn directory(&mut self, task: &Task<'a>, more: &mut Vec<Task<'a>>) -> Result<()> {
        let own = match self.enter(task) {
            Err(error) if error.is_absent() || error.is_link() => return self.vanished(task),
            own => Arc::new(own?),
        };
        match task.todo {
            Todo::Everything(_) => self.list(task, &own, more),
            // An event has the name as somebody spelled it, which need not be how the directory does.
            Todo::Places(places) if is_children(&task.path, places) || folds_case(&own.fd) => {
                self.list(task, &own, more)
            }
            Todo::Places(places) => self.named(task, &own, places, more),
        }
    }

    fn vanished(&mut self, task: &Task<'a>) -> Result<()> {
        self.looker.vanished.push(task.path.clone());
        Ok(())
    }

    fn enter(&self, task: &Task<'a>) -> Result<Opened<'a>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match (&task.parent, task.path.name()) {
            (Some(parent), Some(name)) => {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                fs::openat2(&parent.fd, name, flags, Mode::empty(), resolve)
                    .during("openat2", &task.path)?
            }
            _ => self.root.open_directory(&task.path)?,
        };
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Opened {
            fd,
            count: self.open,
        })
    }

    /// Looks at everything in a directory: one merge of the sorted names on disk and in the baseline.
    ///
    /// A name that the listing lacks need not be gone: on btrfs readdir(3) may pass over one that a rename replaces meanwhile.
    /// A stat decides.
    fn list(
        &mut self,
        task: &Task<'a>,
        own: &Arc<Opened<'a>>,
        more: &mut Vec<Task<'a>>,
    ) -> Result<()> {
        let names = match self.names(own, &task.path) {
            // getdents(2): the directory was removed since it was opened. (Of the root that is the caller's to tell.)
            Err(error) if error.is_absent() && !task.path.is_root() => return self.vanished(task),
            names => names?,
        };
        let recorded = task.known.map(Cursor::children).unwrap_or_default();
        let mut recorded = recorded.into_iter().peekable();
        for name in names.iter() {
            while let Some((unlisted, known)) = recorded.next_if(|(known, _)| *known < name) {
                self.child(task, own, unlisted, Some(known), task.todo, more)?;
            }
            let known = recorded.next_if(|(known, _)| *known == name);
            let known = known.map(|(_, known)| known);
            self.child(task, own, name, known, task.todo, more)?;
        }
        for (unlisted, known) in recorded {
            self.child(task, own, unlisted, Some(known), task.todo, more)?;
        }
        Ok(())
    }

    /// Looks at the entries that places name, or that are on the way to them.
    fn named(
        &mut self,
        task: &Task<'a>,
        own: &Arc<Opened<'a>>,
        mut places: &'a [Place],
        more: &mut Vec<Task<'a>>,
    ) -> Result<()> {
        let depth = task.path.parts().count();
        while let Some((path, _)) = places.first() {
            let Some(name) = path.parts().nth(depth) else {
                // The directory itself.
                places = &places[1..];
                continue;
            };
            let child = task.path.join(name)?;
            let end = places.partition_point(|(path, _)| path.is_within(&child));
            let (inside, rest) = places.split_at(end);
            let known = task.known.and_then(|known| known.child(name));
            self.child(task, own, name, known, Todo::Places(inside), more)?;
            places = rest;
        }
        Ok(())
    }

    fn child(
        &mut self,
        task: &Task<'a>,
        own: &Arc<Opened<'a>>,
        name: &[u8],
        known: Option<Cursor<'a>>,
        todo: Todo<'a>,
        more: &mut Vec<Task<'a>>,
    ) -> Result<()> {
        self.root.check_wanted(&task.path)?;
        let site = Site {
            fd: own.fd.as_fd(),
            directory: &task.path,
            name,
        };
        // A scan makes no path for what it only passes.
        let mut path = None;
        let (care, below) = match todo {
            Todo::Everything([]) => (Care::Passing, Some(todo)),
            Todo::Everything(places) => {
                let path = path.insert(task.path.join(name)?);
                let below = Todo::Everything(within(path, places));
                (care(path, places), Some(below))
            }
            Todo::Places(places) => {
                let path = path.insert(task.path.join(name)?);
                (care(path, places), narrow(path, places))
            }
        };
        let below = match self.looker.look(site, known, care)? {
            Below::Nothing => return Ok(()),
            Below::Unknown => Some(Todo::Everything(&[])),
            Below::Known => below,
        };
        if let Some(todo) = below {
            let path = path.map_or_else(|| task.path.join(name), Ok)?;
            let held = self.open.load(Ordering::Relaxed) < OPEN_DIRECTORIES;
            more.push(Task {
                path,
                known: known.filter(|known| known.kind() == Kind::Directory),
                todo,
                parent: held.then(|| Arc::clone(own)),
            });
        }
        Ok(())
    }

    fn names(&mut self, directory: &Opened<'_>, path: &RelPath) -> Result<Names> {
        self.looker.effort.listings += 1;
        let mut names = Names::default();
        let mut listing = RawDir::new(&directory.fd, &mut self.buffer);
        while let Some(item) = listing.next() {
            let item = item.during("getdents64", path)?;
            match item.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.add(name),
            }
        }
        names.sort();
        Ok(names)
    }
}
