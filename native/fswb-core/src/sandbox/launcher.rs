//! A program of a few instructions that stands between the builder and the command.
//!
//! A process's `/proc/self/exe` is the program it was made from, until `execve` has succeeded. The child is a copy of the
//! builder, so a command that is, or that leads over a link or a `#!` line to, `/proc/self/exe` would execute the host's
//! own Python inside the sandbox, with the dynamic loader of the image. Code of the image would then hold a file of the
//! host, and root of the image is root of the host: it could make that file set-user-ID, or overwrite it (CVE-2019-5736).
//! So the child executes this program first, out of a memory file that belongs to this run alone; the program executes
//! the command.

use std::arch::global_asm;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use super::report::Operation;
use crate::error::{Context, Error, Result};

/// Where the program expects the pipe of the report, open across `execve`.
pub(super) const REPORT: i32 = 3;

// Called with the path of the command and then its arguments, the environment beyond them:
//
//     if (fcntl(3, F_SETFD, FD_CLOEXEC) < 0) exit_group(127)    // the command has executed /proc/self/exe
//     errno = -execve(argv[0], argv + 1, envp)
//     write(3, { Operation::Execve, errno }, 5)
//     exit_group(127)
//
// On the stack there is argc, argv[0..argc], NULL, envp (System V ABI, "Initial Stack").
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .rodata.fswb_launcher, \"a\", @progbits",
    ".globl fswb_launcher_begin, fswb_launcher_end",
    ".hidden fswb_launcher_begin, fswb_launcher_end",
    "fswb_launcher_begin:",
    "mov edi, 3",
    "mov esi, 2",
    "mov edx, 1",
    "mov eax, 72",
    "syscall",
    "test eax, eax",
    "js 2f",
    "mov rdi, [rsp + 8]",
    "lea rsi, [rsp + 16]",
    "mov rax, [rsp]",
    "lea rdx, [rsp + rax * 8 + 16]",
    "mov eax, 59",
    "syscall",
    "neg eax",
    "mov byte ptr [rsp - 16], {execve}",
    "mov dword ptr [rsp - 15], eax",
    "mov edi, 3",
    "lea rsi, [rsp - 16]",
    "mov edx, 5",
    "mov eax, 1",
    "syscall",
    "2:",
    "mov edi, 127",
    "mov eax, 231",
    "syscall",
    "ud2",
    "fswb_launcher_end:",
    ".popsection",
    execve = const Operation::Execve as u8,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .rodata.fswb_launcher, \"a\", @progbits",
    ".balign 4",
    ".globl fswb_launcher_begin, fswb_launcher_end",
    ".hidden fswb_launcher_begin, fswb_launcher_end",
    "fswb_launcher_begin:",
    "mov x0, #3",
    "mov x1, #2",
    "mov x2, #1",
    "mov x8, #25",
    "svc #0",
    "tbnz w0, #31, 2f",
    "ldr x9, [sp]",
    "ldr x0, [sp, #8]",
    "add x1, sp, #16",
    "add x2, x1, x9, lsl #3",
    "mov x8, #221",
    "svc #0",
    "neg w3, w0",
    "sub sp, sp, #16",
    "mov w4, #{execve}",
    "strb w4, [sp]",
    "stur w3, [sp, #1]",
    "mov x0, #3",
    "mov x1, sp",
    "mov x2, #5",
    "mov x8, #64",
    "svc #0",
    "2:",
    "mov x0, #127",
    "mov x8, #94",
    "svc #0",
    "brk #0",
    "fswb_launcher_end:",
    ".popsection",
    execve = const Operation::Execve as u8,
);

unsafe extern "C" {
    static fswb_launcher_begin: u8;
    static fswb_launcher_end: u8;
}

/// elf(5): EM_X86_64, EM_AARCH64.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

const HEADERS: u16 = 64 + 56;
/// Above `vm.mmap_min_addr`, on a page boundary whatever the size of a page.
const ADDRESS: u64 = 0x40_0000;

/// The program in a memory file of its own, ready for `execveat`.
pub(super) fn launcher() -> Result<OwnedFd> {
    let file = memory_file().during("memfd_create", "")?;
    let program = program();
    let written = rustix::io::write(&file, &program).during("write", "the launcher")?;
    if written != program.len() {
        return Err(Error::system("write", "the launcher", Errno::NOSPC));
    }
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).during("fcntl", "the launcher")?;
    Ok(file)
}

fn memory_file() -> rustix::io::Result<OwnedFd> {
    let name = c"fswatch-builder";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 every memory file could be executed, and none asked for that.
        Err(Errno::INVAL) => memfd_create(name, flags),
        result => result,
    }
}

/// An executable with one segment: all of it.
fn program() -> Vec<u8> {
    let code = code();
    let size = u64::from(HEADERS) + code.len() as u64;
    let mut elf = Vec::with_capacity(256);
    // e_ident: 64 bits, little-endian, version 1; then ET_EXEC, the machine, the version.
    elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2, MACHINE, 1, 0] {
        elf.extend(half.to_le_bytes());
    }
    // e_entry, e_phoff, e_shoff.
    for word in [ADDRESS + u64::from(HEADERS), 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    // e_flags, then e_ehsize, e_phentsize, e_phnum, and no sections.
    elf.extend([0; 4]);
    for half in [64_u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    // PT_LOAD, PF_R | PF_X; offset, addresses, sizes, alignment.
    for word in [1_u32, 5] {
        elf.extend(word.to_le_bytes());
    }
    for word in [0, ADDRESS, ADDRESS, size, size, 0x1_0000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

fn code() -> &'static [u8] {
    let (begin, end) = (&raw const fswb_launcher_begin, &raw const fswb_launcher_end);
    // SAFETY: both are labels of one read-only section, above, the second behind the first.
    unsafe { std::slice::from_raw_parts(begin, end.addr() - begin.addr()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_fits_its_headers_and_cannot_be_changed() {
        let program = program();
        assert_eq!(program.len(), usize::from(HEADERS) + code().len());
        assert!(code().len() < 200);
        let file = launcher().unwrap();
        let refused = rustix::io::pwrite(&file, b"x", 0);
        assert_eq!(refused, Err(Errno::PERM));
    }
}
