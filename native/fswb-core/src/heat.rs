//! When a file that is written to again and again is no news any more.
//!
//! Telling of a write costs the command more than a small write does. The kernel merges equal events in the queue, so
//! their number says nothing. What tells is a file that was modified in every one of several drains in a row; or of
//! several looks in a row within one drain, microseconds apart.

/// Drains, or looks, in a row after which a file is hot.
pub(crate) const HOT: u32 = 3;

/// A file that was modified in the last drains.
#[derive(Debug, Default)]
pub(crate) struct Warm {
    /// How many in a row; of a drain with several looks, each of them.
    pub(crate) drains: u32,
    now: bool,
    earlier: bool,
}

impl Warm {
    /// It was modified since the last look; whether that is the first we hear of it since.
    pub(crate) fn modified(&mut self) -> bool {
        if self.now {
            return false;
        }
        self.drains += 1;
        self.now = true;
        true
    }

    /// Whether something should be done about it now: after `HOT` drains, and if that was in vain, after twice as many.
    pub(crate) fn is_due(&self) -> bool {
        self.drains % HOT == 0 && (self.drains / HOT).is_power_of_two()
    }

    /// Another look follows in the same drain.
    pub(crate) fn looked(&mut self) {
        self.earlier |= std::mem::take(&mut self.now);
    }

    /// A drain is over; whether it stays warm.
    pub(crate) fn drained(&mut self) -> bool {
        self.looked();
        std::mem::take(&mut self.earlier)
    }
}
