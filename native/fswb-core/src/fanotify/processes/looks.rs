//! A look at a process while it lives.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

/// Bytes of a command line that are kept.
const ARGUMENTS: usize = 4096;

/// `PF_KTHREAD` of include/linux/sched.h.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What /proc says of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// What it executes. None: a thread of the kernel.
    pub(super) program: Option<Vec<u8>>,
    /// Its words, as it shows them to everybody; cut off where they are long.
    pub(super) arguments: Vec<Vec<u8>>,
}

/// Looks at a process; `None` if it has ended, or is not ours to look at.
///
/// All is read by one descriptor of its directory, which stands for that process and none that gets its number later.
pub(super) fn look(pid: i32) -> Option<Look> {
    let directory = directory(pid)?;
    let stat = Stat::of(&directory)?;
    if stat.has_ended {
        return None;
    }
    if stat.flags & KERNEL_THREAD != 0 {
        return Some(Look {
            program: None,
            arguments: Vec::new(),
        });
    }
    let program = readlinkat(&directory, "exe", Vec::new()).ok()?;
    let mut arguments = read(&directory, "cmdline", ARGUMENTS)?;
    if arguments.last() == Some(&0) {
        arguments.pop();
    }
    Some(Look {
        program: Some(program.into_bytes()),
        arguments: arguments
            .split(|&byte| byte == 0)
            .map(<[u8]>::to_vec)
            .collect(),
    })
}

/// When a process began, in clock ticks since boot; `None` if it has ended.
pub(super) fn start_time(pid: i32) -> Option<u64> {
    let stat = Stat::of(&directory(pid)?)?;
    Some(stat.start_time)
}

fn directory(pid: i32) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).ok()
}

/// Of proc_pid_stat(5).
struct Stat {
    has_ended: bool,
    flags: u64,
    start_time: u64,
}

impl Stat {
    fn of(directory: &OwnedFd) -> Option<Self> {
        let told = read(directory, "stat", 4096)?;
        // The second field is a name in parentheses, and may have some of its own.
        let end = told.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(told.get(end + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            has_ended: matches!(*fields.first()?, "Z" | "X" | "x"),
            flags: fields.get(6)?.parse().ok()?,
            start_time: fields.get(19)?.parse().ok()?,
        })
    }
}

/// The first bytes of a file of /proc.
fn read(directory: &OwnedFd, name: &str, most: usize) -> Option<Vec<u8>> {
    let file = openat(
        directory,
        name,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let mut buffer = vec![0; most];
    let mut length = 0;
    while length < most {
        match rustix::io::read(&file, &mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(rustix::io::Errno::INTR) => {}
            // ESRCH: it has ended.
            Err(_) => return None,
        }
    }
    buffer.truncate(length);
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_ourselves_have_a_program_and_words() {
        let own = look(std::process::id() as i32).unwrap();
        let program = std::env::current_exe().unwrap();
        assert_eq!(own.program.unwrap(), program.as_os_str().as_encoded_bytes());
        let words: Vec<_> = std::env::args_os()
            .map(|word| word.into_encoded_bytes())
            .collect();
        assert_eq!(own.arguments, words);
    }

    #[test]
    fn nobody_and_who_has_ended_are_nothing_to_look_at() {
        assert_eq!(look(i32::MAX), None);
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id() as i32;
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` is a siginfo_t to be written to.
        let waited = unsafe { libc::waitid(libc::P_PID, child.id(), info.as_mut_ptr(), flags) };
        assert_eq!(waited, 0);
        assert_eq!(look(pid), None, "it is a zombie");
        assert!(
            start_time(pid).is_some(),
            "its number is its own until it is waited for"
        );
        child.wait().unwrap();
        assert_eq!(start_time(pid), None);
    }
}
