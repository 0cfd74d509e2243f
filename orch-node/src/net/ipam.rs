//! [`Ipam`]: a node's pod addresses, kept in a directory so that they survive the agent.
//!
//! One file per address, named for it, holding the sandbox that has it. A file is created before the address
//! is used and removed after it is given back, so a crash in between never gives an address out twice.

use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// The file that names the address given out last.
const LAST: &str = "last";

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// First address.
    pub base: Ipv4Addr,
    /// Length of the prefix, at most 30.
    pub prefix: u8,
}

/// The addresses of one subnet. The first is the gateway's.
#[derive(Debug)]
pub struct Ipam {
    subnet: Subnet,
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: BTreeSet<Ipv4Addr>,
    owners: HashMap<String, Ipv4Addr>,
    last: Option<Ipv4Addr>,
}

impl std::str::FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(base, prefix)| Some((base.parse().ok()?, prefix.parse().ok()?)));
        let (base, prefix): (Ipv4Addr, u8) =
            parsed.ok_or_else(|| format!("{text:?} is not a network like 10.244.0.0/24"))?;
        if !(8..=30).contains(&prefix) {
            return Err(format!("{text:?}: the prefix must be between 8 and 30"));
        }
        let mask = u32::MAX << (32 - prefix);
        Ok(Self { base: (u32::from(base) & mask).into(), prefix })
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl Subnet {
    /// The gateway: the first address after the base.
    pub fn gateway(&self) -> Ipv4Addr {
        (u32::from(self.base) + 1).into()
    }

    /// Whether an address is in both.
    pub fn overlaps(&self, other: Self) -> bool {
        let prefix = self.prefix.min(other.prefix);
        let head = |base: Ipv4Addr| u32::from(base).checked_shr(32 - u32::from(prefix)).unwrap_or(0);
        head(self.base) == head(other.base)
    }

    /// The address at that distance from the base.
    pub fn at(&self, distance: u32) -> Ipv4Addr {
        (u32::from(self.base) + distance).into()
    }

    /// The part of that number among the parts with that prefix, which is no shorter than the network's own.
    pub fn part(&self, prefix: u8, number: u32) -> Option<Self> {
        let parts = 1_u32.checked_shl(u32::from(prefix.checked_sub(self.prefix)?))?;
        let size = 1_u32.checked_shl(32 - u32::from(prefix))?;
        (number < parts).then(|| Self { base: self.at(number * size), prefix })
    }

    /// The addresses of hosts: all but the base, the gateway and the broadcast address.
    pub(crate) fn hosts(&self) -> std::ops::Range<u32> {
        let base = u32::from(self.base);
        let size = 1_u32 << (32 - self.prefix);
        base + 2..base + size - 1
    }
}

impl Ipam {
    /// Reads what was given out before.
    pub fn open(directory: &Path, subnet: Subnet) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut state = State::default();
        for file in fs::read_dir(directory)? {
            let path = file?.path();
            let text = fs::read_to_string(&path)?;
            match path.file_name().and_then(|n| n.to_str()) {
                Some(LAST) => state.last = text.parse().ok(),
                Some(name) => {
                    let Ok(address) = name.parse::<Ipv4Addr>() else { continue };
                    if text.is_empty() {
                        // The machine went down before the owner was written: nobody uses the address.
                        remove(&path)?;
                    } else if subnet.hosts().contains(&u32::from(address)) {
                        state.taken.insert(address);
                        state.owners.insert(text, address);
                    }
                }
                None => {}
            }
        }
        Ok(Self { subnet, directory: directory.to_owned(), state: Mutex::new(state) })
    }

    /// The sandbox's address: the one that it has, or the next free one after the last given out, so that an
    /// address rests as long as possible before it is used again.
    pub fn allocate(&self, sandbox: &str) -> io::Result<Ipv4Addr> {
        let mut state = self.state.lock();
        if let Some(address) = state.owners.get(sandbox) {
            return Ok(*address);
        }
        let hosts = self.subnet.hosts();
        let after_last = state.last.map(|last| u32::from(last) + 1);
        let start = after_last.filter(|next| hosts.contains(next)).unwrap_or(hosts.start);
        let mut candidates = (start..hosts.end).chain(hosts.start..start).map(Ipv4Addr::from);
        let address = candidates
            .find(|a| !state.taken.contains(a))
            .ok_or_else(|| io::Error::other(format!("no free address in {}", self.subnet)))?;
        fs::write(self.file(address), sandbox)?;
        fs::write(self.directory.join(LAST), address.to_string())?;
        state.taken.insert(address);
        state.owners.insert(sandbox.to_owned(), address);
        state.last = Some(address);
        Ok(address)
    }

    /// The address that the sandbox has.
    pub fn address_of(&self, sandbox: &str) -> Option<Ipv4Addr> {
        self.state.lock().owners.get(sandbox).copied()
    }

    /// Gives the sandbox's address back, if it has one.
    pub fn release(&self, sandbox: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        if let Some(address) = state.owners.get(sandbox).copied() {
            remove(&self.file(address))?;
            state.taken.remove(&address);
            state.owners.remove(sandbox);
        }
        Ok(())
    }

    fn file(&self, address: Ipv4Addr) -> PathBuf {
        self.directory.join(address.to_string())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path) -> Ipam {
        Ipam::open(directory, "10.1.2.0/29".parse().unwrap()).unwrap()
    }

    #[test]
    fn addresses_are_given_once_and_rest_before_they_are_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let ipam = open(directory.path());
        let text = |sandbox: &str| ipam.allocate(sandbox).unwrap().to_string();
        assert_eq!([text("a"), text("b"), text("a")], ["10.1.2.2", "10.1.2.3", "10.1.2.2"]);
        ipam.release("a").unwrap();
        assert_eq!(text("c"), "10.1.2.4");
        assert_eq!([text("d"), text("e"), text("f")], ["10.1.2.5", "10.1.2.6", "10.1.2.2"]);
        assert!(ipam.allocate("g").is_err());
    }

    #[test]
    fn addresses_survive_the_agent() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).allocate("a").unwrap();
        let again = open(directory.path());
        assert_eq!(again.allocate("b").unwrap().to_string(), "10.1.2.3");
        assert_eq!(again.allocate("a").unwrap().to_string(), "10.1.2.2");
    }

    #[test]
    fn an_address_rests_across_agents_too_and_a_torn_file_holds_none() {
        let directory = tempfile::tempdir().unwrap();
        let ipam = open(directory.path());
        ipam.allocate("a").unwrap();
        ipam.release("a").unwrap();
        fs::write(directory.path().join("10.1.2.4"), "").unwrap();
        let again = open(directory.path());
        assert_eq!(again.address_of("a"), None);
        let text = |sandbox: &str| again.allocate(sandbox).unwrap().to_string();
        assert_eq!([text("b"), text("c")], ["10.1.2.3", "10.1.2.4"]);
    }

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        let subnet = |text: &str| text.parse::<Subnet>().unwrap();
        assert!(subnet("10.244.0.0/24").overlaps(subnet("10.0.0.0/8")));
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.244.0.0/24")));
        assert!(!subnet("10.244.0.0/24").overlaps(subnet("10.244.1.0/24")));
        assert!(Subnet { base: [0, 0, 0, 0].into(), prefix: 0 }.overlaps(subnet("10.244.1.0/24")));
    }

    #[test]
    fn a_network_has_as_many_parts_as_there_is_room_for() {
        let network = "127.64.0.0/16".parse::<Subnet>().unwrap();
        let part = |number| network.part(20, number).map(|part| part.to_string());
        assert_eq!(part(0).as_deref(), Some("127.64.0.0/20"));
        assert_eq!(part(15).as_deref(), Some("127.64.240.0/20"));
        assert_eq!((part(16), network.part(12, 0)), (None, None));
    }

    #[test]
    fn a_subnet_says_what_is_wrong_with_it() {
        assert_eq!("10.1.2.7/24".parse::<Subnet>().unwrap().to_string(), "10.1.2.0/24");
        assert!("10.1.2.0".parse::<Subnet>().is_err());
        assert!("10.1.2.0/31".parse::<Subnet>().is_err());
    }
}
