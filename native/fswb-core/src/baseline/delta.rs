//! What was recorded since the base was mapped: a tree of its own, laid over the base.

use std::collections::hash_map::Entry::Occupied;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::entry::{Entry, Kind};
use crate::path::RelPath;

/// The root of the delta, which is always there.
pub(super) const ROOT: u32 = 0;

/// No node.
const NONE: u32 = u32::MAX;

/// What the delta says about one path.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Nothing: the base is right. Only something below differs.
    Through,
    /// This, whatever the base says.
    Present(Arc<Entry>),
    /// Gone, with everything below.
    Absent,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) state: State,
    /// Nothing of what the base has below is visible.
    pub(super) hides: bool,
    pub(super) children: BTreeMap<Arc<[u8]>, u32>,
    parent: u32,
    /// Its key among the parent's children.
    name: Arc<[u8]>,
    /// Neighbours in the list of nodes that have the same inode number.
    next: u32,
    previous: u32,
}

/// An arena: a deep tree is freed without recursion.
#[derive(Debug, Clone)]
pub(super) struct Delta {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// The first node with an inode number. A node more or less costs the same, however many names an inode has.
    inodes: HashMap<u64, u32>,
    /// How many entries are on a device.
    devices: HashMap<u64, usize>,
}

impl Delta {
    /// One that changes nothing.
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![through()],
            free: Vec::new(),
            inodes: HashMap::new(),
            devices: HashMap::new(),
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
                    let name: Arc<[u8]> = name.into();
                    self.nodes[child as usize].parent = at;
                    self.nodes[child as usize].name = Arc::clone(&name);
                    self.nodes[at as usize].children.insert(name, child);
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
            self.clear(at);
        }
        self.forget(at);
        self.remember(at, &entry);
        let node = &mut self.nodes[at as usize];
        node.hides |= hides;
        node.state = State::Present(entry);
    }

    /// Records that a path and all below it is gone from the base.
    pub(super) fn hide(&mut self, path: &RelPath) {
        let at = self.ensure(path);
        self.clear(at);
        self.forget(at);
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
            self.clear(at);
            self.release(at);
        }
    }

    /// Forgets everything below the root and hides the base there.
    pub(super) fn clear_root(&mut self) {
        self.clear(ROOT);
        self.nodes[ROOT as usize].hides = true;
    }

    /// What is recorded here with an inode number, on whatever device.
    pub(super) fn with_ino(&self, ino: u64) -> impl Iterator<Item = (u32, &Entry)> {
        let mut at = self.inodes.get(&ino).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let node = self.nodes.get(at as usize)?;
            let State::Present(entry) = &node.state else {
                return None;
            };
            let found = (at, &**entry);
            at = node.next;
            Some(found)
        })
    }

    /// All inode numbers recorded here.
    pub(super) fn inodes(&self) -> impl Iterator<Item = u64> {
        self.inodes.keys().copied()
    }

    /// The devices of what is recorded here.
    pub(super) fn devices(&self) -> impl Iterator<Item = u64> {
        self.devices.keys().copied()
    }

    /// Where a node is.
    pub(super) fn path(&self, node: u32) -> Option<RelPath> {
        let mut names = Vec::new();
        let mut at = node;
        while at != ROOT {
            let node = self.node(at);
            names.push(&node.name);
            at = node.parent;
        }
        let mut names = names.into_iter().rev();
        names.try_fold(RelPath::ROOT, |path, name| path.join(name).ok())
    }

    /// A path recorded here that is a character device 0/0.
    pub(super) fn null_device(&self) -> Option<RelPath> {
        let mut rest = vec![ROOT];
        while let Some(at) = rest.pop() {
            let node = self.node(at);
            if let State::Present(entry) = &node.state {
                if entry.kind == Kind::CharDevice && entry.rdev == 0 {
                    return self.path(at);
                }
            }
            rest.extend(node.children.values());
        }
        None
    }

    fn clear(&mut self, at: u32) {
        let mut rest = self.take_children(at);
        while let Some(at) = rest.pop() {
            rest.extend(self.take_children(at));
            self.release(at);
        }
    }

    fn take_children(&mut self, at: u32) -> Vec<u32> {
        let children = std::mem::take(&mut self.nodes[at as usize].children);
        children.into_values().collect()
    }

    fn release(&mut self, at: u32) {
        self.forget(at);
        self.nodes[at as usize] = through();
        self.free.push(at);
    }

    /// Puts a node first among those with its inode number.
    fn remember(&mut self, at: u32, entry: &Entry) {
        let next = self.inodes.insert(entry.ino, at).unwrap_or(NONE);
        if let Some(next) = self.nodes.get_mut(next as usize) {
            next.previous = at;
        }
        let node = &mut self.nodes[at as usize];
        (node.next, node.previous) = (next, NONE);
        *self.devices.entry(entry.dev).or_default() += 1;
    }

    /// Takes a node out of the table of inodes.
    fn forget(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        let State::Present(entry) = std::mem::replace(&mut node.state, State::Through) else {
            return;
        };
        let (next, previous) = (node.next, node.previous);
        if let Some(next) = self.nodes.get_mut(next as usize) {
            next.previous = previous;
        }
        match self.nodes.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None if next == NONE => drop(self.inodes.remove(&entry.ino)),
            None => drop(self.inodes.insert(entry.ino, next)),
        }
        if let Occupied(mut count) = self.devices.entry(entry.dev) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
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
        parent: ROOT,
        name: Arc::default(),
        next: NONE,
        previous: NONE,
    }
}
