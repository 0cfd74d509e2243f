//! [`Terminal`]: a program on a real pseudo terminal.

use nix::pty::{Winsize, openpty};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::AsRawFd,
    process::{Child, Command},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

nix::ioctl_write_ptr_bad!(set_size, nix::libc::TIOCSWINSZ, Winsize);

/// A program and the terminal in front of it.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// Starts a program on a terminal of so many columns and rows.
    pub(crate) fn run(mut command: Command, size: (u16, u16)) -> Self {
        let pty = openpty(Some(&winsize(size)), None).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop(command); // It holds the program's end of the terminal open.
        drop(pty.slave);
        let keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails when the last holder of the other end is gone.
            while let Ok(n @ 1..) = screen.read(&mut bytes) {
                if sender.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, output, seen: String::new() }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Gives the terminal another size, which the program is told by SIGWINCH.
    pub(crate) fn resize(&mut self, size: (u16, u16)) {
        #[allow(unsafe_code)] // The descriptor is open and the argument is of the type that the request names.
        unsafe { set_size(self.keyboard.as_raw_fd(), &winsize(size)) }.unwrap();
        let child = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGWINCH).unwrap();
    }

    /// Waits until these words have appeared.
    #[track_caller]
    pub(crate) fn shows(&mut self, words: &str) {
        while !self.seen.contains(words) {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(_) => panic!("no {words:?} in {}", self.seen),
            }
        }
    }

    /// All that has appeared.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    /// Waits for the end of the program.
    pub(crate) fn exit_code(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

fn winsize((columns, rows): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
