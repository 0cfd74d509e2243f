//! [`detect`]: what of the network this machine allows.

use super::nft;
use nix::unistd::geteuid;
use std::{fmt, fs};

/// What of the network this machine allows, as it was found by trying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether the process is root.
    pub root: bool,
    /// Whether it may change the network of its namespace (CAP_NET_ADMIN).
    pub net_admin: bool,
    /// Whether `nft` is installed and the kernel accepts it: the reason why not, or `None`.
    pub nft_missing: Option<String>,
    /// Whether the kernel can pass bridged packets to the rules (`br_netfilter`). Without it Services work, but
    /// pods of one node see the node's address as the client's.
    pub bridge_hooks: bool,
    /// Whether `conntrack` is installed. Without it UDP clients of a removed pod stay with it until their entry
    /// is 30 to 120 seconds old.
    pub conntrack: bool,
}

/// What the agent should use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// [`super::BridgeNetwork`] and [`crate::proxy::Nftables`].
    Bridge,
    /// Loopback addresses and [`crate::proxy::Userspace`].
    Userspace,
}

/// Tries what is possible in the process's network namespace. Changes nothing.
pub async fn detect() -> Capabilities {
    let nft = nft::run("list tables\n").await;
    Capabilities {
        root: geteuid().is_root(),
        net_admin: fs::read_to_string("/proc/thread-self/status").is_ok_and(|status| has_net_admin(&status)),
        nft_missing: nft.err(),
        bridge_hooks: fs::exists("/proc/sys/net/bridge/bridge-nf-call-iptables").unwrap_or(false),
        conntrack: nft::is_installed("conntrack"),
    }
}

impl Capabilities {
    /// What to use here.
    pub fn choice(&self) -> Choice {
        let able = self.root && self.net_admin && self.nft_missing.is_none();
        if able { Choice::Bridge } else { Choice::Userspace }
    }
}

/// One line for the user: what is used and why.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.choice() == Choice::Bridge {
            f.write_str("network: bridge and nftables")?;
            let lacks = [(!self.bridge_hooks, "no br_netfilter"), (!self.conntrack, "no conntrack program")];
            let lacks: Vec<&str> = lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, what)| what).collect();
            return if lacks.is_empty() { Ok(()) } else { write!(f, " ({})", lacks.join(", ")) };
        }
        let why = match &self.nft_missing {
            _ if !self.root => "not root",
            _ if !self.net_admin => "no CAP_NET_ADMIN",
            Some(why) => why,
            None => "",
        };
        write!(f, "network: loopback and userspace proxy ({why})")
    }
}

fn has_net_admin(status: &str) -> bool {
    const NET_ADMIN: u64 = 1 << 12;
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|mask| mask & NET_ADMIN != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(capabilities: Capabilities, choice: Choice, line: &str) {
        assert_eq!((capabilities.choice(), capabilities.to_string().as_str()), (choice, line));
    }

    #[test]
    fn the_choice_says_its_reason_in_one_line() {
        let all = Capabilities { root: true, net_admin: true, nft_missing: None, bridge_hooks: true, conntrack: true };
        check(all.clone(), Choice::Bridge, "network: bridge and nftables");
        let fewer = Capabilities { bridge_hooks: false, conntrack: false, ..all.clone() };
        check(fewer, Choice::Bridge, "network: bridge and nftables (no br_netfilter, no conntrack program)");
        let user = Capabilities { root: false, ..all.clone() };
        check(user, Choice::Userspace, "network: loopback and userspace proxy (not root)");
        let bare = Capabilities { nft_missing: Some("nft: not found".into()), ..all };
        check(bare, Choice::Userspace, "network: loopback and userspace proxy (nft: not found)");
    }

    #[test]
    fn the_right_to_the_network_is_bit_twelve() {
        assert!(has_net_admin("Name:\tx\nCapEff:\t0000000000001000\n"));
        assert!(!has_net_admin("CapEff:\t0000000000000fff\n"));
        assert!(!has_net_admin(""));
    }
}
