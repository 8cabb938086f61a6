//! What was recorded since the base was mapped: a tree of its own, laid over the base.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::entry::{Entry, Inode, Kind};
use crate::path::RelPath;

/// The root of the delta, which is always there.
pub(super) const ROOT: u32 = 0;

/// What the delta says about one path.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing: the base is right. Only something below differs.
    Through,
    /// This, whatever the base says.
    Present(Arc<Entry>),
    /// Gone, with everything below.
    Absent,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) state: State,
    /// Nothing of what the base has below is visible.
    pub(super) hides: bool,
    pub(super) children: BTreeMap<Box<[u8]>, u32>,
}

/// An arena: a deep tree is freed without recursion.
#[derive(Debug)]
pub(super) struct Delta {
    nodes: Vec<Node>,
    free: Vec<u32>,
    links: HashMap<Inode, BTreeSet<RelPath>>,
}

impl Delta {
    /// One that changes nothing.
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![through()],
            free: Vec::new(),
            links: HashMap::new(),
        }
    }

    pub(super) fn node(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }

    /// The node at a path; made, and those above it, where missing.
    pub(super) fn ensure(&mut self, path: &RelPath) -> u32 {
        let mut at = ROOT;
        for name in path.parts() {
            at = match self.node(at).children.get(name) {
                Some(&child) => child,
                None => {
                    let child = self.allocate();
                    self.nodes[at as usize].children.insert(name.into(), child);
                    child
                }
            };
        }
        at
    }

    /// Records an entry. `hides`: nothing of the base is visible below from now on.
    pub(super) fn put(&mut self, path: &RelPath, entry: Arc<Entry>, hides: bool) {
        let at = self.ensure(path);
        if entry.kind != Kind::Directory {
            self.clear(at, path);
        }
        self.forget(at, path);
        if entry.is_shared() {
            let names = self.links.entry(entry.inode()).or_default();
            names.insert(path.clone());
        }
        let node = &mut self.nodes[at as usize];
        node.hides |= hides;
        node.state = State::Present(entry);
    }

    /// Records that a path and all below it is gone from the base.
    pub(super) fn hide(&mut self, path: &RelPath) {
        let at = self.ensure(path);
        self.clear(at, path);
        self.forget(at, path);
        let node = &mut self.nodes[at as usize];
        node.hides = true;
        node.state = State::Absent;
    }

    /// Forgets what is recorded for a path and all below it.
    pub(super) fn detach(&mut self, path: &RelPath) {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return;
        };
        let parent = self.ensure(&parent);
        if let Some(at) = self.nodes[parent as usize].children.remove(name) {
            self.clear(at, path);
            self.forget(at, path);
            self.nodes[at as usize] = through();
            self.free.push(at);
        }
    }

    /// Forgets everything below the root and hides the base there.
    pub(super) fn clear_root(&mut self) {
        self.clear(ROOT, &RelPath::ROOT);
        self.nodes[ROOT as usize].hides = true;
    }

    /// Names of a shared inode that are recorded here.
    pub(super) fn names_of(&self, dev: u64, ino: u64) -> impl Iterator<Item = &RelPath> {
        self.links.get(&(dev, ino)).into_iter().flatten()
    }

    /// Paths recorded here with one of these inode numbers.
    pub(super) fn names_with_ino(&self, wanted: &HashSet<u64>) -> impl Iterator<Item = RelPath> {
        let mut rest = vec![(RelPath::ROOT, ROOT)];
        std::iter::from_fn(move || {
            let (path, at) = rest.pop()?;
            let node = self.node(at);
            for (name, &child) in &node.children {
                if let Ok(path) = path.join(name) {
                    rest.push((path, child));
                }
            }
            let found = match &node.state {
                State::Present(entry) => {
                    entry.kind != Kind::Directory && wanted.contains(&entry.ino)
                }
                State::Through | State::Absent => false,
            };
            Some(found.then_some(path))
        })
        .flatten()
    }

    /// A path recorded here that is a character device 0/0.
    pub(super) fn null_device(&self) -> Option<RelPath> {
        let mut rest = vec![(RelPath::ROOT, ROOT)];
        while let Some((path, at)) = rest.pop() {
            let node = self.node(at);
            if let State::Present(entry) = &node.state {
                if entry.kind == Kind::CharDevice && entry.rdev == 0 {
                    return Some(path);
                }
            }
            for (name, &child) in &node.children {
                if let Ok(path) = path.join(name) {
                    rest.push((path, child));
                }
            }
        }
        None
    }

    fn clear(&mut self, at: u32, path: &RelPath) {
        let mut rest: Vec<(u32, RelPath)> = self.take_children(at, path);
        while let Some((at, path)) = rest.pop() {
            rest.extend(self.take_children(at, &path));
            self.forget(at, &path);
            self.nodes[at as usize] = through();
            self.free.push(at);
        }
    }

    fn take_children(&mut self, at: u32, path: &RelPath) -> Vec<(u32, RelPath)> {
        let children = std::mem::take(&mut self.nodes[at as usize].children);
        let below = children.into_iter();
        below
            // A key is a part of a path that was clean.
            .filter_map(|(name, child)| Some((child, path.join(&name).ok()?)))
            .collect()
    }

    /// Takes a node's entry out of the table of shared inodes.
    fn forget(&mut self, at: u32, path: &RelPath) {
        let State::Present(entry) = &self.nodes[at as usize].state else {
            return;
        };
        let inode = entry.inode();
        if let Some(names) = self.links.get_mut(&inode) {
            names.remove(path);
            if names.is_empty() {
                self.links.remove(&inode);
            }
        }
    }

    fn allocate(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.nodes.push(through());
            (self.nodes.len() - 1) as u32
        })
    }
}

fn through() -> Node {
    Node {
        state: State::Through,
        hides: false,
        children: BTreeMap::new(),
    }
}
