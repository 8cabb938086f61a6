//! How much is kept.

use std::collections::BTreeSet;

/// Thread groups, as numbered in our PID namespace. 0 stands for those of another one.
pub(super) type Pids = BTreeSet<i32>;

/// Things that are kept in all, such as pairs of a place and a process: about 40 MB.
pub(super) const LIMIT: usize = 1 << 18;

/// What is left of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    left: usize,
    /// Whether nothing had to be left out.
    pub(super) is_enough: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            left: LIMIT,
            is_enough: true,
        }
    }
}

impl Room {
    /// Room for one thing more, if there is some.
    pub(super) fn take(&mut self) -> bool {
        self.is_enough &= self.left > 0;
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }

    /// Adds a process, if it is new and there is room for it.
    pub(super) fn add(&mut self, pids: &mut Pids, pid: i32) {
        if !pids.contains(&pid) && self.take() {
            pids.insert(pid);
        }
    }

    /// What was kept is not kept any more.
    pub(super) fn give(&mut self, things: usize) {
        self.left += things;
    }
}
