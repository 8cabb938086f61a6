//! Everything the child needs, laid out before it is cloned: after that it may neither allocate nor take a lock.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Gid, Uid};

use super::launcher::{self, launcher};
use super::mount::{Limit, Network, Security};
use super::placing::{self, Placed};
use super::stubs::Stubs;
use super::{RunSpec, Streams};
use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::{Root, c_string};
use crate::witness::Instruction;

/// Where a command without a slash is searched if the environment has no PATH: Docker's default.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's, in bytes.
const SHM_SIZE: u64 = 64 << 20;

/// A vector of C strings and the NULL-terminated vector of pointers that `execve` wants.
pub(super) struct Strings {
    pointers: Vec<Cell<*const c_char>>,
    owned: Vec<CString>,
}

impl Strings {
    fn new(strings: &[Vec<u8>]) -> Result<Self> {
        let owned: Vec<CString> = strings
            .iter()
            .map(|string| c_string(string))
            .collect::<Result<_>>()?;
        let pointers = owned.iter().map(|string| string.as_ptr());
        let pointers = pointers.chain([std::ptr::null()]);
        Ok(Self {
            pointers: pointers.map(Cell::new).collect(),
            owned,
        })
    }

    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr().cast()
    }

    /// Puts another string in the place of the first.
    pub(super) fn set_first(&self, string: &CStr) {
        if let Some(first) = self.pointers.first() {
            first.set(string.as_ptr());
        }
    }
}

/// The child's ends of what leads to its parent; [`Plan`] says what each is for.
pub(super) struct Ends<'a> {
    pub(super) report: &'a OwnedFd,
    pub(super) released: &'a OwnedFd,
    pub(super) place: &'a OwnedFd,
    pub(super) witness: Option<Instruction>,
}

pub(super) struct Plan<'a> {
    pub(super) root: BorrowedFd<'a>,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) terminal: bool,
    /// The end of the pipe that failures are reported to.
    pub(super) report: OwnedFd,
    /// Can be read when nothing of this plan is open in the parent any more.
    pub(super) released: OwnedFd,
    /// Where the child sends its mount namespace.
    pub(super) place: OwnedFd,
    /// What executes the command.
    pub(super) launcher: OwnedFd,
    pub(super) witness: Option<Instruction>,
    /// In the order of mounting.
    pub(super) mounts: Vec<Placed>,
    pub(super) network: Network,
    pub(super) security: Security,
    /// Of /dev/shm, in bytes.
    pub(super) shm_size: CString,
    pub(super) limits: &'a [Limit],
    pub(super) hostname: &'a [u8],
    pub(super) cwd: CString,
    /// The paths to execute, in the order of PATH.
    pub(super) candidates: Vec<CString>,
    /// Of the launcher: a place for the candidate, then the arguments of the command.
    pub(super) argv: Strings,
    pub(super) envp: Strings,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
    /// A user namespace with emulators in it.
    pub(super) emulators: Option<OwnedFd>,
}

impl<'a> Plan<'a> {
    /// Makes the mount points that are missing on the way; they are in `stubs`, also if this fails.
    pub(super) fn new(
        root: &'a Root,
        spec: &'a RunSpec,
        streams: Streams<'_>,
        ends: Ends<'_>,
        stubs: &mut Stubs,
    ) -> Result<Self> {
        // 4294967295 means "leave it" to the kernel: the command would keep running as root.
        if [spec.uid, spec.gid]
            .iter()
            .chain(&spec.groups)
            .any(|&id| id == u32::MAX)
        {
            return Err(Error::refused("", "4294967295 is no user or group ID"));
        }
        for directory in ["proc", "sys", "dev"] {
            stubs.directory(root, &RelPath::new(directory)?)?;
        }
        let mounts = placing::place(root, &spec.mounts, stubs)?;
        let shm_size = spec.shm_size.unwrap_or(SHM_SIZE);
        Ok(Self {
            root: root.fd(),
            stdin: streams.stdin.map(above_standard).transpose()?,
            stdout: above_standard(streams.stdout)?,
            stderr: above_standard(streams.stderr)?,
            terminal: streams.terminal,
            report: above_standard(ends.report.as_fd())?,
            released: above_standard(ends.released.as_fd())?,
            place: above_standard(ends.place.as_fd())?,
            launcher: above_standard(launcher()?.as_fd())?,
            witness: ends
                .witness
                .map(|witness| witness.above(launcher::REPORT + 1))
                .transpose()?,
            mounts,
            network: spec.network,
            security: spec.security,
            shm_size: c_string(shm_size.to_string().as_bytes())?,
            limits: &spec.limits,
            hostname: &spec.hostname,
            cwd: c_string(&spec.cwd)?,
            candidates: candidates(spec)?,
            argv: Strings::new(&[[Vec::new()].as_slice(), &spec.argv].concat())?,
            envp: Strings::new(&spec.env)?,
            uid: Uid::from_raw(spec.uid),
            gid: Gid::from_raw(spec.gid),
            groups: spec.groups.iter().map(|&gid| Gid::from_raw(gid)).collect(),
            emulators: spec
                .emulators
                .as_ref()
                .map(|emulators| above_standard(emulators.namespace()))
                .transpose()?,
        })
    }

    /// What a failed `execve` is about: the command as it was given.
    pub(super) fn command(&self) -> &CStr {
        self.argv.owned.get(1).map_or(c"", |name| name.as_c_str())
    }
}

/// A copy that the child's own 0, 1 and 2, and the launcher's 3, cannot overwrite.
fn above_standard(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fcntl_dupfd_cloexec(fd, launcher::REPORT + 1).during("fcntl", "")
}

fn candidates(spec: &RunSpec) -> Result<Vec<CString>> {
    let Some(command) = spec.argv.first() else {
        return Err(Error::refused("", "a RUN without a command"));
    };
    if command.is_empty() || command.contains(&b'/') {
        return Ok(vec![c_string(command)?]);
    }
    let path = spec
        .env
        .iter()
        .find_map(|entry| entry.strip_prefix(b"PATH="));
    path.unwrap_or(DEFAULT_PATH)
        .split(|&byte| byte == b':')
        .map(|directory| {
            // An empty part is the current directory, as for a shell.
            let directory = if directory.is_empty() {
                b"."
            } else {
                directory
            };
            c_string(&[directory, b"/", command].concat())
        })
        .collect()
}

/// A device of the minimal /dev.
pub(super) struct Device {
    pub(super) name: &'static CStr,
    pub(super) path: &'static CStr,
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl Device {
    pub(super) const TYPE: FileType = FileType::CharacterDevice;

    const fn new(name: &'static CStr, path: &'static CStr, major: u32, minor: u32) -> Self {
        Self {
            name,
            path,
            major,
            minor,
        }
    }
}

/// Numbers from the kernel's Documentation/admin-guide/devices.txt.
pub(super) const DEVICES: [Device; 6] = [
    Device::new(c"null", c"/dev/null", 1, 3),
    Device::new(c"zero", c"/dev/zero", 1, 5),
    Device::new(c"full", c"/dev/full", 1, 7),
    Device::new(c"random", c"/dev/random", 1, 8),
    Device::new(c"urandom", c"/dev/urandom", 1, 9),
    Device::new(c"tty", c"/dev/tty", 5, 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(command: &[u8], env: &[&[u8]]) -> RunSpec {
        RunSpec {
            argv: vec![command.to_vec()],
            env: env.iter().map(|entry| entry.to_vec()).collect(),
            ..RunSpec::default()
        }
    }

    fn searched(command: &[u8], env: &[&[u8]]) -> Vec<Vec<u8>> {
        let found = candidates(&spec(command, env)).unwrap();
        found.into_iter().map(CString::into_bytes).collect()
    }

    #[test]
    fn a_command_is_searched_on_the_path_of_its_own_environment() {
        let env: [&[u8]; 2] = [b"A=b", b"PATH=/x::/y"];
        assert_eq!(
            searched(b"ls", &env),
            [b"/x/ls".as_slice(), b"./ls", b"/y/ls"]
        );
        assert_eq!(searched(b"ls", &[])[0], b"/usr/local/sbin/ls");
    }

    #[test]
    fn a_command_with_a_slash_is_not_searched() {
        assert_eq!(searched(b"./ls", &[b"PATH=/x"]), [b"./ls"]);
    }

    #[test]
    fn no_command_and_a_nul_byte_are_refused() {
        let refused = |spec| matches!(candidates(&spec), Err(Error::Refused { .. }));
        assert!(refused(RunSpec::default()));
        assert!(refused(spec(b"a\0b", &[])));
    }
}
