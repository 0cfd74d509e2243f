//! The size of a terminal. The kernel takes it by an ioctl only.

#![allow(unsafe_code)]

use nix::{libc, pty::Winsize};
use std::os::fd::{AsRawFd, BorrowedFd};

nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, Winsize);

/// Tells the terminal behind this master end its size; one that is closed needs none.
pub(super) fn resize(master: BorrowedFd<'_>, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is borrowed for the call, and the kernel reads one Winsize.
    let _ = unsafe { set_size(master.as_raw_fd(), &raw const size) };
}
