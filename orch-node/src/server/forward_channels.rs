//! Port-forward over WebSocket channels: for each port of the request one connection, with a pair of channels
//! for its data and its errors. Each begins with the port's number, little end first
//! (`cri-streaming/pkg/streaming/portforward/websocket.go`).

use super::{
    Body, Refusal,
    channels::{self, Codec, Sender},
    forward::Target,
    query::Query,
    streams::{Inlet, Outlet},
    upgrade,
};
use http::{Request, Response};
use orch_store::Tasks;

/// Channels are numbered by one byte, two per port; the last number is not one.
const MAX_PORTS: usize = 127;

const PROTOCOLS: [&str; 3] = ["v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""];

pub(super) fn serve<B: Send + 'static>(
    request: Request<B>,
    query: &Query,
    target: Target,
    tasks: &Tasks,
) -> Result<Response<Body>, Refusal> {
    let ports = ports(query)?;
    let (protocol, response, socket) = upgrade::websocket(request, &PROTOCOLS)?;
    tasks.spawn(async move {
        if let Some(socket) = socket.await {
            run(socket, Codec::of(protocol), ports, &target).await;
        }
    });
    Ok(response)
}

fn ports(query: &Query) -> Result<Vec<u16>, Refusal> {
    let values: Vec<&str> = query.all("port").chain(query.all("ports")).collect();
    if values.is_empty() {
        return Err(Refusal::bad("query parameter \"port\" is required"));
    }
    if values.contains(&"") {
        return Err(Refusal::bad("query parameter \"port\" cannot be empty"));
    }
    let mut ports = Vec::new();
    for value in values.iter().flat_map(|v| v.split(',')) {
        match value.parse() {
            Ok(0) => return Err(Refusal::bad(format!("port {value:?} must be > 0"))),
            Ok(port) => ports.push(port),
            Err(error) => return Err(Refusal::bad(format!("unable to parse {value:?} as a port: {error}"))),
        }
    }
    match ports.len() > MAX_PORTS {
        true => Err(Refusal::bad(format!("more than {MAX_PORTS} ports"))),
        false => Ok(ports),
    }
}

async fn run(socket: upgrade::Socket, codec: Codec, ports: Vec<u16>, target: &Target) {
    let (sender, mut receiver) = channels::split(socket, codec);
    let mut connections = Vec::new();
    for (index, port) in ports.into_iter().enumerate() {
        let data = u8::try_from(index * 2).unwrap_or(u8::MAX - 1);
        for channel in [data, data + 1] {
            if sender.send(channel, &port.to_le_bytes()).await.is_err() {
                return;
            }
        }
        let inlet = Inlet::Channel(receiver.inlet(data));
        connections.push(forward(target, port, data, inlet, sender.clone()));
    }
    let output = async {
        futures::future::join_all(connections).await;
        sender.close().await;
    };
    tokio::select! {
        // The client is gone, and with it all connections.
        () = receiver.run() => {}
        () = sender.keep_alive() => {}
        () = output => {}
    }
}

/// Forwards one connection. The protocol cannot say that one of several has ended: its channels fall silent.
async fn forward(target: &Target, port: u16, channel: u8, mut inlet: Inlet, sender: Sender) {
    let mut outlet = Outlet::Channel(sender.clone(), channel);
    if let Err(words) = target.forward(port, &mut inlet, &mut outlet).await {
        let _ = sender.send(channel + 1, words.as_bytes()).await;
    }
}
