use super::{headers::Inflater, *};
use bytes::Bytes;
use orch_store::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn pair(tasks: &Tasks) -> (Connection, Connection) {
    let (near, far) = tokio::io::duplex(4096);
    let (client, driver) = connect(near, Role::Client).unwrap();
    tasks.spawn(async move { drop(driver.await) });
    let (server, driver) = serve(far).unwrap();
    tasks.spawn(async move { drop(driver.await) });
    (client, server)
}

async fn everything(reader: &mut Reader) -> Result<Vec<u8>, Reset> {
    let mut all = Vec::new();
    while let Some(data) = reader.next().await {
        all.extend_from_slice(&data?);
    }
    Ok(all)
}

#[tokio::test]
async fn streams_carry_headers_and_data_and_end_each_side_by_itself() {
    let tasks = Tasks::new();
    let (client, mut server) = pair(&tasks);
    let serving = async {
        for _ in 0..3 {
            let stream = server.next().await.unwrap();
            assert_eq!(stream.headers.get("Port"), Some("80"));
            let (mut reader, mut writer) = stream.accept().await;
            tasks.spawn(async move {
                let asked = everything(&mut reader).await.unwrap();
                writer.send(Bytes::from(asked.len().to_string())).await.unwrap();
                writer.finish().await.unwrap();
            });
        }
        server
    };
    let asking = async {
        for size in [0, 1, 100_000] {
            let stream = client.open(Headers::new(&[("port", "80"), ("streamType", "data")])).await.unwrap();
            let (mut reader, mut writer) = stream.halves();
            writer.send(vec![7; size].into()).await.unwrap();
            writer.finish().await.unwrap();
            assert_eq!(everything(&mut reader).await.unwrap(), size.to_string().into_bytes());
        }
    };
    let (server, ()) = tokio::join!(serving, asking);
    drop(client);
    server.close().await;
    tasks.stop().await;
}

#[tokio::test]
async fn a_stream_may_be_refused_or_reset_and_the_others_go_on() {
    let tasks = Tasks::new();
    let (client, mut server) = pair(&tasks);
    let refusing = async { server.next().await.unwrap().refuse().await };
    let (refused, ()) = tokio::join!(client.open(Headers::default()), refusing);
    assert!(refused.is_none());
    let accepting = async { server.next().await.unwrap().accept().await };
    let (opened, (mut theirs, mut answer)) = tokio::join!(client.open(Headers::default()), accepting);
    let (_reader, mut writer) = opened.unwrap().halves();
    writer.send(Bytes::from_static(b"x")).await.unwrap();
    writer.reset().await;
    assert_eq!(theirs.next().await, Some(Ok(Bytes::from_static(b"x"))));
    assert_eq!((theirs.next().await, theirs.next().await), (Some(Err(Reset)), None));
    assert_eq!(answer.send(Bytes::from_static(b"y")).await, Err(Reset));
    let accepting = async { server.next().await.unwrap().accept().await };
    let (opened, (mut theirs, _)) = tokio::join!(client.open(Headers::default()), accepting);
    assert!(opened.is_some());
    client.close().await;
    assert_eq!(theirs.next().await, Some(Err(Reset)), "a lost connection is not an end of data");
    assert!(server.next().await.is_none());
    tasks.stop().await;
}

/// What the server answers to these bytes, and how its connection ended.
async fn answer(bytes: &[u8]) -> (Vec<u8>, Result<(), Error>) {
    let (mut near, far) = tokio::io::duplex(1 << 20);
    let (mut server, driver) = serve(far).unwrap();
    let accepting = async {
        while let Some(stream) = server.next().await {
            let (mut reader, _writer) = stream.accept().await;
            while let Some(Ok(_)) = reader.next().await {}
        }
    };
    let sending = async {
        let _ = near.write_all(bytes).await;
        let _ = near.shutdown().await;
        let mut answer = Vec::new();
        let _ = near.read_to_end(&mut answer).await;
        answer
    };
    let (ended, (), answer) = tokio::join!(driver, accepting, sending);
    (answer, ended)
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The blocks that Python's zlib makes of two streams of a forwarded connection.
const FIRST: &str = "78bbe3c6a7c202253a703a2b294a4dcc452a4a1221a572113803581858180069ce22482c66825237a339000000ffff";
const SECOND: &str = "c2aa9735151449843503000000ffff";

#[test]
fn header_blocks_of_other_programs_are_read_one_after_the_other() {
    let mut inflater = Inflater::new();
    let first = inflater.headers(&hex(FIRST)).unwrap();
    assert_eq!(first, Headers::new(&[("streamtype", "data"), ("port", "8080"), ("requestid", "7")]));
    assert_eq!(inflater.headers(&hex(SECOND)).unwrap().get("streamType"), Some("error"));
    let mut late = Inflater::new();
    assert!(late.headers(&hex(SECOND)).is_err(), "it builds on the first");
}

#[tokio::test]
async fn a_ping_is_echoed_and_windows_and_settings_are_passed_over() {
    let ping = hex("8003000600000004").into_iter().chain(hex("00000001"));
    let window = hex("800300090000000800000001000000ff");
    let settings = hex("800300040000000400000000");
    let bytes: Vec<u8> = window.into_iter().chain(settings).chain(ping.clone()).collect();
    let (mut near, far) = tokio::io::duplex(1 << 10);
    let (_server, driver) = serve(far).unwrap();
    let asking = async {
        near.write_all(&bytes).await.unwrap();
        let mut answer = [0; 12];
        near.read_exact(&mut answer).await.unwrap();
        drop(near);
        answer
    };
    let (ended, answer) = tokio::join!(driver, asking);
    ended.unwrap();
    assert_eq!(answer.to_vec(), ping.collect::<Vec<u8>>());
}

#[tokio::test]
async fn malformed_frames_end_the_connection_with_an_error() {
    for (bytes, words) in [
        ("8002000100000000", "version 2"),
        ("8003000100ffffff", "a control frame of 16777215 bytes"),
        ("800300030000000400000001", "a frame of type 3 is too short"),
        ("800300010000000400000001", "a frame of type 1 is too short"),
        ("8003000100000010000000010000000000000102030405060708", ""),
        ("80030001", ""),
        ("00000001000000ff00", ""),
    ] {
        let (_, ended) = answer(&hex(bytes)).await;
        // Half a head is the end of the bytes.
        let said = ended.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(words), "{bytes}: {said}");
        assert_eq!(said.is_empty(), bytes == "80030001", "{bytes}: {said}");
    }
}

#[test]
fn a_block_that_unfolds_without_end_is_refused() {
    use flate2::{Compress, Compression, FlushCompress};
    let mut compress = Compress::new(Compression::best(), true);
    compress.set_dictionary(&dictionary::dictionary()).unwrap();
    let mut block = Vec::with_capacity(64 << 10);
    compress.compress_vec(&vec![0; 8 << 20], &mut block, FlushCompress::Sync).unwrap();
    let error = Inflater::new().headers(&block).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}

/// A frame that opens a stream. The headers are those of [`FIRST`] or, for later ones, of [`SECOND`].
fn open(id: u32, block: &str) -> Vec<u8> {
    let block = hex(block).into();
    frame::Control::SynStream { stream: id, fin: false, block }.encode()
}

#[tokio::test]
async fn streams_with_numbers_that_go_back_or_are_ours_are_refused() {
    for second in [1, 2, 0] {
        let bytes = [open(1, FIRST), open(second, SECOND)].concat();
        let (mut near, far) = tokio::io::duplex(1 << 12);
        let (mut server, driver) = serve(far).unwrap();
        let accepting = async { server.next().await.unwrap().accept().await };
        let asking = async {
            near.write_all(&bytes).await.unwrap();
            let mut answer = [0; 64];
            let mut got = 0;
            while !answer[..got].windows(4).any(|w| w == [0x80, 3, 0, 3]) {
                got += near.read(&mut answer[got..]).await.unwrap();
            }
            drop(near);
        };
        let _ = tokio::join!(driver, accepting, asking);
    }
}

#[tokio::test]
async fn random_bytes_never_panic() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    for round in 0..300 {
        let mut bytes = [open(1, FIRST), open(3, SECOND), hex("0000000100000004"), vec![1, 2, 3, 4]].concat();
        for _ in 0..=round % 7 {
            let at = random() % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.truncate(random() % (bytes.len() + 1));
        let _ = answer(&bytes).await;
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_its_sender_back_and_is_bounded() {
    let tasks = Tasks::new();
    let (client, mut server) = pair(&tasks);
    let accepting = async { server.next().await.unwrap().accept().await };
    let (opened, (mut theirs, _)) = tokio::join!(client.open(Headers::default()), accepting);
    let (_, mut writer) = opened.unwrap().halves();
    let mut sent = 0;
    // Sending stops by itself; what has not been sent then has nowhere to be.
    loop {
        tokio::select! {
            biased;
            result = writer.send(vec![0; PIECE].into()) => { result.unwrap(); sent += PIECE; }
            () = settled() => break,
        }
    }
    assert!(sent < 64 * PIECE, "{sent} bytes went somewhere");
    drop((writer, theirs.next().await));
    tasks.stop().await;
}

/// Resolves when everything else that can run has run for a while.
async fn settled() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_behind_data_that_nobody_reads_is_noticed() {
    let tasks = Tasks::new();
    let (near, far) = tokio::io::duplex(4096);
    let (client, driver) = connect(near, Role::Client).unwrap();
    let ours = tasks.child();
    ours.spawn(async move { drop(driver.await) });
    let (mut server, driver) = serve(far).unwrap();
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    tasks.spawn(async move { drop((driver.await, ended)) });
    let accepting = async { server.next().await.unwrap().accept().await };
    let (opened, _unread) = tokio::join!(client.open(Headers::default()), accepting);
    let (_reader, mut writer) = opened.unwrap().halves();
    let flood = async { while writer.send(vec![0; PIECE].into()).await.is_ok() {} };
    assert!(tokio::time::timeout(PING_PERIOD / 2, flood).await.is_err(), "it stops by itself");
    ours.stop().await;
    assert!(tokio::time::timeout(2 * PING_PERIOD, end).await.is_ok(), "the driver goes on");
    tasks.stop().await;
}
