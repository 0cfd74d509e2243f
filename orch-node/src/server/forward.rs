//! `/portForward`: for each port a pair of channels, one for data and one for errors; each begins with the
//! port's number, little end first (`portforward/websocket.go`).

use super::{
    Body, Refusal,
    channels::{Incoming, Receiver, Sender, upgrade},
    query::Query,
};
use crate::agent::Agent;
use http::{Request, Response};
use std::{collections::BTreeMap, net::IpAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedWriteHalf},
};

/// Channels are numbered by one byte, two per port.
const MAX_PORTS: usize = 100;

pub(super) fn serve<B: Send + 'static>(
    agent: &Agent,
    request: Request<B>,
    query: &Query,
    ip: IpAddr,
) -> Result<Response<Body>, Refusal> {
    let numbers = query.all("port").chain(query.all("ports")).flat_map(|v| v.split(','));
    let ports: Result<Vec<u16>, _> = numbers.map(str::parse).collect();
    let ports = ports.map_err(|_| Refusal::bad("query parameter \"port\" must be a port"))?;
    if ports.is_empty() || ports.len() > MAX_PORTS {
        return Err(Refusal::bad("query parameter \"port\" is required"));
    }
    let (response, socket) = upgrade(request, &["v4.channel.k8s.io"])?;
    agent.node().ambient.tasks.spawn(async move {
        if let Some((sender, receiver)) = socket.await {
            run(ip, ports, sender, receiver).await;
        }
    });
    Ok(response)
}

async fn run(ip: IpAddr, ports: Vec<u16>, sender: Sender, mut receiver: Receiver) {
    let mut writers: BTreeMap<u8, OwnedWriteHalf> = BTreeMap::new();
    let mut copies = Vec::new();
    for (index, port) in ports.into_iter().enumerate() {
        let data = u8::try_from(index * 2).unwrap_or(u8::MAX - 1);
        for channel in [data, data + 1] {
            if sender.send(channel, &port.to_le_bytes()).await.is_err() {
                return;
            }
        }
        match TcpStream::connect((ip, port)).await {
            Ok(stream) => {
                let (reader, writer) = stream.into_split();
                writers.insert(data, writer);
                copies.push(copy(reader, data, sender.clone()));
            }
            Err(error) => {
                let words = format!("an error occurred forwarding port {port}: {error}");
                let _ = sender.send(data + 1, words.as_bytes()).await;
            }
        }
    }
    let input = async {
        while let Some(message) = receiver.next().await {
            let Incoming::Data(channel, data) = message else { continue };
            let Some(writer) = writers.get_mut(&channel) else { continue };
            if writer.write_all(&data).await.is_err() {
                writers.remove(&channel);
            }
        }
    };
    let output = async {
        futures::future::join_all(copies).await;
        sender.close().await;
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}

async fn copy(mut reader: tokio::net::tcp::OwnedReadHalf, channel: u8, sender: Sender) {
    let mut buffer = vec![0; 32 << 10];
    while let Ok(count) = reader.read(&mut buffer).await {
        let Some(data) = buffer.get(..count).filter(|d| !d.is_empty()) else { return };
        if sender.send(channel, data).await.is_err() {
            return;
        }
    }
}
