//! Files written to without end, of which the kernel is asked to tell no more until the next advance: first of the file,
//! then, if that goes on for long, of any write.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;

use crate::error::Result;
use crate::fanotify::event::Event;
use crate::fanotify::group::Group;
use crate::fanotify::storm::Storm;
use crate::handle::{Handle, Inode};
use crate::heat::Warm;

/// Files that are remembered from one drain to the next: where so many are written to at once, none is hot.
const REMEMBERED: usize = 4096;
/// Files that may be muted at a time. Each takes a mark, of which a user has some thousands.
const MUTED: usize = 256;

/// Which files are modified drain after drain, and what the kernel is silent about.
#[derive(Debug)]
pub(super) struct Heat {
    files: HashMap<Inode, Warm>,
    /// Whether a file was modified in this drain, and whether this is one more look in it.
    is_warm: bool,
    is_looking: bool,
    hot: Vec<Hot>,
    muted: HashSet<Inode>,
    /// Hot files that cannot be muted.
    loud: HashSet<Inode>,
    /// Those of the muted ones that are in the tree; the first is listened to next.
    ours: VecDeque<Hot>,
    /// The one that is unmuted for the moment, and whether it was heard.
    listening: Option<(Inode, bool)>,
    storm: Storm,
    silent: bool,
}

/// A file to be muted, or one that is.
#[derive(Debug)]
struct Hot {
    inode: Inode,
    kind: i32,
    handle: Vec<u8>,
}

impl Hot {
    fn open(&self, group: &Group) -> Result<OwnedFd> {
        let handle = Handle {
            kind: self.kind,
            bytes: &self.handle,
        };
        group.open(handle, self.inode)
    }
}

impl Heat {
    /// In a tree of so many entries, of which all is told.
    pub(super) fn new(entries: usize) -> Self {
        Self {
            files: HashMap::new(),
            is_warm: false,
            is_looking: false,
            hot: Vec::new(),
            muted: HashSet::new(),
            loud: HashSet::new(),
            ours: VecDeque::new(),
            listening: None,
            storm: Storm::new(entries),
            silent: false,
        }
    }

    /// Takes note of an event; `is_ours` says whether it is of the tree. What is created or closed with it costs its
    /// system calls anyway and is not hot.
    pub(super) fn note(&mut self, event: &Event<'_>, is_ours: impl FnOnce() -> bool) {
        if event.mask != libc::FAN_MODIFY {
            return;
        }
        let target = event
            .target
            .and_then(|handle| Some((handle.inode()?, handle)));
        let Some((inode, handle)) = target else {
            return;
        };
        if let Some((listened, heard)) = &mut self.listening {
            if *listened == inode {
                *heard = true;
                self.storm.heard();
                return;
            }
        }
        if is_ours() {
            if self.is_looking && self.loud.contains(&inode) {
                self.storm.heard();
            } else {
                self.storm.told();
            }
        }
        self.is_warm = true;
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

    /// Whether another look, at once, may find a file hot.
    pub(super) fn is_warm(&self) -> bool {
        self.is_warm
    }

    /// Another look follows in the same drain.
    pub(super) fn looked(&mut self) {
        self.is_looking = true;
        self.files.values_mut().for_each(Warm::looked);
    }

    /// A drain is over: what is hot by now is muted, if the kernel lets us.
    pub(super) fn drained(&mut self, group: &Group) {
        self.is_warm = false;
        self.is_looking = false;
        self.files.retain(|_, warm| warm.drained());
        for hot in std::mem::take(&mut self.hot) {
            if self.muted.len() >= MUTED {
                continue;
            }
            // Whatever the reason that it cannot be done: the file goes on being told of, which is always right.
            let file = hot.open(group);
            let Some(file) = file.ok().filter(|file| group.mute(file).is_ok()) else {
                if self.loud.len() < MUTED {
                    self.loud.insert(hot.inode);
                }
                continue;
            };
            self.muted.insert(hot.inode);
            self.ours.retain(|known| known.inode != hot.inode);
            if group.has(&file) {
                self.ours.push_front(hot);
            }
        }
    }

    /// Unmutes a file for a moment, to hear whether it is still written to; `None` if there is none. The one that was heard
    /// last time, else the others by turns.
    pub(super) fn listen(&mut self, group: &Group) -> Option<OwnedFd> {
        let hot = self.ours.front()?;
        let file = hot.open(group);
        // It was deleted: whoever has it open still goes unheard.
        let Some(file) = file.ok().filter(|file| group.unmute(file).is_ok()) else {
            self.ours.pop_front();
            return None;
        };
        self.listening = Some((hot.inode, false));
        Some(file)
    }

    /// Ends that moment.
    pub(super) fn listened(&mut self, group: &Group, file: &OwnedFd) {
        if group.mute(file).is_err() {
            // It goes on being told of.
            self.ours.pop_front();
        } else if let Some((_, false)) = self.listening {
            self.ours.rotate_left(1);
        }
        self.listening = None;
    }

    /// Has the kernel tell of no write any more, if telling has cost as much as a scan.
    pub(super) fn weigh(&mut self, group: &Group) {
        if self.storm.outweighs_a_scan() && group.tell_of_no_modification().is_ok() {
            self.silent = true;
            self.ours.clear();
            // Marks of files cost their writers time, too. What stays is left to the next advance, which insists.
            drop(group.unmute_all());
        }
    }

    /// Whether any file may have been modified without an event.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// What may have been modified without an event, unless anything may.
    pub(super) fn muted(&self) -> impl Iterator<Item = Inode> {
        self.muted.iter().copied()
    }
}
