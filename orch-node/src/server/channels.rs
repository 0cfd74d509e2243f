//! Kubernetes' channels over a WebSocket (`wsstream/conn.go`): each message begins with the number of its
//! channel, as a byte or, in the base64 protocols, as a digit in front of base64. `v5` adds a message that
//! closes a channel.

use super::upgrade::Socket;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// The message that closes another channel.
const CLOSE: u8 = 255;
/// Long messages are handed on in pieces of this size, in bytes, which share the message's memory.
const PIECE: usize = 32 << 10;
/// How many pieces of a channel wait for its reader.
const WAITING: usize = 8;

/// How often clients are pinged.
const PING_PERIOD: Duration = Duration::from_secs(5);

/// How a protocol writes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Binary,
    Base64,
}

impl Codec {
    /// That of a protocol.
    pub(super) fn of(protocol: &str) -> Self {
        if protocol.contains("base64.") { Self::Base64 } else { Self::Binary }
    }
}

/// Sends messages on channels. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sender {
    sink: Arc<Mutex<SplitSink<Socket, Message>>>,
    codec: Codec,
}

/// What the other side sends, by channel.
pub(super) struct Receiver {
    stream: SplitStream<Socket>,
    codec: Codec,
    inlets: BTreeMap<u8, mpsc::Sender<Bytes>>,
}

/// The two directions of a socket.
pub(super) fn split(socket: Socket, codec: Codec) -> (Sender, Receiver) {
    let (sink, stream) = socket.split();
    (Sender { sink: Arc::new(Mutex::new(sink)), codec }, Receiver { stream, codec, inlets: BTreeMap::new() })
}

impl Sender {
    /// Sends one message; `Err` when the other side is gone.
    pub(super) async fn send(&self, channel: u8, data: &[u8]) -> Result<(), ()> {
        let message = match self.codec {
            Codec::Binary => {
                let mut message = Vec::with_capacity(data.len() + 1);
                message.push(channel);
                message.extend_from_slice(data);
                Message::binary(message)
            }
            Codec::Base64 => Message::text(format!("{channel}{}", BASE64_STANDARD.encode(data))),
        };
        self.sink.lock().await.send(message).await.map_err(drop)
    }

    /// Pings the client until it is gone. That is noticed by a write that fails, also while nothing is read from it
    /// because nobody wants it.
    pub(super) async fn keep_alive(&self) {
        loop {
            tokio::time::sleep(PING_PERIOD).await;
            if self.sink.lock().await.send(Message::Ping(Bytes::new())).await.is_err() {
                return;
            }
        }
    }

    /// Says good-bye. Clients take a close without this code for a broken connection.
    pub(super) async fn close(&self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let mut sink = self.sink.lock().await;
        let _ = sink.send(Message::Close(Some(frame))).await;
        let _ = sink.close().await;
    }
}

impl Receiver {
    /// What comes on a channel. The end of the messages is that of the channel.
    pub(super) fn inlet(&mut self, channel: u8) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.inlets.insert(channel, sender);
        receiver
    }

    /// Hands messages to their channels until the other side is gone.
    pub(super) async fn run(mut self) {
        while let Some(Ok(message)) = self.stream.next().await {
            match message {
                Message::Binary(data) if self.codec == Codec::Binary => self.hand_over(data).await,
                Message::Text(text) => match self.codec {
                    Codec::Binary => self.hand_over(text.into()).await,
                    Codec::Base64 => match decode(text.as_bytes()) {
                        Some(data) => self.hand_over(data).await,
                        None => return,
                    },
                },
                Message::Close(_) => return,
                _ => {}
            }
        }
    }

    async fn hand_over(&mut self, mut data: Bytes) {
        if data.is_empty() {
            return;
        }
        let channel = data.split_to(1).first().copied().unwrap_or(CLOSE);
        if channel == CLOSE {
            data.first().and_then(|closed| self.inlets.remove(closed));
            return;
        }
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE));
            // A channel that nobody reads is read to its end all the same.
            let Some(inlet) = self.inlets.get(&channel) else { return };
            if inlet.send(piece).await.is_err() {
                self.inlets.remove(&channel);
            }
        }
    }
}

/// The channel's number and what stands behind it, from the base64 protocols.
fn decode(text: &[u8]) -> Option<Bytes> {
    let (digit, rest) = text.split_first()?;
    let mut data = vec![digit.checked_sub(b'0')?];
    data.extend(BASE64_STANDARD.decode(rest).ok()?);
    Some(data.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_messages_are_a_digit_and_base64() {
        assert_eq!(decode(b"0aGk="), Some(Bytes::from_static(b"\0hi")));
        assert_eq!(decode(b"4"), Some(Bytes::from_static(b"\x04")));
        for bad in [&b""[..], b"!", b"0???"] {
            assert_eq!(decode(bad), None);
        }
    }
}
