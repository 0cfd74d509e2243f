use super::{Failure, args::Args};
use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// The longest line of a header.
pub(super) const LINE: u64 = 16 << 10;

pub(super) fn dns(args: &mut Args) -> Result<i32, Failure> {
    let name = args.need("the name")?;
    let found = (name.as_str(), 0).to_socket_addrs().map_err(|error| format!("{name}: {error}"))?;
    let addresses: BTreeSet<_> = found.map(|address| address.ip()).collect();
    let mut out = io::stdout().lock();
    addresses.iter().try_for_each(|address| writeln!(out, "{address}"))?;
    Ok(0)
}

pub(super) fn get(args: &mut Args) -> Result<i32, Failure> {
    let timeout = args.seconds("--timeout")?.unwrap_or(Duration::from_secs(30));
    let url = args.need("the URL")?;
    let rest = url.strip_prefix("http://").ok_or("only http:// is spoken")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = if authority.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let mut stream = connect(&address, timeout)?;
    let path = if path.is_empty() { "/" } else { path };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nAccept: */*\r\n\r\n")?;
    let mut response = BufReader::new(stream);
    let status = line(&mut response)?.ok_or("no answer")?;
    let code: u16 = status.split(' ').nth(1).unwrap_or_default().parse().map_err(|_| format!("{status:?}?"))?;
    let mut length = None;
    while let Some(header) = line(&mut response)?.filter(|header| !header.is_empty()) {
        if let Some(("content-length", value)) = header.to_ascii_lowercase().split_once(':') {
            length = value.trim().parse().ok();
        }
    }
    io::copy(&mut response.take(length.unwrap_or(u64::MAX)), &mut io::stdout())?;
    if !(200..300).contains(&code) {
        return Err(status.into());
    }
    Ok(0)
}

/// A line without its end; `None` when there is none.
pub(super) fn line(reader: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut line = String::new();
    if reader.take(LINE).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end().to_owned()))
}

fn connect(address: &str, timeout: Duration) -> Result<TcpStream, Failure> {
    let mut last: Failure = format!("{address}: no address").into();
    for candidate in address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = format!("{candidate}: {error}").into(),
        }
    }
    Err(last)
}
