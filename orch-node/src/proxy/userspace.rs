//! [`Userspace`]: listens on the fronts and copies bytes, where the kernel's tables are not to be had.
//!
//! The fronts' addresses must be local to the machine: with rights, a local route to the service network makes
//! them so; without, the service network must lie in 127.0.0.0/8.

use super::{
    ProxyError, ServiceProxy,
    chooser::Chooser,
    plan::{Backend, Front, Proto, Rule, Ruleset},
    planner::Changes,
};
use async_trait::async_trait;
use orch_store::{Ambient, Tasks};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io,
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, timeout},
};

/// How long a UDP client is remembered after the last datagram of either side.
const UDP_IDLE: Duration = Duration::from_secs(30);
/// How long a backend may take to accept.
const CONNECT: Duration = Duration::from_secs(5);

/// A proxy of sockets. TCP and UDP; SCTP is left out.
pub struct Userspace {
    ambient: Ambient,
    listening: Mutex<BTreeMap<Front, Listening>>,
    refused: Mutex<Refused>,
}

/// Fronts that cannot be listened on.
#[derive(Default)]
struct Refused {
    fronts: BTreeSet<Front>,
    /// Those of which nobody was told yet.
    news: Vec<(Front, String)>,
}

/// Why a front has no socket.
enum Unheard {
    /// It may have one later.
    Yet(ProxyError),
    /// It will never have one: of an address that is not this machine's, or of a port that needs more rights.
    Ever(String),
}

struct Listening {
    chooser: Arc<Chooser>,
    tasks: Tasks,
}

impl Userspace {
    /// A proxy whose sockets live as long as the ambience.
    pub fn new(ambient: Ambient) -> Self {
        Self { ambient, listening: Mutex::default(), refused: Mutex::default() }
    }

    /// Brings one front to its rule. One without backends has no socket, so that the kernel refuses its clients.
    async fn bring(&self, front: &Front, rule: Option<&Rule>) -> Result<(), ProxyError> {
        let Some(rule) = rule.filter(|r| !r.backends.is_empty()) else {
            self.refused.lock().fronts.remove(front);
            let gone = self.listening.lock().remove(front);
            if let Some(gone) = gone {
                gone.tasks.stop().await;
            }
            return Ok(());
        };
        let known = self.listening.lock().get(front).map(|l| l.chooser.clone());
        match known {
            Some(chooser) => chooser.set(rule),
            None => match self.open(front, rule).await {
                Ok(listening) => drop(self.listening.lock().insert(*front, listening)),
                Err(Unheard::Yet(error)) => return Err(error),
                Err(Unheard::Ever(why)) => {
                    let mut refused = self.refused.lock();
                    if refused.fronts.insert(*front) {
                        refused.news.push((*front, why));
                    }
                }
            },
        }
        Ok(())
    }

    async fn open(&self, front: &Front, rule: &Rule) -> Result<Listening, Unheard> {
        let address = SocketAddr::new(front.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), front.port);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => Unheard::Ever(format!(
                "{front} needs rights that orch does not have: without root, Services are reached at ports from {} on",
                first_free_port()
            )),
            io::ErrorKind::AddrNotAvailable => Unheard::Ever(format!("{front}: the address is not this machine's")),
            _ => Unheard::Yet(ProxyError(format!("listening on {front}: {error}"))),
        };
        let chooser = Arc::new(Chooser::default());
        chooser.set(rule);
        let tasks = self.ambient.tasks.child();
        match front.proto {
            Proto::Tcp => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                // Connections go on when the front goes, hence another owner.
                tasks.spawn(serve_tcp(listener, chooser.clone(), self.ambient.tasks.clone()));
            }
            Proto::Udp => {
                let socket = UdpSocket::bind(address).await.map_err(failed)?;
                tasks.spawn(serve_udp(Arc::new(socket), chooser.clone(), tasks.clone()));
            }
            Proto::Sctp => return Err(Unheard::Ever(format!("{front}: SCTP needs nftables, which needs root"))),
        }
        Ok(Listening { chooser, tasks })
    }
}

#[async_trait]
impl ServiceProxy for Userspace {
    async fn apply(&self, rules: &Ruleset) -> Result<(), ProxyError> {
        let known: Vec<Front> = self.listening.lock().keys().copied().collect();
        let gone = known.into_iter().filter(|front| !rules.contains_key(front)).map(|front| (front, None));
        self.change(&gone.chain(rules.iter().map(|(front, rule)| (*front, Some(rule.clone())))).collect()).await
    }

    async fn change(&self, changes: &Changes) -> Result<(), ProxyError> {
        let mut first_error = None;
        // What goes makes room for what comes.
        let (come, gone): (Vec<_>, Vec<_>) = changes.iter().partition(|(_, rule)| rule.is_some());
        for (front, rule) in gone.into_iter().chain(come) {
            // One port that cannot be had must not keep the others from working.
            if let Err(error) = self.bring(front, rule.as_ref()).await {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn take_refused(&self) -> Vec<(Front, String)> {
        std::mem::take(&mut self.refused.lock().news)
    }
}

/// The first port that can be listened on without rights.
fn first_free_port() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

async fn serve_tcp(listener: TcpListener, chooser: Arc<Chooser>, connections: Tasks) {
    loop {
        let Ok((client, from)) = listener.accept().await else {
            // Out of files: give the others time to finish.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        connections.spawn(connect(client, from.ip(), chooser.clone()));
    }
}

/// Joins a client to a backend. One that refuses is as good as gone: the next may take the connection.
async fn connect(mut client: TcpStream, from: IpAddr, chooser: Arc<Chooser>) {
    for _ in 0..chooser.len() {
        let Some(backend) = chooser.choose(from) else { return };
        match timeout(CONNECT, TcpStream::connect((backend.address, backend.port))).await {
            Ok(Ok(mut server)) => {
                let _ = io::copy_bidirectional(&mut client, &mut server).await;
                return;
            }
            _ => chooser.forget(from),
        }
    }
}

/// A UDP client with its backend.
struct Flow {
    backend: Backend,
    upstream: UdpSocket,
    last_sent: Mutex<Instant>,
}

type Flows = Arc<Mutex<HashMap<SocketAddr, Arc<Flow>>>>;

async fn serve_udp(socket: Arc<UdpSocket>, chooser: Arc<Chooser>, tasks: Tasks) {
    let flows = Flows::default();
    let mut buffer = vec![0; 65_535];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let known = flows.lock().get(&from).filter(|flow| chooser.has(&flow.backend)).cloned();
        let flow = match known {
            Some(flow) => flow,
            None => {
                let Some(flow) = open_flow(from, &chooser).await else { continue };
                flows.lock().insert(from, flow.clone());
                tasks.spawn(answers(socket.clone(), flow.clone(), from, flows.clone()));
                flow
            }
        };
        *flow.last_sent.lock() = Instant::now();
        let datagram = buffer.get(..length).unwrap_or_default();
        if flow.upstream.send(datagram).await.is_err() {
            // The backend's machine said that nobody listens: the next datagram tries another.
            chooser.forget(from.ip());
            flows.lock().remove(&from);
        }
    }
}

async fn open_flow(from: SocketAddr, chooser: &Chooser) -> Option<Arc<Flow>> {
    let backend = chooser.choose(from.ip())?;
    let any: IpAddr =
        if backend.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let upstream = UdpSocket::bind((any, 0)).await.ok()?;
    upstream.connect((backend.address, backend.port)).await.ok()?;
    Some(Arc::new(Flow { backend, upstream, last_sent: Mutex::new(Instant::now()) }))
}

/// Carries a backend's datagrams back until both sides have been silent for a while.
async fn answers(socket: Arc<UdpSocket>, flow: Arc<Flow>, client: SocketAddr, flows: Flows) {
    let mut buffer = vec![0; 65_535];
    loop {
        match timeout(UDP_IDLE, flow.upstream.recv(&mut buffer)).await {
            Ok(Ok(length)) => drop(socket.send_to(buffer.get(..length).unwrap_or_default(), client).await),
            Err(_) if flow.last_sent.lock().elapsed() < UDP_IDLE => {}
            _ => break,
        }
    }
    let mut flows = flows.lock();
    if flows.get(&client).is_some_and(|current| Arc::ptr_eq(current, &flow)) {
        flows.remove(&client);
    }
}
