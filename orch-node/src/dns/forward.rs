//! [`Forwarder`]: passes questions about the rest of the world on to the machine's own name servers.

use hickory_proto::op::Message;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// How long a name server may take before the next is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest answer that is taken over UDP (EDNS).
const LARGEST: usize = 4096;

/// Asks the first name server that answers.
#[derive(Clone, Debug)]
pub(super) struct Forwarder {
    upstream: Vec<SocketAddr>,
}

impl Forwarder {
    pub(super) fn new(upstream: Vec<SocketAddr>) -> Self {
        Self { upstream }
    }

    /// The answer to a question, or `None` when nobody answers it.
    pub(super) async fn ask(&self, question: &[u8]) -> Option<Message> {
        for server in &self.upstream {
            if let Ok(Ok(answer)) = timeout(PATIENCE, exchange(*server, question)).await {
                return Some(answer);
            }
        }
        None
    }
}

async fn exchange(server: SocketAddr, question: &[u8]) -> std::io::Result<Message> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // The first two bytes are the id of the question; anything else is not for us.
        if buffer.get(..2) == question.get(..2) {
            return Message::from_vec(&buffer[..length]).map_err(std::io::Error::other);
        }
    }
}

/// The name servers that a `resolv.conf` names.
pub fn nameservers(resolv_conf: &str) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .collect()
}
