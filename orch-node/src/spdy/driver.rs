//! What moves a connection: one loop that reads frames and one that writes them.

use super::{
    Error, Headers, MAX_STREAMS, PIECE, PING_PERIOD, WAITING,
    connection::Role,
    frame::{self, Control, HEAD, Head},
    headers::{Deflater, Inflater},
    stream::{Reset, Stream},
};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::{collections::HashMap, io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{mpsc, oneshot},
};

/// How many frames wait to be written.
const QUEUE: usize = 16;

/// What loops and streams share.
pub(super) struct Shared {
    out: mpsc::Sender<Out>,
    table: Mutex<Table>,
}

/// What is to be sent. Header blocks are compressed when they are written, since their order counts.
pub(super) enum Out {
    #[cfg(test)]
    Open(u32, Headers),
    Reply(u32),
    Data {
        stream: u32,
        fin: bool,
        data: Bytes,
    },
    Reset {
        stream: u32,
        status: u32,
    },
    Ping(u32),
    Close,
}

/// What a stream's reader is given.
pub(super) enum Piece {
    Data(Bytes),
    End,
}

struct Table {
    open: HashMap<u32, Entry>,
    role: Role,
    /// The number of our next stream.
    #[cfg_attr(not(test), expect(dead_code, reason = "servers open no streams here"))]
    next: u32,
    /// The newest stream of the other side.
    last: u32,
    over: bool,
}

#[derive(Default)]
struct Entry {
    /// `None` after the other side's last piece.
    pieces: Option<mpsc::Sender<Piece>>,
    accepted: Option<oneshot::Sender<()>>,
}

pub(super) fn new<T>(
    io: T,
    role: Role,
    incoming: mpsc::Sender<Stream>,
) -> Result<(Arc<Shared>, impl Future<Output = Result<(), Error>> + Send), Error>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (out, queue) = mpsc::channel(QUEUE);
    let next = if role == Role::Server { 2 } else { 1 };
    let table = Table { open: HashMap::new(), role, next, last: 0, over: false };
    let shared = Arc::new(Shared { out, table: Mutex::new(table) });
    let deflater = Deflater::new()?;
    let ours = shared.clone();
    let driver = async move {
        let (reader, writer) = tokio::io::split(io);
        let input = Input { reader, inflater: Inflater::new(), shared: ours.clone(), incoming };
        let result = tokio::select! {
            result = input.run() => result,
            result = write(writer, queue, deflater, &ours) => result,
        };
        ours.end();
        result
    };
    Ok((shared, driver))
}

impl Shared {
    pub(super) async fn send(&self, out: Out) -> Result<(), Reset> {
        self.out.send(out).await.map_err(|_| Reset)
    }

    pub(super) async fn close(&self) {
        let _ = self.send(Out::Close).await;
    }

    pub(super) fn is_open(&self, stream: u32) -> bool {
        self.table.lock().open.contains_key(&stream)
    }

    pub(super) fn forget(&self, stream: u32) {
        self.table.lock().open.remove(&stream);
    }

    fn last(&self) -> u32 {
        self.table.lock().last
    }

    /// The readers of all streams see that nothing more comes.
    fn end(&self) {
        let mut table = self.table.lock();
        table.over = true;
        table.open.clear();
    }

    fn insert(self: &Arc<Self>, id: u32, headers: Headers, fin: bool) -> Stream {
        let (pieces, receiver) = mpsc::channel(WAITING);
        if fin {
            let _ = pieces.try_send(Piece::End);
        }
        let entry = Entry { pieces: (!fin).then_some(pieces), accepted: None };
        self.table.lock().open.insert(id, entry);
        Stream::new(id, headers, receiver, self.clone())
    }

    /// Opens a stream and waits until it is accepted.
    #[cfg(test)]
    pub(super) async fn open(this: &Arc<Self>, headers: Headers) -> Option<Stream> {
        // With a place in the queue, numbers go out in the order in which they are given.
        let place = this.out.reserve().await.ok()?;
        let id = {
            let mut table = this.table.lock();
            table.next += 2;
            table.next - 2
        };
        let stream = this.insert(id, headers.clone(), false);
        let (accepted, answer) = oneshot::channel();
        this.table.lock().open.entry(id).or_default().accepted = Some(accepted);
        place.send(Out::Open(id, headers));
        answer.await.ok()?;
        Some(stream)
    }
}

struct Input<T> {
    reader: ReadHalf<T>,
    inflater: Inflater,
    shared: Arc<Shared>,
    incoming: mpsc::Sender<Stream>,
}

impl<T: AsyncRead + AsyncWrite> Input<T> {
    async fn run(mut self) -> Result<(), Error> {
        loop {
            let mut head = [0; HEAD];
            match self.reader.read_exact(&mut head).await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                result => drop(result?),
            }
            match Head::parse(head)? {
                Head::Data { stream, fin, length } => self.data(stream, fin, length).await?,
                Head::Control { kind, flags, length } => {
                    let mut body = vec![0; length];
                    self.reader.read_exact(&mut body).await?;
                    let frame = Control::parse(kind, flags, &body.into())?;
                    if matches!(frame, Control::GoAway { .. }) {
                        return Ok(());
                    }
                    self.control(frame).await?;
                }
            }
        }
    }

    /// Hands the data of one frame over piece by piece. Nobody may be there to take it: it is read all the same.
    async fn data(&mut self, stream: u32, fin: bool, length: usize) -> Result<(), Error> {
        let mut pieces = self.pieces(stream, false);
        let mut rest = length;
        while rest > 0 {
            let mut piece = BytesMut::with_capacity(rest.min(PIECE));
            let count = (&mut self.reader).take(rest.min(PIECE) as u64).read_buf(&mut piece).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            rest -= count;
            if let Some(sender) = &pieces
                && sender.send(Piece::Data(piece.freeze())).await.is_err()
            {
                pieces = None;
            }
        }
        if fin {
            self.finish(stream).await;
        }
        Ok(())
    }

    fn pieces(&self, stream: u32, last: bool) -> Option<mpsc::Sender<Piece>> {
        let mut table = self.shared.table.lock();
        let entry = table.open.get_mut(&stream)?;
        if last { entry.pieces.take() } else { entry.pieces.clone() }
    }

    async fn finish(&mut self, stream: u32) {
        if let Some(sender) = self.pieces(stream, true) {
            let _ = sender.send(Piece::End).await;
        }
    }

    async fn control(&mut self, frame: Control) -> Result<(), Error> {
        match frame {
            Control::SynStream { stream, fin, block } => {
                let headers = self.inflater.headers(&block)?;
                self.opened(stream, fin, headers).await;
            }
            Control::SynReply { stream, fin, block } => {
                self.inflater.headers(&block)?;
                let accepted = self.shared.table.lock().open.get_mut(&stream).and_then(|entry| entry.accepted.take());
                if let Some(accepted) = accepted {
                    let _ = accepted.send(());
                }
                if fin {
                    self.finish(stream).await;
                }
            }
            Control::Headers { stream, fin, block } => {
                self.inflater.headers(&block)?;
                if fin {
                    self.finish(stream).await;
                }
            }
            Control::Reset { stream, .. } => self.shared.forget(stream),
            Control::Ping(id) => {
                let ours = id % 2 == u32::from(self.shared.table.lock().role != Role::Server);
                if !ours {
                    let _ = self.shared.send(Out::Ping(id)).await;
                }
            }
            Control::GoAway { .. } | Control::Ignored => {}
        }
        Ok(())
    }

    async fn opened(&mut self, id: u32, fin: bool, headers: Headers) {
        let refusal = {
            let mut table = self.shared.table.lock();
            let theirs = id % 2 == u32::from(table.role == Role::Server);
            match id {
                id if !theirs || id <= table.last => Some(frame::PROTOCOL_ERROR),
                _ if table.open.len() >= MAX_STREAMS => {
                    table.last = id;
                    Some(frame::REFUSED_STREAM)
                }
                _ => {
                    table.last = id;
                    None
                }
            }
        };
        if let Some(status) = refusal {
            let _ = self.shared.send(Out::Reset { stream: id, status }).await;
            return;
        }
        let stream = self.shared.insert(id, headers, fin);
        if let Err(unwanted) = self.incoming.send(stream).await {
            unwanted.0.refuse().await;
        }
    }
}

/// Writes what is queued, and something now and then: a client that is gone is noticed by a write that fails, also
/// while nothing is read from it because nobody wants it. Returns after [`Out::Close`].
async fn write<T: AsyncRead + AsyncWrite>(
    mut io: WriteHalf<T>,
    mut queue: mpsc::Receiver<Out>,
    mut deflater: Deflater,
    shared: &Shared,
) -> Result<(), Error> {
    let mut buffer = BytesMut::with_capacity(HEAD + PIECE);
    let mut pings = (2 - u32::from(shared.table.lock().role != Role::Server)..).step_by(2);
    loop {
        let out = match tokio::time::timeout(PING_PERIOD, queue.recv()).await {
            Ok(Some(out)) => out,
            Ok(None) => return Ok(()),
            Err(_quiet) => Out::Ping(pings.next().unwrap_or_default()),
        };
        let closing = matches!(out, Out::Close);
        encode(out, &mut buffer, &mut deflater, shared)?;
        io.write_all_buf(&mut buffer).await?;
        if queue.is_empty() || closing {
            io.flush().await?;
        }
        if closing {
            io.shutdown().await?;
            return Ok(());
        }
    }
}

fn encode(out: Out, buffer: &mut BytesMut, deflater: &mut Deflater, shared: &Shared) -> Result<(), Error> {
    let control = match out {
        #[cfg(test)]
        Out::Open(stream, headers) => Control::SynStream { stream, fin: false, block: deflater.block(&headers)? },
        Out::Reply(stream) => Control::SynReply { stream, fin: false, block: deflater.block(&Headers::default())? },
        Out::Data { stream, fin, data } => {
            buffer.extend_from_slice(&frame::data(stream, fin, data.len()));
            buffer.extend_from_slice(&data);
            return Ok(());
        }
        Out::Reset { stream, status } => Control::Reset { stream, status },
        Out::Ping(id) => Control::Ping(id),
        Out::Close => Control::GoAway { last: shared.last() },
    };
    buffer.extend_from_slice(&control.encode());
    Ok(())
}
