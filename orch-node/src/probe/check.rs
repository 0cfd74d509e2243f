//! Making a probe or a lifecycle hook: exec, HTTP, TCP, sleep.

use super::{grpc, http};
use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::{Container, ExecAction, HTTPGetAction, HTTPHeader, LifecycleHandler, Probe, TCPSocketAction},
    apimachinery::pkg::util::intstr::IntOrString,
};
use orch_runtime::node::container::{ContainerRuntime, ExecRequest};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// Most of a probe's output that is kept (`probe/exec`, maxReadLength).
pub(super) const MAX_OUTPUT: u64 = 10 << 10;

/// One check with ports and addresses resolved.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// A command in a container must exit with 0.
    Exec {
        /// Container id.
        container: String,
        /// Program and arguments.
        command: Vec<String>,
    },
    /// A GET must be answered with 200 to 399.
    Http {
        /// Whether TLS is wanted.
        tls: bool,
        /// Address or host name.
        host: String,
        /// Port.
        port: u16,
        /// Path with query.
        path: String,
        /// Further headers.
        headers: Vec<(String, String)>,
    },
    /// The gRPC health service must answer SERVING.
    Grpc {
        /// Address.
        host: String,
        /// Port.
        port: u16,
        /// What is asked about; the server as a whole when empty.
        service: String,
    },
    /// A connection must be accepted.
    Tcp {
        /// Address or host name.
        host: String,
        /// Port.
        port: u16,
    },
    /// Only takes time (preStop and postStart).
    Sleep(Duration),
}

/// Makes checks. The real one is [`NetProber`]; the simulated runtime answers by its rules.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// `Err` carries the text of the `Unhealthy` event. The caller limits the time.
    async fn check(&self, check: &Check) -> Result<(), String>;
}

/// The check that a probe asks for; `Err` when the pod does not say enough.
pub fn resolve(probe: &Probe, container: &Container, id: &str, ip: Option<IpAddr>) -> Result<Check, String> {
    match (&probe.exec, &probe.http_get, &probe.tcp_socket, &probe.grpc) {
        (Some(exec), ..) => Ok(of_exec(exec, id)),
        (_, Some(get), ..) => of_http(get, container, ip),
        (_, _, Some(tcp), _) => of_tcp(tcp, container, ip),
        (_, _, _, Some(grpc)) => Ok(Check::Grpc {
            host: host(None, ip)?,
            port: valid_port(grpc.port)?,
            service: grpc.service.clone().unwrap_or_default(),
        }),
        _ => Err("missing probe handler".into()),
    }
}

/// The check that a lifecycle hook asks for.
pub fn resolve_lifecycle(
    hook: &LifecycleHandler,
    container: &Container,
    id: &str,
    ip: Option<IpAddr>,
) -> Result<Check, String> {
    match (&hook.exec, &hook.http_get, &hook.sleep, &hook.tcp_socket) {
        (Some(exec), ..) => Ok(of_exec(exec, id)),
        (_, Some(get), ..) => of_http(get, container, ip),
        (_, _, Some(sleep), _) => Ok(Check::Sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0)))),
        (_, _, _, Some(tcp)) => of_tcp(tcp, container, ip),
        _ => Err("invalid handler".into()),
    }
}

fn of_exec(exec: &ExecAction, id: &str) -> Check {
    Check::Exec { container: id.to_owned(), command: exec.command.clone().unwrap_or_default() }
}

fn of_http(get: &HTTPGetAction, container: &Container, ip: Option<IpAddr>) -> Result<Check, String> {
    let path = get.path.clone().unwrap_or_default();
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    let pair = |h: &HTTPHeader| (h.name.clone(), h.value.clone());
    Ok(Check::Http {
        tls: get.scheme.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("https")),
        host: host(get.host.as_deref(), ip)?,
        port: port(&get.port, container)?,
        path,
        headers: get.http_headers.iter().flatten().map(pair).collect(),
    })
}

fn of_tcp(tcp: &TCPSocketAction, container: &Container, ip: Option<IpAddr>) -> Result<Check, String> {
    Ok(Check::Tcp { host: host(tcp.host.as_deref(), ip)?, port: port(&tcp.port, container)? })
}

fn host(named: Option<&str>, ip: Option<IpAddr>) -> Result<String, String> {
    match named.filter(|h| !h.is_empty()) {
        Some(host) => Ok(host.to_owned()),
        None => ip.map(|ip| ip.to_string()).ok_or_else(|| "the pod has no IP address".into()),
    }
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => match container.ports.iter().flatten().find(|p| p.name.as_ref() == Some(name)) {
            Some(port) => port.container_port,
            None => name.parse().map_err(|_| format!("couldn't find port: {name:?} in {}", container.name))?,
        },
    };
    valid_port(number)
}

fn valid_port(number: i32) -> Result<u16, String> {
    u16::try_from(number).ok().filter(|p| *p > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

/// Checks over the network and through the runtime.
pub struct NetProber {
    /// Where commands are run.
    pub runtime: Arc<dyn ContainerRuntime>,
}

#[async_trait]
impl Prober for NetProber {
    async fn check(&self, check: &Check) -> Result<(), String> {
        match check {
            Check::Exec { container, command } => self.exec(container, command).await,
            Check::Http { tls, host, port, path, headers } => http::get(*tls, host, *port, path, headers).await,
            Check::Grpc { host, port, service } => grpc::check(host, *port, service).await,
            Check::Tcp { host, port } => dial(host, *port).await.map(drop),
            Check::Sleep(time) => {
                tokio::time::sleep(*time).await;
                Ok(())
            }
        }
    }
}

impl NetProber {
    async fn exec(&self, container: &str, command: &[String]) -> Result<(), String> {
        let request = ExecRequest { command: command.to_vec(), ..ExecRequest::default() };
        let session = self.runtime.exec(container, request).await.map_err(|e| e.to_string())?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let stdout = session.stdout.take(MAX_OUTPUT);
        let stderr = session.stderr.map(|s| s.take(MAX_OUTPUT));
        let read_out = async { tokio::io::BufReader::new(stdout).read_to_end(&mut out).await };
        let read_err = async {
            match stderr {
                Some(stderr) => tokio::io::BufReader::new(stderr).read_to_end(&mut err).await,
                None => Ok(0),
            }
        };
        let (_, _, code) = tokio::join!(read_out, read_err, session.exit);
        match code.map_err(|e| e.to_string())? {
            0 => Ok(()),
            _ => Err(format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err))),
        }
    }
}

/// Connects; the error is worded as kubelet words it.
pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let address = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        _ => format!("{host}:{port}"),
    };
    TcpStream::connect(&address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("dial tcp {address}: connect: connection refused"),
        _ => format!("dial tcp {address}: {error}"),
    })
}
