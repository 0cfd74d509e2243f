//! Work inside another network namespace. A namespace belongs to a thread, so each piece of work gets a thread
//! of its own, which ends with it and never returns to a pool.

use nix::sched::{CloneFlags, setns};
use orch_runtime::node::container::RuntimeError;
use rtnetlink::Handle;
use std::{fs::File, future::Future, path::PathBuf, thread};
use tokio::sync::oneshot;

/// Runs netlink work inside the namespace at a path.
pub(super) async fn run<F, Fut>(netns: PathBuf, work: F) -> Result<(), RuntimeError>
where
    F: FnOnce(Handle) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), RuntimeError>>,
{
    let (done, result) = oneshot::channel();
    thread::Builder::new()
        .name("orch-netns".into())
        .spawn(move || {
            let _ = done.send(enter_and_run(&netns, work));
        })
        .map_err(|e| RuntimeError::Failed(format!("starting a thread: {e}")))?;
    result.await.map_err(|_| RuntimeError::Failed("network set-up ended without an answer".into()))?
}

fn enter_and_run<F, Fut>(netns: &std::path::Path, work: F) -> Result<(), RuntimeError>
where
    F: FnOnce(Handle) -> Fut,
    Fut: Future<Output = Result<(), RuntimeError>>,
{
    let failed = |what: &str, error: &dyn std::fmt::Display| RuntimeError::Failed(format!("{what}: {error}"));
    let namespace = File::open(netns).map_err(|e| failed("the pod's network namespace", &e))?;
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|e| failed("entering the pod's network namespace", &e))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|e| failed("starting a runtime", &e))?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|e| failed("netlink", &e))?;
        let work = work(handle);
        futures::pin_mut!(work, connection);
        match futures::future::select(work, connection).await {
            futures::future::Either::Left((result, _)) => result,
            futures::future::Either::Right(_) => Err(RuntimeError::Failed("netlink closed".into())),
        }
    })
}
