//! A node with pods, and somebody outside.

use nix::sched::{CloneFlags, setns, unshare};
use orch_node::{
    net::{BridgeNetwork, BridgeOptions, PodNetwork},
    proxy::{Backend, Front, Proto, Rule, Ruleset},
};
use orch_runtime::node::container::{HostPort, SandboxConfig};
use orch_store::Tasks;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

pub const PODS: &str = "10.244.0.0/24";
pub const GATEWAY: &str = "10.244.0.1";
/// The node's address towards the outside.
pub const NODE: &str = "10.99.0.1";

pub struct World {
    pub tasks: Tasks,
    pub network: BridgeNetwork,
    pub options: BridgeOptions,
    /// Three pods that say their names on TCP and UDP port 8080.
    pub pods: Vec<Pod>,
    /// Somebody in the world outside.
    pub outside: Pod,
    _directory: tempfile::TempDir,
}

pub struct Pod {
    pub namespace: Namespace,
    pub config: SandboxConfig,
    pub address: Ipv4Addr,
}

/// A network namespace; `None` is the node's.
pub struct Namespace(Option<File>);

/// The node's own network namespace.
pub const ON_NODE: Namespace = Namespace(None);

impl World {
    pub async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let options = |bridge: &str, subnet: &str, services: &str| BridgeOptions {
            bridge: bridge.into(),
            subnet: subnet.parse().unwrap(),
            service_subnet: services.parse().unwrap(),
            directory: directory.path().join(bridge),
        };
        // The world outside is a bridge too; nothing but the name of its role sets it apart.
        let wan = BridgeNetwork::open(options("wan0", "10.99.0.0/24", "10.97.0.0/16"), &tasks).await.unwrap();
        wan.keep_source("10.0.0.0/8".parse().unwrap()).await.unwrap();
        let outside = Pod::attach(&wan, "outside", Vec::new()).await;
        let own = options("pods0", PODS, "10.96.0.0/16");
        let network = BridgeNetwork::open(own.clone(), &tasks).await.unwrap();
        let mut pods = Vec::new();
        for name in ["a", "b", "c"] {
            let pod = Pod::attach(&network, name, Vec::new()).await;
            pod.namespace.serve(8080, name);
            pods.push(pod);
        }
        Self { tasks, network, options: own, pods, outside, _directory: directory }
    }

    /// A rule that leads to some of the pods.
    pub fn rule(&self, pods: impl IntoIterator<Item = usize>) -> Rule {
        let backend = |i: usize| Backend { address: self.pods[i].address.into(), port: 8080 };
        Rule { backends: pods.into_iter().map(backend).collect(), masquerade: true, ..Rule::default() }
    }
}

impl Pod {
    pub async fn attach(network: &BridgeNetwork, name: &str, host_ports: Vec<HostPort>) -> Self {
        let config = SandboxConfig { name: name.into(), uid: format!("uid-{name}"), host_ports, ..Default::default() };
        let namespace = Namespace::new();
        let addresses = network.attach(&namespace.path(), &config).await.unwrap();
        let [IpAddr::V4(address)] = addresses[..] else { panic!("{addresses:?}") };
        Self { namespace, config, address }
    }
}

impl Namespace {
    pub fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        Self(Some(thread::spawn(make).join().unwrap()))
    }

    pub fn path(&self) -> PathBuf {
        let file = self.0.as_ref().map_or("/proc/self/ns/net".into(), |f| format!("/proc/self/fd/{}", f.as_raw_fd()));
        file.into()
    }

    /// Does something inside. Sockets stay in the namespace in which they were made.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter_and_work = || {
            if let Some(file) = &self.0 {
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            }
            work()
        };
        thread::scope(|scope| scope.spawn(enter_and_work).join().unwrap())
    }

    /// Runs a program inside and returns what it printed.
    pub fn run(&self, program: &str, arguments: &str) -> String {
        let output = self.within(|| Command::new(program).args(arguments.split(' ')).output().unwrap());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Says a name and the client's address to whoever connects, and echoes lines after that.
    pub fn serve(&self, port: u16, name: &str) {
        let bind = || (TcpListener::bind(("0.0.0.0", port)).unwrap(), UdpSocket::bind(("0.0.0.0", port)).unwrap());
        let (listener, socket) = self.within(bind);
        let (stream_name, datagram_name) = (name.to_owned(), name.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let name = stream_name.clone();
                thread::spawn(move || greet(client, &name));
            }
        });
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(format!("{datagram_name} {}", from.ip()).as_bytes(), from);
            }
        });
    }

    /// Connects and reads the greeting: the server's name and the address that it saw.
    pub fn ask(&self, target: &str) -> io::Result<(String, String)> {
        self.connect(target).map(|(_, name, seen)| (name, seen))
    }

    pub fn connect(&self, target: &str) -> io::Result<(BufReader<TcpStream>, String, String)> {
        let target: SocketAddr = target.parse().unwrap();
        let stream = self.within(|| TcpStream::connect_timeout(&target, Duration::from_secs(3)))?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let (name, seen) = line.trim().split_once(' ').ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((reader, name.to_owned(), seen.to_owned()))
    }

    pub fn datagrams(&self) -> UdpSocket {
        let socket = self.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        socket
    }

    /// How often each server answers.
    pub fn spread(&self, target: &str, times: usize) -> std::collections::BTreeMap<String, usize> {
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..times {
            *counts.entry(self.ask(target).unwrap().0).or_default() += 1;
        }
        counts
    }
}

/// Whether a connection still carries lines both ways.
pub fn echoes(connection: &mut BufReader<TcpStream>) -> bool {
    let mut line = String::new();
    connection.get_mut().write_all(b"still there?\n").is_ok()
        && connection.read_line(&mut line).is_ok()
        && line == "still there?\n"
}

/// Sends a datagram and returns the name of who answers.
pub fn answer(socket: &UdpSocket, target: &str) -> Option<String> {
    let mut buffer = [0; 64];
    socket.send_to(b"who", target).ok()?;
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    text.split(' ').next().map(str::to_owned)
}

pub fn front(text: &str, proto: Proto) -> Front {
    let (address, port) = text.rsplit_once(':').unwrap();
    Front { address: address.parse().ok(), proto, port: port.parse().unwrap() }
}

pub fn rules(list: &[(Front, Rule)]) -> Ruleset {
    list.iter().cloned().collect()
}

pub async fn start_loopback() {
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    let tasks = Tasks::new();
    tasks.spawn(connection);
    handle.link().set(rtnetlink::LinkUnspec::new_with_index(1).up().build()).execute().await.unwrap();
    tasks.cancel();
}

fn greet(mut client: TcpStream, name: &str) {
    let peer = client.peer_addr().map(|a| a.ip().to_string()).unwrap_or_default();
    let _ = client.write_all(format!("{name} {peer}\n").as_bytes());
    let mut lines = BufReader::new(client.try_clone().unwrap());
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
        if client.write_all(line.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}
