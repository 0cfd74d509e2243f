use nix::sys::signal::{SigSet, Signal};

/// The signals that ask a program to end.
pub(super) fn termination() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

/// Ends the process with 128 + n. A handler of some kind is needed: the kernel does not end the first
/// process of a PID namespace for a signal that it does not handle.
pub(super) fn end_on_termination() -> nix::Result<()> {
    let signals = termination();
    signals.thread_block()?;
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}
