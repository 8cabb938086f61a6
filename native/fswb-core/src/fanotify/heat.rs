//! Files written to without end, of which the kernel is asked to tell no more until the next advance.

use std::collections::{HashMap, HashSet};

use crate::fanotify::event::Event;
use crate::fanotify::group::Group;
use crate::handle::{Handle, Inode};
use crate::heat::Warm;

/// Files that are remembered from one drain to the next: where so many are written to at once, none is hot.
const REMEMBERED: usize = 4096;
/// Files that may be muted at a time. Each takes a mark, of which a user has some thousands.
const MUTED: usize = 256;

/// Which files are modified drain after drain, and which of them the kernel is silent about.
#[derive(Debug, Default)]
pub(super) struct Heat {
    files: HashMap<Inode, Warm>,
    hot: Vec<Hot>,
    muted: HashSet<Inode>,
}

/// A file to be muted.
#[derive(Debug)]
struct Hot {
    inode: Inode,
    kind: i32,
    handle: Vec<u8>,
}

impl Heat {
    /// Takes note of an event. What is created or closed with it costs its system calls anyway and is not hot.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        if event.mask != libc::FAN_MODIFY {
            return;
        }
        let target = event
            .target
            .and_then(|handle| Some((handle.inode()?, handle)));
        let Some((inode, handle)) = target else {
            return;
        };
        let room = self.files.len() < REMEMBERED;
        let warm = match self.files.get_mut(&inode) {
            Some(warm) => warm,
            None if room => self.files.entry(inode).or_default(),
            None => return,
        };
        if warm.modified() && warm.is_due() {
            self.hot.push(Hot {
                inode,
                kind: handle.kind,
                handle: handle.bytes.to_vec(),
            });
        }
    }

    /// A drain is over: what is hot by now is muted, if the kernel lets us.
    pub(super) fn drained(&mut self, group: &Group) {
        self.files.retain(|_, warm| warm.drained());
        for hot in std::mem::take(&mut self.hot) {
            let handle = Handle {
                kind: hot.kind,
                bytes: &hot.handle,
            };
            // Whatever the reason that it cannot be done: the file goes on being told of, which is always right.
            if self.muted.len() < MUTED && group.mute(handle, hot.inode).is_ok() {
                self.muted.insert(hot.inode);
            }
        }
    }

    /// What may have been modified without an event.
    pub(super) fn muted(&self) -> impl Iterator<Item = Inode> {
        self.muted.iter().copied()
    }

    /// The kernel tells of everything again.
    pub(super) fn unmuted(&mut self) {
        *self = Self::default();
    }
}
