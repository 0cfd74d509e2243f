use super::{Failure, args::Args, http::line, signals};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signalfd::{SfdFlags, SignalFd},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// How long requests may take after the server was told to end.
const LONGEST_REQUEST: Duration = Duration::from_secs(300);
/// Threads stay small: a request needs little.
const STACK: usize = 128 << 10;

/// What all connections share.
struct Server {
    pod: String,
    delay: Duration,
    ready: AtomicBool,
    ending: AtomicBool,
    /// Requests that were read and are not answered yet.
    active: Mutex<usize>,
    idle: Condvar,
}

pub(super) fn serve(args: &mut Args) -> Result<i32, Failure> {
    let port: u16 = args.option("--port")?.as_deref().unwrap_or("8080").parse()?;
    let delay = args.seconds("--delay")?.unwrap_or_default();
    let drain = args.seconds("--drain")?.unwrap_or_default();
    signals::termination().thread_block()?;
    let signal = SignalFd::with_flags(&signals::termination(), SfdFlags::SFD_CLOEXEC)?;
    // Port 0 asks the kernel for one; the line below says which.
    let listener = listen(port)?;
    writeln!(io::stdout(), "serving on port {}", listener.local_addr()?.port())?;
    let server = Arc::new(Server {
        pod: pod_name(),
        delay,
        ready: AtomicBool::new(true),
        ending: AtomicBool::new(false),
        active: Mutex::new(0),
        idle: Condvar::new(),
    });
    accept_until(&server, &listener, Some(&signal), PollTimeout::NONE)?;
    server.ending.store(true, Relaxed);
    if !drain.is_zero() {
        let (listener, server) = (listener.try_clone()?, server.clone());
        thread::spawn(move || {
            accept_until(&server, &listener, None, PollTimeout::NONE).map_err(|error| error.to_string())
        });
        thread::sleep(drain);
    }
    drop(listener);
    server.wait_until_idle();
    Ok(0)
}

/// Listens on every address; where pods share the machine's network, on the pod's own alone, so that several
/// pods can have the same port.
fn listen(port: u16) -> io::Result<TcpListener> {
    match std::env::var("ORCH_POD_IP").ok().and_then(|ip| ip.parse::<IpAddr>().ok()) {
        Some(ip) => TcpListener::bind((ip, port)),
        None => TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))),
    }
}

fn accept_until(
    server: &Arc<Server>,
    listener: &TcpListener,
    signal: Option<&SignalFd>,
    timeout: PollTimeout,
) -> Result<(), Failure> {
    loop {
        let mut fds = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        fds.extend(signal.map(|signal| PollFd::new(signal.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        if fds.get(1).is_some_and(|fd| fd.any().unwrap_or(false)) {
            return Ok(());
        }
        let Ok((stream, _)) = listener.accept() else { continue };
        let server = server.clone();
        thread::Builder::new().stack_size(STACK).spawn(move || {
            let _ = server.connection(stream);
        })?;
    }
}

impl Server {
    fn connection(&self, mut stream: TcpStream) -> Result<(), Failure> {
        stream.set_nodelay(true)?;
        let remote = stream.peer_addr()?.to_string();
        let mut reader = BufReader::new(stream.try_clone()?);
        while !reader.fill_buf()?.is_empty() {
            self.begin();
            let result = self.request(&mut reader, &mut stream, &remote);
            self.end();
            if !result? {
                break;
            }
        }
        Ok(())
    }

    /// Answers one request; false when it was the last of its connection.
    fn request(&self, reader: &mut impl BufRead, stream: &mut TcpStream, remote: &str) -> Result<bool, Failure> {
        let Some(first) = line(reader)? else { return Ok(false) };
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or("/"));
        let mut headers = BTreeMap::new();
        while let Some(header) = line(reader)?.filter(|header| !header.is_empty()) {
            if let Some((name, value)) = header.split_once(':') {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        let length: u64 = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let body = io::copy(&mut reader.take(length), &mut io::sink())?;
        let last = self.ending.load(Relaxed)
            || first.ends_with("HTTP/1.0")
            || headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let (status, kind, text) = match path.split('?').next().unwrap_or_default() {
            "/healthz" => ("200 OK", "text/plain", "ok\n".to_owned()),
            "/ready" => self.readiness(method),
            _ => {
                thread::sleep(self.delay);
                let echo = json!({
                    "pod": self.pod, "method": method, "path": path, "headers": headers, "bodyBytes": body, "client": remote,
                });
                ("200 OK", "application/json", format!("{echo}\n"))
            }
        };
        let connection = if last { "close" } else { "keep-alive" };
        let length = text.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n"
        );
        let text = if method == "HEAD" { "" } else { &text };
        stream.write_all((head + text).as_bytes())?;
        Ok(!last)
    }

    fn readiness(&self, method: &str) -> (&'static str, &'static str, String) {
        if matches!(method, "POST" | "PUT") {
            self.ready.fetch_xor(true, Relaxed);
            return ("200 OK", "text/plain", format!("ready: {}\n", self.ready.load(Relaxed)));
        }
        match self.ready.load(Relaxed) {
            true => ("200 OK", "text/plain", "ready\n".to_owned()),
            false => ("503 Service Unavailable", "text/plain", "not ready\n".to_owned()),
        }
    }

    fn begin(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn end(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.idle.notify_all();
    }

    fn wait_until_idle(&self) {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.idle.wait_timeout_while(active, LONGEST_REQUEST, |active| *active > 0);
    }
}

fn pod_name() -> String {
    std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_else(|_| {
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    })
}
