//! `/containerLogs/{namespace}/{pod}/{container}`

use super::{Body, Refusal, find, query::Query};
use crate::{
    agent::Agent,
    logs::{self, LogOptions, Streams},
    pod::PodHandle,
};
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jiff::SignedDuration;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use orch_api::Key;
use orch_runtime::node::container::{Container, ContainerState};
use std::{io, os::fd::AsFd, path::Path};
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    net::unix::pipe,
    sync::watch,
};

pub(super) async fn serve(agent: &Agent, key: &Key, name: &str, query: &Query) -> Result<Response<Body>, Refusal> {
    let previous = query.flag(&["previous"]);
    let options = options(agent, query)?;
    let container = find(agent, key, name, previous)?;
    let follow = query.flag(&["follow"]) && !previous;
    let (reader, mut writer) = tokio::io::duplex(64 << 10);
    let pod = agent.pod(key);
    let log = container.log_path.clone();
    let growth = match (follow, pod) {
        (true, Some(pod)) => Some(watch_growth(agent, pod, container).map_err(|e| Refusal::bad(e.to_string()))?),
        _ => None,
    };
    agent.node().ambient.tasks.spawn(async move {
        match logs::read(&log, &options, growth, &mut writer).await {
            // A container that has not written has no file yet.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, log = %log.display(), "a log was not read to its end");
            }
            _ => {}
        }
    });
    let mut response = Response::new(body(reader));
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    Ok(response)
}

fn options(agent: &Agent, query: &Query) -> Result<LogOptions, Refusal> {
    let now = agent.node().ambient.clock.now();
    let size = |name: &str| -> Result<Option<usize>, Refusal> {
        let value = query.number(name)?;
        Ok(value.map(|v| usize::try_from(v).unwrap_or(0)))
    };
    let since = match (query.number("sinceSeconds")?, query.get("sinceTime")) {
        (Some(seconds), _) => Some(now - SignedDuration::from_secs(seconds)),
        (None, Some(time)) => Some(time.parse().map_err(|_| Refusal::bad(format!("invalid sinceTime: {time:?}")))?),
        (None, None) => None,
    };
    Ok(LogOptions {
        tail: size("tailLines")?.filter(|_| query.number("tailLines").is_ok_and(|n| n.is_none_or(|n| n >= 0))),
        since,
        timestamps: query.flag(&["timestamps"]),
        limit_bytes: size("limitBytes")?.filter(|l| *l > 0),
        streams: match query.get("stream") {
            Some("Stdout") => Streams::Stdout,
            Some("Stderr") => Streams::Stderr,
            _ => Streams::All,
        },
    })
}

/// Chunks of a pipe as a response body.
fn body(reader: DuplexStream) -> Body {
    let chunks = stream::unfold(reader, |mut reader| async move {
        let mut chunk = bytes::BytesMut::with_capacity(16 << 10);
        match reader.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Frame::data(chunk.freeze())), reader)),
            Err(error) => Some((Err(error), reader)),
        }
    });
    StreamBody::new(
        Box::pin(chunks) as std::pin::Pin<Box<dyn futures::Stream<Item = io::Result<Frame<Bytes>>> + Send + Sync>>
    )
    .boxed()
}

/// Reports whenever the log may have grown; true once the container has ended.
fn watch_growth(agent: &Agent, pod: PodHandle, container: Container) -> io::Result<watch::Receiver<bool>> {
    let directory = container.log_path.parent().unwrap_or(Path::new("/")).to_owned();
    let notify = Watched::new(&directory)?;
    let ended = move |pod: &PodHandle| {
        let view = pod.view();
        let found = view.sandboxes.iter().flat_map(|s| &s.containers).find(|c| c.id == container.id);
        view.over || !found.is_some_and(|c| matches!(c.state, ContainerState::Running { .. } | ContainerState::Created))
    };
    let (sender, receiver) = watch::channel(ended(&pod));
    agent.node().ambient.tasks.spawn(async move {
        let mut changes = pod.changes();
        loop {
            tokio::select! {
                () = sender.closed() => return,
                changed = notify.changed() => if changed.is_err() { return },
                changed = changes.changed() => if changed.is_err() { return },
            }
            let over = ended(&pod);
            sender.send_replace(over);
            if over {
                return;
            }
        }
    });
    Ok(receiver)
}

/// A directory whose files are written to.
struct Watched(pipe::Receiver);

impl Watched {
    fn new(directory: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let wanted = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(directory, wanted)?;
        // Readiness and reads are all that is needed of it, and those are a pipe's.
        Ok(Self(pipe::Receiver::from_owned_fd_unchecked(inotify.as_fd().try_clone_to_owned()?)?))
    }

    async fn changed(&self) -> io::Result<()> {
        self.0.readable().await?;
        match self.0.try_read(&mut [0; 4096]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}
