//! Connections to ports inside a pod, on its own loopback: what listens there only is reached as well.

use super::state::failed;
use nix::sched::{CloneFlags, setns};
use orch_runtime::node::container::RuntimeError;
use std::{
    fs::File,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdStream},
    path::PathBuf,
    thread,
};
use tokio::{net::TcpStream, sync::oneshot};

/// Connects inside the network namespace at `netns`; `None` is the node's own.
pub(super) async fn connect(netns: Option<PathBuf>, sandbox: &str, port: u16) -> Result<TcpStream, RuntimeError> {
    let (done, result) = oneshot::channel();
    // A namespace belongs to a thread; this one ends with its work and returns to no pool. Connecting to
    // loopback is answered at once.
    let work = move || {
        let entered = netns.map_or(Ok(()), |path| Ok(setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?));
        let _ = done.send(entered.map_err(Trouble::Namespace).and_then(|()| dial(port)));
    };
    thread::Builder::new().name("orch-forward".into()).spawn(work).map_err(failed)?;
    let stream = match result.await.map_err(failed)? {
        Ok(stream) => stream,
        Err(Trouble::Namespace(error)) => return Err(failed(format!("entering the network of {sandbox}: {error}"))),
        Err(Trouble::Refused(four, six)) => {
            return Err(failed(format!(
                "failed to execute portforward in network namespace of {sandbox:?}: failed to connect to localhost:{port}, \
                 IPv4: dial tcp4 127.0.0.1:{port}: connect: {four}, IPv6: dial tcp6 [::1]:{port}: connect: {six}"
            )));
        }
    };
    stream.set_nonblocking(true).map_err(failed)?;
    TcpStream::from_std(stream).map_err(failed)
}

enum Trouble {
    Namespace(io::Error),
    Refused(String, String),
}

fn dial(port: u16) -> Result<StdStream, Trouble> {
    let try_one = |address: SocketAddr| StdStream::connect(address).map_err(|error| crate::words(&error));
    try_one((Ipv4Addr::LOCALHOST, port).into())
        .or_else(|four| try_one((Ipv6Addr::LOCALHOST, port).into()).map_err(|six| Trouble::Refused(four, six)))
}
