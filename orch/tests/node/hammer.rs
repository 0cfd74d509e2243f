//! [`Hammer`]: HTTP clients that ask a Service again and again and count what becomes of it. Nothing is ever
//! asked twice: a request that has no answer has failed.

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads from an answer what it is counted as.
pub(crate) type Who = fn(&str) -> String;

/// Clients at work.
pub(crate) struct Hammer {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    tally: Mutex<Tally>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap()
    }
}

/// What became of the requests.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// Answers by what they are counted as.
    pub(crate) answers: BTreeMap<String, usize>,
    /// What failed and why.
    pub(crate) failures: Vec<String>,
    /// How many requests were made.
    pub(crate) requests: usize,
    /// How many connections were made.
    pub(crate) connections: usize,
}

impl Tally {
    /// How many requests were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answers.values().sum()
    }
}

impl Hammer {
    /// Starts clients: `once` of them make a connection for each request, `keep` keep theirs. `who` reads from an
    /// answer what it is counted as.
    pub(crate) fn start(address: SocketAddr, once: usize, keep: usize, who: Who) -> Self {
        let shared = Arc::new(Shared::default());
        let mut clients = JoinSet::new();
        for keeps in std::iter::repeat_n(false, once).chain(std::iter::repeat_n(true, keep)) {
            clients.spawn(client(shared.clone(), address, keeps, who));
        }
        Self { shared, clients }
    }

    /// What has become of the requests so far.
    pub(crate) fn tally(&self) -> Tally {
        self.shared.tally().clone()
    }

    /// Forgets the answers so far, so that later ones can be told from them. Failures stay.
    pub(crate) fn forget_answers(&self) {
        self.shared.tally().answers.clear();
    }

    /// Ends the clients; what became of all requests.
    pub(crate) async fn stop(self) -> Tally {
        self.shared.stop.store(true, Relaxed);
        self.clients.join_all().await;
        self.shared.tally().clone()
    }
}

async fn client(shared: Arc<Shared>, address: SocketAddr, keeps: bool, who: Who) {
    let mut connection = None;
    while !shared.stop.load(Relaxed) {
        let result = timeout(PATIENCE, ask(&shared, &mut connection, address, keeps)).await;
        match result.unwrap_or_else(|_| Err("no answer in time".into())) {
            Ok(text) => *shared.tally().answers.entry(who(&text)).or_default() += 1,
            Err(error) => {
                println!("request failed ({}): {error}", if keeps { "keep-alive" } else { "close" });
                shared.tally().failures.push(error);
                connection = None;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

type Sender = http1::SendRequest<Empty<Bytes>>;

async fn ask(shared: &Shared, kept: &mut Option<Sender>, address: SocketAddr, keeps: bool) -> Result<String, String> {
    // A connection that the server has ended between two requests is no failure: nothing was asked.
    shared.tally().requests += 1;
    let mut sender = None;
    if let Some(mut free) = kept.take()
        && free.ready().await.is_ok()
    {
        sender = Some(free);
    }
    let mut sender = match sender {
        Some(sender) => sender,
        None => connect(shared, address).await?,
    };
    let mut request = Request::get("/").header("Host", "web");
    if !keeps {
        request = request.header("Connection", "close");
    }
    let request = request.body(Empty::new()).map_err(|e| words("request", &e))?;
    let response = sender.send_request(request).await.map_err(|e| words("request", &e))?;
    let (status, body) = (response.status(), response.into_body());
    let body = body.collect().await.map_err(|e| words("body", &e))?.to_bytes();
    if !status.is_success() {
        return Err(format!("{status}"));
    }
    *kept = keeps.then_some(sender);
    Ok(String::from_utf8_lossy(&body).trim().to_owned())
}

async fn connect(shared: &Shared, address: SocketAddr) -> Result<Sender, String> {
    let stream = TcpStream::connect(address).await.map_err(|e| words("connect", &e))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| words("handshake", &e))?;
    tokio::spawn(async move { drop(connection.await) });
    shared.tally().connections += 1;
    Ok(sender)
}

fn words(what: &str, error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{what}: {error}{cause}")
}
