//! Directories in which a file is written to without end.

use std::collections::HashMap;

use crate::heat::Warm;

/// Entries of a directory worth looking at for each such drain. In the 5 ms between two drains a writer of one byte at a
/// time loses 2 ms to `MODIFY` (0.57 s instead of 0.29 s for a million writes); looking at an entry takes 2 µs. So a
/// directory is looked at when its events have cost what the look will cost: never more than twice the better choice.
const ENTRIES_PER_DRAIN: usize = 1000;

/// Which files are modified, drain after drain. Forgets whatever was not modified in the last one.
#[derive(Debug, Default)]
pub(super) struct Heat {
    files: HashMap<i32, HashMap<Vec<u8>, Warm>>,
}

/// A directory with a hot file in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hot {
    pub(super) wd: i32,
    /// How many entries it may have to be worth a look at all of them.
    pub(super) entries: usize,
}

impl Heat {
    /// A file was modified since the last drain.
    pub(super) fn modified(&mut self, wd: i32, name: &[u8]) {
        let files = self.files.entry(wd).or_default();
        if let Some(warm) = files.get_mut(name) {
            warm.modified();
            return;
        }
        let mut warm = Warm::default();
        warm.modified();
        files.insert(name.to_vec(), warm);
    }

    /// A drain is over. A directory that is returned and turns out to be too large is returned again once its file has
    /// been hot for twice as long.
    pub(super) fn drained(&mut self) -> Vec<Hot> {
        let mut hot = Vec::new();
        self.files.retain(|&wd, files| {
            files.retain(|_, warm| warm.drained());
            let due = files.values().filter(|warm| warm.is_due());
            let due = due.map(|warm| warm.drains);
            hot.extend(due.max().map(|drains| Hot {
                wd,
                entries: drains as usize * ENTRIES_PER_DRAIN,
            }));
            !files.is_empty()
        });
        hot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::HOT;

    #[test]
    fn a_file_is_hot_when_it_was_modified_in_several_drains_in_a_row() {
        let mut heat = Heat::default();
        let mut found = Vec::new();
        for drain in 1..=24 {
            heat.modified(7, b"log");
            heat.modified(7, b"log");
            found.extend(heat.drained().into_iter().map(|hot| (drain, hot.entries)));
        }
        assert_eq!(found, [(3, 3000), (6, 6000), (12, 12_000), (24, 24_000)]);
    }

    #[test]
    fn a_file_cools_down_in_one_drain() {
        let mut heat = Heat::default();
        for drain in 0..20 {
            if drain % HOT != 0 {
                heat.modified(7, b"log");
            }
            assert_eq!(heat.drained(), []);
        }
    }

    #[test]
    fn many_files_written_once_are_not_hot_and_not_remembered() {
        let mut heat = Heat::default();
        for drain in 0..20 {
            for name in 0..100 {
                heat.modified(7, format!("{drain}-{name}").as_bytes());
            }
            assert_eq!(heat.drained(), []);
        }
        assert_eq!(heat.drained(), []);
        assert!(heat.files.is_empty());
    }
}
