//! Which networks others use on this machine.

use super::{bridge::netlink, ipam::Subnet};
use futures::TryStreamExt;
use orch_runtime::node::container::RuntimeError;
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        link::LinkAttribute,
        route::{RouteAddress, RouteAttribute},
    },
};
use std::{fs, net::Ipv4Addr};

/// The networks that routes of this machine lead to, with the names of their devices; the longest prefixes first.
pub async fn routes(tasks: &orch_store::Tasks) -> Result<Vec<(Subnet, String)>, RuntimeError> {
    let failed = |error: rtnetlink::Error| RuntimeError::Failed(format!("reading routes: {error}"));
    let handle = netlink(tasks)?;
    let links: Vec<_> = handle.link().get().execute().try_collect().await.map_err(failed)?;
    let name = |index: u32| {
        let link = links.iter().find(|l| l.header.index == index)?;
        link.attributes.iter().find_map(|a| match a {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })
    };
    let all: Vec<_> = handle
        .route()
        .get(RouteMessageBuilder::<Ipv4Addr>::new().build())
        .execute()
        .try_collect()
        .await
        .map_err(failed)?;
    let mut found: Vec<(Subnet, String)> = Vec::new();
    for route in all {
        let (mut base, mut device) = (None, None);
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => base = Some(*address),
                RouteAttribute::Oif(index) => device = name(*index),
                _ => {}
            }
        }
        if let Some(base) = base {
            found.push((Subnet { base, prefix: route.header.destination_prefix_length }, device.unwrap_or_default()));
        }
    }
    found.sort_by_key(|(subnet, _)| std::cmp::Reverse(subnet.prefix));
    Ok(found)
}

/// Whether somebody listens on an address of the network, as far as this process may see.
pub fn has_listeners(network: Subnet) -> bool {
    ["/proc/net/tcp", "/proc/net/udp"].iter().any(|table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        text.lines().filter_map(listener).any(|address| network.overlaps(Subnet { base: address, prefix: 32 }))
    })
}

/// The local address of a line of the kernel's tables, if its socket listens.
fn listener(line: &str) -> Option<Ipv4Addr> {
    let mut words = line.split_whitespace().skip(1);
    let (address, _) = words.next()?.split_once(':')?;
    let state = words.nth(1)?;
    // Listening TCP sockets, and UDP sockets that are not connected.
    if !matches!(state, "0A" | "07") {
        return None;
    }
    // In the order of bytes in memory.
    u32::from_str_radix(address, 16).ok().map(|n| Ipv4Addr::from(n.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_read_from_the_kernels_table() {
        let line =
            "   0: 0100407F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0";
        assert_eq!(listener(line), Some(Ipv4Addr::new(127, 64, 0, 1)));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("  sl  local_address rem_address   st tx_queue"), None);
    }

    #[test]
    fn what_somebody_listens_on_is_in_use() {
        let _socket = std::net::TcpListener::bind("127.77.3.4:0").unwrap();
        assert!(has_listeners("127.77.0.0/16".parse().unwrap()));
        assert!(!has_listeners("127.78.0.0/16".parse().unwrap()));
    }
}
