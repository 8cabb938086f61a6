//! Whether a process number means one process throughout a step.
//!
//! The kernel hands numbers out in a cycle (`idr_alloc_cyclic` in kernel/pid.c, Linux 6.18): one that was given to a
//! process of this step is given to another only after the cycle has come round. And one that a process had before the
//! step may be given to another as soon as that one is gone: such a process has to be there at the end as well, with the
//! same start time. (Who may choose numbers, by CAP_CHECKPOINT_RESTORE, can deceive us.)

use std::collections::HashMap;

use super::looks::start_time;
use crate::error::{Context, Error, Result};

/// Numbers that are not handed out again once the cycle has come round: `RESERVED_PIDS` in kernel/pid.c.
const RESERVED: u64 = 300;

/// What was there when a step began, and how far the cycle has come since.
#[derive(Debug)]
pub(super) struct Numbers {
    /// Start times, in clock ticks since boot.
    before: HashMap<i32, u64>,
    /// How many numbers there are.
    limit: u64,
    last: u64,
    advanced: u64,
    forks: u64,
}

impl Numbers {
    /// As of now.
    pub(super) fn now() -> Result<Self> {
        // First, so that whoever comes while we look is counted.
        let (last, forks) = (last_number()?, forks()?);
        let mut before = HashMap::new();
        for entry in std::fs::read_dir("/proc").during("open", "/proc")? {
            let name = entry.during("getdents64", "/proc")?.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok());
            // Who ends while we look was there, too: nobody is sure to be who has that number later on.
            if let Some(pid) = pid {
                before.insert(pid, start_time(pid).unwrap_or_default());
            }
        }
        Ok(Self {
            before,
            limit: number_in("/proc/sys/kernel/pid_max", 0)?,
            last,
            advanced: 0,
            forks,
        })
    }

    /// To be called now and then, before the cycle can have come round.
    pub(super) fn follow(&mut self) -> Result<()> {
        let now = last_number()?;
        self.advanced += way(self.last, now, self.limit);
        self.last = now;
        Ok(())
    }

    /// Whether a number may have been handed out twice.
    ///
    /// Forks are counted beside, for a reader that was starved: they are no more than the numbers handed out.
    pub(super) fn may_repeat(&self) -> Result<bool> {
        let made = forks()?.saturating_sub(self.forks);
        let all = self.limit.saturating_sub(RESERVED);
        Ok(self.advanced >= all || made >= all / 2)
    }

    /// Whether a process with this number was there before.
    pub(super) fn was_there(&self, pid: i32) -> bool {
        self.before.contains_key(&pid)
    }

    /// Whether it is there still, if one was there before.
    pub(super) fn is_still_there(&self, pid: i32) -> bool {
        let before = self.before.get(&pid);
        before.is_none_or(|&before| start_time(pid) == Some(before))
    }
}

/// How far it is in the cycle.
fn way(from: u64, to: u64, limit: u64) -> u64 {
    if to >= from {
        to - from
    } else {
        limit.saturating_sub(from) + to.saturating_sub(RESERVED)
    }
}

/// The number that was handed out last (proc_loadavg(5)), in our PID namespace.
fn last_number() -> Result<u64> {
    number_in("/proc/loadavg", 4)
}

/// Processes and threads made since boot (proc_stat(5)).
fn forks() -> Result<u64> {
    let told = std::fs::read_to_string("/proc/stat").during("read", "/proc/stat")?;
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("processes "));
    let forks = line.and_then(|number| number.trim().parse().ok());
    forks.ok_or_else(|| {
        Error::refused(
            "/proc/stat",
            "it does not say how many processes there were",
        )
    })
}

fn number_in(path: &str, field: usize) -> Result<u64> {
    let told = std::fs::read_to_string(path).during("read", path)?;
    let number = told
        .split_whitespace()
        .nth(field)
        .and_then(|word| word.parse().ok());
    number.ok_or_else(|| Error::refused(path, "it does not say a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_round_the_cycle_leaves_out_what_is_reserved() {
        assert_eq!(way(1000, 1000, 32768), 0);
        assert_eq!(way(1000, 1500, 32768), 500);
        assert_eq!(way(32_000, 1000, 32768), 768 + 700);
    }

    #[test]
    fn our_own_number_is_ours_and_that_of_nobody_is_not() {
        let numbers = Numbers::now().unwrap();
        let own = std::process::id() as i32;
        assert!(numbers.was_there(own) && numbers.is_still_there(own));
        assert!(!numbers.was_there(i32::MAX) && numbers.is_still_there(i32::MAX));
    }

    #[test]
    fn another_process_under_an_old_number_is_told_by_its_start_time() {
        let mut numbers = Numbers::now().unwrap();
        let own = std::process::id() as i32;
        *numbers.before.get_mut(&own).unwrap() -= 1;
        assert!(!numbers.is_still_there(own));
    }

    #[test]
    fn numbers_repeat_when_the_cycle_has_come_round() {
        let mut numbers = Numbers::now().unwrap();
        assert!(!numbers.may_repeat().unwrap());
        numbers.advanced = numbers.limit - RESERVED;
        assert!(numbers.may_repeat().unwrap());
        numbers.advanced = 0;
        numbers.forks -= numbers.forks.min(numbers.limit);
        numbers.limit = RESERVED;
        assert!(numbers.may_repeat().unwrap());
    }
}
