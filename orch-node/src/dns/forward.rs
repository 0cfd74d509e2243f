//! [`Forwarder`]: passes questions about the rest of the world on to the machine's own name servers, over UDP, and
//! again over TCP where an answer is too large for that.

use hickory_proto::op::Message;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

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
            match timeout(PATIENCE, exchange(*server, question)).await {
                Ok(Ok(answer)) if answer.metadata.truncation => {
                    // A part is better than nothing, and says of itself that it is one.
                    let whole = timeout(PATIENCE, exchange_by_stream(*server, question)).await;
                    return Some(whole.ok().and_then(Result::ok).unwrap_or(answer));
                }
                Ok(Ok(answer)) => return Some(answer),
                _ => {}
            }
        }
        None
    }
}

async fn exchange(server: SocketAddr, question: &[u8]) -> io::Result<Message> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // The first two bytes are the id of the question; anything else is not for us.
        if buffer.get(..2) == question.get(..2) {
            return Message::from_vec(buffer.get(..length).unwrap_or_default()).map_err(io::Error::other);
        }
    }
}

/// Over TCP each message has its length in front.
async fn exchange_by_stream(server: SocketAddr, question: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(io::Error::other)
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
