//! Forking, and what a forked process must put right before it becomes a container.

#![allow(unsafe_code)]

use nix::{
    sys::signal::{SigHandler, SigSet, Signal, signal},
    unistd::{ForkResult, Pid, fork},
};

/// Runs `work` in a copy of this process, which ends with the number that it returns.
///
/// Must be called while the process has a single thread.
pub(super) fn child(work: impl FnOnce() -> i32) -> nix::Result<Pid> {
    // SAFETY: the shim is single-threaded, so no lock of another thread can be copied in its locked
    // state, and everything may be called in the child.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            std::process::exit(result.unwrap_or(101));
        }
    }
}

/// Blocks no signal and ignores none: both are inherited by the programs that we start.
pub(super) fn reset_signals() -> nix::Result<()> {
    SigSet::all().thread_unblock()?;
    // SAFETY: the default action is no handler of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(|_| ())
}

/// Ignores the ends of children, so that the kernel reaps them.
pub(super) fn reap_nothing() -> nix::Result<()> {
    // SAFETY: ignoring is no handler of ours.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.map(|_| ())
}

/// Brings the loopback device of this network namespace up.
pub(super) fn loopback_up() -> nix::Result<()> {
    use nix::libc::{
        AF_INET, IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS, SOCK_CLOEXEC, SOCK_DGRAM, close, ifreq, ioctl, socket,
    };
    // SAFETY: plain system calls on a socket of our own; `ifreq` is plain data for which zeroes are valid,
    // and the flags are the field of the union that both calls use.
    unsafe {
        let fd = nix::errno::Errno::result(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))?;
        let mut request: ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = from.cast_signed() as _;
        }
        let result = nix::errno::Errno::result(ioctl(fd, SIOCGIFFLAGS, &mut request)).and_then(|_| {
            request.ifr_ifru.ifru_flags |= IFF_UP as i16;
            nix::errno::Errno::result(ioctl(fd, SIOCSIFFLAGS, &request))
        });
        close(fd);
        result.map(|_| ())
    }
}
