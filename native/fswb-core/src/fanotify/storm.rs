//! When telling of writes has cost the command as much as a look at its whole tree would.
//!
//! Whoever pays rent until it adds up to the price, and then buys, has paid twice what was necessary at most, whatever
//! comes after. The rent is what telling of writes costs the command, the price a scan of the tree. Both are reckoned from
//! what is counted, by figures that were measured once; no clock is asked.

/// What a write that is told of costs the command, in nanoseconds: 0.4 to 1.0 us, on ext4 and tmpfs.
const TOLD: u64 = 800;
/// What stands behind a look that found a muted file written to. A writer that never stops is found by each of the
/// [`LOOKS`] of a drain, and loses 1.2 to 1.6 ms until the next, 5 ms later (a million writes of a byte to a muted file
/// take 1.35 to 1.5 of the time of unwatched ones). Who writes a tenth as often is found a tenth as often. A hot file that
/// cannot be muted costs its writer twice that.
const HEARD: u64 = 1_400_000 / LOOKS as u64;
/// Looks in a row, at once, at what is written to: microseconds apart, so that only a storm is in all of them.
pub(super) const LOOKS: u32 = 4;
/// What a scan costs for each entry of the tree: 1.3 to 1.7 us (`scan` in fswatch_builder/tracking/break_even.json).
const ENTRY: u64 = 1_400;
/// Entries of a tree that is not worth the trouble, whatever its size: nobody notices these 5 ms.
const LEAST: usize = 4_000;

/// An account of what telling of writes has cost since the last advance.
#[derive(Debug)]
pub(super) struct Storm {
    spent: u64,
    scan: u64,
}

impl Storm {
    /// In a tree of so many entries.
    pub(super) fn new(entries: usize) -> Self {
        Self {
            spent: 0,
            scan: entries.max(LEAST) as u64 * ENTRY,
        }
    }

    /// An event told of nothing but a write. (Equal ones are merged: it may stand for more.)
    pub(super) fn told(&mut self) {
        self.spent += TOLD;
    }

    /// A look found a muted file, or one that should be, written to.
    pub(super) fn heard(&mut self) {
        self.spent += HEARD;
    }

    /// Whether a scan would have been as cheap.
    pub(super) fn outweighs_a_scan(&self) -> bool {
        self.spent >= self.scan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often something is to happen until a scan is as cheap.
    fn until(entries: usize, happen: impl Fn(&mut Storm)) -> u64 {
        let mut storm = Storm::new(entries);
        (1..)
            .find(|_| {
                happen(&mut storm);
                storm.outweighs_a_scan()
            })
            .unwrap()
    }

    #[test]
    fn the_larger_the_tree_the_more_writes_are_told_of() {
        assert_eq!(until(10_000, Storm::told), 17_500);
        assert_eq!(until(1_000_000, Storm::told), 1_750_000);
    }

    #[test]
    fn a_writer_that_never_stops_is_worth_a_scan_of_ten_thousand_in_ten_drains() {
        assert_eq!(until(10_000, Storm::heard).div_ceil(LOOKS.into()), 10);
        // At 5 ms a drain, a million writes of 0.4 us are long over.
        assert_eq!(until(1_000_000, Storm::heard).div_ceil(LOOKS.into()), 1000);
    }

    #[test]
    fn in_a_small_tree_a_few_writes_are_no_storm() {
        assert_eq!(until(1, Storm::told), 7_000);
    }
}
