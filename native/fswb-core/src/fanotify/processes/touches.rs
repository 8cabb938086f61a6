//! Which processes touched which inodes and names of the tree.
//!
//! A change is found after the events are read, so what is kept must be found again by what a change tells: the number of
//! its inode, that of its directory, and its name. Numbers are used again; the generation in a handle tells one life of a
//! number from the next. What came into the tree during the step belongs to it from then on, as far as events say that it
//! came: what is in a directory that was moved in is not known one by one, and is its mover's.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::room::{Pids, Room};
use crate::baseline::Baseline;
use crate::change::{Change, ChangeKind, ChangeSet, Why};
use crate::fanotify::event::Event;
use crate::handle::{Handle, Inode};
use crate::path::RelPath;

/// Generation and subvolume: what tells the lives of one number apart.
type Identity = (u32, u64);

/// One inode, from its birth or the beginning of the step to its end.
#[derive(Debug)]
struct Life {
    identity: Identity,
    touched: Pids,
    /// If it is a directory.
    names: HashMap<Box<[u8]>, Pids>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Touches {
    /// By number, in the order in which they were heard of.
    lives: HashMap<u64, Vec<Life>>,
}

impl Touches {
    /// Takes note of an event; returns whether it is of the tree. `is_known`: whether the baseline may have an inode.
    pub(super) fn note(
        &mut self,
        event: &Event<'_>,
        room: &mut Room,
        mut is_known: impl FnMut(Inode) -> bool,
    ) -> bool {
        let mut is_ours = false;
        let named = libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_RENAME;
        let is_rename = event.renamed.is_some();
        let places = [
            (
                event.place,
                !is_rename && event.mask & libc::FAN_CREATE != 0,
            ),
            (event.renamed, is_rename),
        ];
        for (place, brings) in places {
            let Some(place) = place else { continue };
            let Some(directory) = self.own(place.directory, room, &mut is_known) else {
                continue;
            };
            is_ours = true;
            if place.name == b"." {
                room.add(&mut directory.touched, event.pid);
            } else if event.mask & named != 0 {
                if let Some(pids) = directory.names.get_mut(place.name) {
                    room.add(pids, event.pid);
                } else if room.take() {
                    let pids = Pids::from([event.pid]);
                    directory.names.insert(place.name.into(), pids);
                }
            }
            if brings {
                self.come(event.target, room);
            }
        }
        if let Some(target) = event.target {
            if let Some(life) = self.own(target, room, &mut is_known) {
                room.add(&mut life.touched, event.pid);
                is_ours = true;
            }
        }
        is_ours
    }

    /// The life that a handle stands for, if it is of the tree.
    ///
    /// The first that is heard of under a known number is the one that the baseline has: its end would have been heard of.
    fn own(
        &mut self,
        handle: Handle<'_>,
        room: &mut Room,
        is_known: &mut impl FnMut(Inode) -> bool,
    ) -> Option<&mut Life> {
        let (inode, generation) = (handle.inode()?, handle.generation()?);
        let identity = (generation, inode.subvolume);
        let lives = match self.lives.entry(inode.ino) {
            Entry::Occupied(lives) => lives.into_mut(),
            Entry::Vacant(none) if is_known(inode) && room.take() => {
                none.insert(vec![Life::new(identity)])
            }
            Entry::Vacant(_) => return None,
        };
        lives.iter_mut().find(|life| life.identity == identity)
    }

    /// An inode has got a name in the tree.
    fn come(&mut self, target: Option<Handle<'_>>, room: &mut Room) {
        let told = target.and_then(|handle| Some((handle.inode()?, handle.generation()?)));
        let Some((inode, generation)) = told else {
            return;
        };
        let identity = (generation, inode.subvolume);
        let lives = self.lives.entry(inode.ino).or_default();
        let is_new = lives.iter().all(|life| life.identity != identity);
        if is_new && room.take() {
            lives.push(Life::new(identity));
        }
    }

    /// The processes of each change. `baseline` is the one that `changes` are relative to.
    pub(super) fn resolve(
        &self,
        baseline: &Baseline,
        changes: &ChangeSet,
    ) -> BTreeMap<RelPath, Pids> {
        let mut found: BTreeMap<RelPath, Pids> = BTreeMap::new();
        let now: HashMap<&RelPath, u64> = changes
            .changes
            .iter()
            .filter_map(|change| Some((&change.path, change.after.as_ref()?.ino)))
            .collect();
        for change in &changes.changes {
            let mut pids = self.of_inodes(change);
            let directory = change.path.parent();
            if let (Some(directory), Some(name)) = (&directory, change.path.name()) {
                let before = baseline.cursor(directory).map(|at| at.entry().ino);
                let after = now.get(directory).copied().or(before);
                let lives = [
                    before.and_then(|ino| self.first(ino)),
                    after.and_then(|ino| self.last(ino)),
                ];
                for life in lives.into_iter().flatten() {
                    pids.extend(life.names.get(name).into_iter().flatten());
                }
            }
            // What came with a directory is its bringer's.
            let inherits = matches!(change.kind, ChangeKind::Added | ChangeKind::Replaced);
            if pids.is_empty() && inherits {
                let above = directory.and_then(|directory| found.get(&directory));
                pids = above.cloned().unwrap_or_default();
            }
            if !pids.is_empty() {
                found.insert(change.path.clone(), pids);
            }
        }
        found
    }

    fn of_inodes(&self, change: &Change) -> Pids {
        let mut pids = Pids::new();
        let before = change
            .before
            .as_ref()
            .and_then(|entry| self.first(entry.ino));
        let after = change.after.as_ref().and_then(|entry| self.last(entry.ino));
        for life in [before, after].into_iter().flatten() {
            pids.extend(&life.touched);
            // A directory has a new time by what came or went in it.
            if change.kind == ChangeKind::Modified && change.why.contains(Why::MTIME) {
                pids.extend(life.names.values().flatten());
            }
        }
        pids
    }

    fn first(&self, ino: u64) -> Option<&Life> {
        self.lives.get(&ino)?.first()
    }

    fn last(&self, ino: u64) -> Option<&Life> {
        self.lives.get(&ino)?.last()
    }
}

impl Life {
    fn new(identity: Identity) -> Self {
        Self {
            identity,
            touched: Pids::new(),
            names: HashMap::new(),
        }
    }
}
