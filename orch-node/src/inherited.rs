//! What a shim inherits and must not keep, because it outlives the agent and whoever started that.

/// Closes everything but the standard streams. To be called before the process has opened anything.
#[allow(unsafe_code)]
pub(crate) fn close() {
    // SAFETY: nothing in this process owns any of these descriptors yet. A kernel without the call leaves them open.
    unsafe { nix::libc::close_range(3, u32::MAX, 0) };
}
