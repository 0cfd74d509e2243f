//! Cluster DNS: names of Services and pods, on hickory
//! (the specification is `kubernetes/dns/docs/specification.md`, version 1.1).
//!
//! ```text
//! Services, EndpointSlices ─► Zone: pure look-ups ─► Handler (hickory) ─► UDP and TCP
//!                              └ other names ─► the machine's own name servers
//! ```

mod forward;
mod handler;
#[cfg(test)]
mod tests;
mod zone;

pub use forward::nameservers;
pub use zone::{Answer, Data, Zone};

use crate::proxy::{Service, Slice};
use forward::Forwarder;
use handler::Handler;
use hickory_server::Server;
use k8s_openapi::api::{core::v1, discovery::v1 as discovery};
use orch_store::{Ambient, Informers, informer::Delta};
use parking_lot::RwLock;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, UdpSocket};

/// How many ports are tried where any will do.
const ANY_PORT_ATTEMPTS: u32 = 16;
/// How long a TCP client may be silent.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Answers that may wait on one TCP connection.
const TCP_ANSWERS: usize = 32;

/// How the DNS serves.
#[derive(Clone, Debug)]
pub struct DnsOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The cluster's domain, such as `cluster.local`.
    pub domain: String,
    /// Who is asked for names outside the cluster's domain; nobody when empty.
    pub upstream: Vec<SocketAddr>,
}

/// Binds and serves until the ambience stops. Returns the address that was bound.
pub async fn start(options: DnsOptions, informers: Informers, ambient: &Ambient) -> io::Result<SocketAddr> {
    let (socket, listener) = bind(options.listen).await?;
    let address = socket.local_addr()?;
    let zone = Arc::new(RwLock::new(Zone::new(&options.domain)));
    let (kept, domain) = (zone.clone(), options.domain);
    ambient.tasks.spawn_loop("cluster DNS", move || {
        *kept.write() = Zone::new(&domain);
        follow(kept.clone(), informers.clone())
    });
    let mut server = Server::new(Handler::new(zone, Forwarder::new(options.upstream)));
    server.register_socket(socket);
    server.register_listener(listener, TCP_IDLE, TCP_ANSWERS);
    ambient.tasks.spawn(async move {
        if let Err(error) = server.block_until_done().await {
            tracing::error!(%error, "the cluster DNS ended");
        }
    });
    Ok(address)
}

/// The same port for datagrams and for streams. Where any port will do (0), one that only datagrams can have is no use.
async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = if address.port() == 0 { ANY_PORT_ATTEMPTS } else { 1 };
    loop {
        let socket = UdpSocket::bind(address).await?;
        attempts -= 1;
        match TcpListener::bind(socket.local_addr()?).await {
            Ok(listener) => return Ok((socket, listener)),
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// Keeps the zone in step with the cluster.
async fn follow(zone: Arc<RwLock<Zone>>, informers: Informers) {
    let mut services = informers.of::<v1::Service>().subscribe();
    let mut slices = informers.of::<discovery::EndpointSlice>().subscribe();
    loop {
        tokio::select! {
            delta = services.recv() => match delta {
                Some(delta) => service_changed(&mut zone.write(), &delta),
                None => return,
            },
            delta = slices.recv() => match delta {
                Some(delta) => slice_changed(&mut zone.write(), &delta),
                None => return,
            },
        }
    }
}

fn service_changed(zone: &mut Zone, delta: &Delta) {
    match (&delta.old, &delta.new) {
        (_, Some(new)) => match new.parse::<Service>() {
            Ok(service) => zone.set_service(service),
            Err(error) => tracing::error!(%error, "a service cannot be read"),
        },
        (Some(old), None) => zone.remove_service(&old.key),
        (None, None) => {}
    }
}

fn slice_changed(zone: &mut Zone, delta: &Delta) {
    match (&delta.old, &delta.new) {
        (_, Some(new)) => match new.parse::<Slice>() {
            Ok(slice) => zone.set_slice(new.key.clone(), slice),
            Err(error) => tracing::error!(%error, "an endpoint slice cannot be read"),
        },
        (Some(old), None) => zone.remove_slice(&old.key),
        (None, None) => {}
    }
}
