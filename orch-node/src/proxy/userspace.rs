//! [`Userspace`]: listens on the fronts and copies bytes, where the kernel's tables are not to be had.
//!
//! The fronts' addresses must be local to the machine: with rights, a local route to the service network makes
//! them so; without, the service network must lie in 127.0.0.0/8.

use super::{
    ProxyError, ServiceProxy,
    plan::{Backend, Front, Proto, Rule, Ruleset},
};
use async_trait::async_trait;
use orch_store::{Ambient, Tasks};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io,
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};

/// How long a UDP client is remembered after its last datagram.
const UDP_IDLE: Duration = Duration::from_secs(30);
/// How long a backend may take to accept.
const CONNECT: Duration = Duration::from_secs(5);

/// A proxy of sockets. TCP and UDP; SCTP is left out.
pub struct Userspace {
    ambient: Ambient,
    listening: Mutex<BTreeMap<Front, Listening>>,
}

struct Listening {
    rule: Arc<Mutex<Arc<Chooser>>>,
    tasks: Tasks,
}

impl Userspace {
    /// A proxy whose sockets live as long as the ambience.
    pub fn new(ambient: Ambient) -> Self {
        Self { ambient, listening: Mutex::new(BTreeMap::new()) }
    }

    async fn open(&self, front: &Front, rule: &Rule) -> Result<Listening, ProxyError> {
        let address = SocketAddr::new(front.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), front.port);
        let failed = |e: io::Error| ProxyError(format!("listening on {front}: {e}"));
        let chooser = Arc::new(Mutex::new(Arc::new(Chooser::new(rule))));
        let tasks = self.ambient.tasks.child();
        match front.proto {
            Proto::Tcp => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                tasks.spawn(serve_tcp(listener, chooser.clone(), tasks.clone()));
            }
            Proto::Udp => {
                let socket = UdpSocket::bind(address).await.map_err(failed)?;
                tasks.spawn(serve_udp(Arc::new(socket), chooser.clone(), tasks.clone()));
            }
            Proto::Sctp => return Err(ProxyError(format!("{front}: SCTP needs nftables"))),
        }
        Ok(Listening { rule: chooser, tasks })
    }
}

#[async_trait]
impl ServiceProxy for Userspace {
    async fn apply(&self, rules: &Ruleset) -> Result<(), ProxyError> {
        let gone: Vec<Listening> = {
            let mut listening = self.listening.lock();
            let fronts: Vec<Front> = listening.keys().filter(|f| !rules.contains_key(f)).copied().collect();
            fronts.iter().filter_map(|f| listening.remove(f)).collect()
        };
        gone.iter().for_each(|l| l.tasks.cancel());
        let mut first_error = None;
        for (front, rule) in rules {
            let known = self.listening.lock().get(front).map(|l| l.rule.clone());
            match known {
                Some(slot) => *slot.lock() = Arc::new(Chooser::new(rule)),
                None => match self.open(front, rule).await {
                    Ok(listening) => drop(self.listening.lock().insert(*front, listening)),
                    // One port that cannot be had must not keep the others from working.
                    Err(error) => drop(first_error.get_or_insert(error)),
                },
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// Round robin over the backends, with affinity by client address.
struct Chooser {
    backends: Vec<Backend>,
    affinity: Option<Duration>,
    state: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    next: usize,
    clients: HashMap<IpAddr, (Backend, tokio::time::Instant)>,
}

impl Chooser {
    fn new(rule: &Rule) -> Self {
        let affinity = rule.affinity_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
        Self { backends: rule.backends.iter().copied().collect(), affinity, state: Mutex::default() }
    }

    fn choose(&self, client: IpAddr) -> Option<Backend> {
        let mut turn = self.state.lock();
        let now = tokio::time::Instant::now();
        if let Some(span) = self.affinity {
            turn.clients.retain(|_, (_, last)| now - *last < span);
            if let Some((backend, last)) = turn.clients.get_mut(&client) {
                *last = now;
                return Some(*backend);
            }
        }
        let backend = *self.backends.get(turn.next % self.backends.len().max(1))?;
        turn.next = turn.next.wrapping_add(1);
        if self.affinity.is_some() {
            turn.clients.insert(client, (backend, now));
        }
        Some(backend)
    }
}

async fn serve_tcp(listener: TcpListener, rule: Arc<Mutex<Arc<Chooser>>>, tasks: Tasks) {
    loop {
        let Ok((mut client, from)) = listener.accept().await else {
            // Out of files: give the others time to finish.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let chooser = rule.lock().clone();
        tasks.spawn(async move {
            // A backend that refuses is as good as gone: the next may take the connection.
            for _ in 0..chooser.backends.len().max(1) {
                let Some(backend) = chooser.choose(from.ip()) else { return };
                let target = SocketAddr::new(backend.address, backend.port);
                if let Ok(Ok(mut server)) = timeout(CONNECT, TcpStream::connect(target)).await {
                    let _ = io::copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, rule: Arc<Mutex<Arc<Chooser>>>, tasks: Tasks) {
    let clients: Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>> = Arc::default();
    let mut buffer = vec![0; 65_535];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let known = clients.lock().get(&from).cloned();
        let upstream = match known {
            Some(upstream) => upstream,
            None => {
                let Some(backend) = rule.lock().clone().choose(from.ip()) else { continue };
                let Ok(upstream) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await else { continue };
                if upstream.connect((backend.address, backend.port)).await.is_err() {
                    continue;
                }
                let upstream = Arc::new(upstream);
                clients.lock().insert(from, upstream.clone());
                tasks.spawn(answers(socket.clone(), upstream.clone(), from, clients.clone()));
                upstream
            }
        };
        let _ = upstream.send(&buffer[..length]).await;
    }
}

/// Carries a backend's datagrams back until it has been silent for a while.
async fn answers(
    socket: Arc<UdpSocket>,
    upstream: Arc<UdpSocket>,
    client: SocketAddr,
    clients: Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>>,
) {
    let mut buffer = vec![0; 65_535];
    while let Ok(Ok(length)) = timeout(UDP_IDLE, upstream.recv(&mut buffer)).await {
        let _ = socket.send_to(&buffer[..length], client).await;
    }
    clients.lock().remove(&client);
}
