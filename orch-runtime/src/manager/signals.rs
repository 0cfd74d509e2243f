//! [`Signals`]: being asked to end.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals by which a process is asked to end: SIGTERM, as Kubernetes sends it, and SIGINT, as Control-C does.
/// While this lives they end nothing by themselves, and from its making on none is missed.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves when the next one comes.
    pub async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
