//! Who the command is and what it may do. Runs in the child: no allocation, no locks.
//!
//! The raw system calls are used: the C library's `setuid` and its kin make every thread follow, and the threads that it
//! remembers were not cloned.

use rustix::io::Errno;
use rustix::process::Signal;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::mount::Security;
use super::plan::Plan;
use super::report::{During, Operation, Step};

/// Docker's default set.
const ALLOWED: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Becomes the user of the plan, with no more than the allowed capabilities and no way to get others.
pub(super) fn assume<'a>(plan: &'a Plan<'_>) -> Step<'a> {
    join_keyring()?;
    let allowed = match plan.security {
        Security::Sandbox => ALLOWED,
        Security::Insecure => CapabilitySet::all(),
    };
    drop_bounding_set(allowed)?;
    set_thread_groups(&plan.groups).of(Operation::Setgroups, c"")?;
    set_thread_res_gid(plan.gid, plan.gid, plan.gid).of(Operation::Setresgid, c"")?;
    // Takes every capability away, unless it is to root.
    set_thread_res_uid(plan.uid, plan.uid, plan.uid).of(Operation::Setresuid, c"")?;
    clear_ambient_capability_set().of(Operation::Prctl, c"")?;
    let held = capabilities(None).of(Operation::Capget, c"")?.permitted;
    let kept = held.intersection(allowed);
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        // Inheritable ones would come back by executing a file with capabilities of its own.
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).of(Operation::Capset, c"")
}

/// Sets the limits of the plan.
pub(super) fn limit<'a>(plan: &'a Plan<'_>) -> Step<'a> {
    for limit in plan.limits {
        let new = libc::rlimit64 {
            rlim_cur: limit.soft,
            rlim_max: limit.hard,
        };
        // SAFETY: the structure outlives the call; the old limit is not asked for.
        let set = unsafe {
            libc::syscall(
                libc::SYS_prlimit64,
                0,
                limit.resource,
                &raw const new,
                std::ptr::null_mut::<libc::rlimit64>(),
            )
        };
        last_errno(set).of(Operation::Prlimit, c"")?;
    }
    Ok(())
}

/// The keys of the user who builds stay out of reach.
fn join_keyring<'a>() -> Step<'a> {
    // keyctl(2); the C library has no name for it.
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    let joined = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    match last_errno(joined) {
        // No keyrings in this kernel, or a seccomp filter that keeps the command from them as well.
        Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        result => result.of(Operation::Keyctl, c""),
    }
}

/// The bounding set is what root gets back on `execve` (capabilities(7)).
fn drop_bounding_set<'a>(allowed: CapabilitySet) -> Step<'a> {
    for number in 0..u64::BITS {
        if allowed.bits() & (1 << number) != 0 {
            continue;
        }
        // SAFETY: PR_CAPBSET_DROP takes numbers only.
        let dropped =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        match last_errno(dropped.into()) {
            // Past the last capability that this kernel knows.
            Err(Errno::INVAL) => break,
            result => result.of(Operation::Prctl, c"")?,
        }
    }
    Ok(())
}

/// Every signal does what it does by default. `execve` resets handlers but keeps what is ignored, and Python ignores
/// SIGPIPE: `yes | head` would not end.
pub(super) fn reset_signals<'a>() -> Step<'a> {
    /// Signals 1 to 64 on every Linux this is built for, and the size of the kernel's set of them.
    const SIGNALS: i32 = 64;
    const SET_SIZE: usize = SIGNALS as usize / 8;
    for signal in 1..=SIGNALS {
        // The C library's own call refuses 32 and 33, which it keeps to itself, and posix_spawn(3) leaves ignored.
        // SAFETY: the kernel's `struct sigaction` is no larger than this, and all-zero is SIG_DFL without flags or mask.
        let set = unsafe {
            let action = [0_u64; 8];
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                action.as_ptr(),
                none,
                SET_SIZE,
            )
        };
        match last_errno(set) {
            // KILL and STOP cannot be ignored in the first place.
            Err(Errno::INVAL) => {}
            result => result.of(Operation::Sigaction, c"")?,
        }
    }
    Ok(())
}

/// Dies with the thread that started it. Credentials must be final: a change of them clears this (prctl(2)).
pub(super) fn die_with_parent<'a>() -> Step<'a> {
    // SAFETY: PR_SET_PDEATHSIG takes numbers only.
    let set = unsafe {
        libc::prctl(
            libc::PR_SET_PDEATHSIG,
            Signal::KILL.as_raw() as libc::c_ulong,
            0,
            0,
            0,
        )
    };
    last_errno(set.into()).of(Operation::Prctl, c"")
}

/// The result of a C function that returns -1 and sets errno.
pub(crate) fn last_errno(returned: libc::c_long) -> rustix::io::Result<()> {
    if returned != -1 {
        return Ok(());
    }
    // SAFETY: the pointer is this thread's own errno.
    Err(Errno::from_raw_os_error(unsafe {
        *libc::__errno_location()
    }))
}
