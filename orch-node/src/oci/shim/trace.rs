//! What the container engine complains of. Its errors say which step failed; why it failed it only tells
//! `tracing`, perhaps from a process that has forked twice since.

use nix::{fcntl::OFlag, unistd::pipe2};
use std::{
    fmt::{Debug, Write as _},
    fs::File,
    io::{self, Read, Write},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Collects complaints of this process and of those that it forks.
pub(super) struct Complaints {
    read: File,
}

impl Complaints {
    /// Begins to collect; to be called once in a process.
    pub(super) fn collect() -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // A second call is refused and harmless: complaints then go where they went.
        let _ = tracing::subscriber::set_global_default(ToPipe { write: File::from(write) });
        Ok(Self { read: File::from(read) })
    }

    /// The first complaint, which is the cause of the others.
    pub(super) fn first(&mut self) -> Option<String> {
        let mut text = vec![0; 4096];
        let n = self.read.read(&mut text).ok()?;
        let text = String::from_utf8_lossy(text.get(..n)?).into_owned();
        text.lines().next().map(ToOwned::to_owned)
    }
}

struct ToPipe {
    write: File,
}

impl Subscriber for ToPipe {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut line = line.0.replace('\n', " ");
        line.push('\n');
        let _ = (&self.write).write_all(line.as_bytes());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// `message, field: value, …`
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => {
                let rest = std::mem::take(&mut self.0);
                write!(self.0, "{value:?}{rest}")
            }
            name => write!(self.0, ", {name}: {value:?}"),
        };
    }
}
