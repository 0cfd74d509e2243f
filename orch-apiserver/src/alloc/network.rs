//! [`ServiceCidr`]: a network that cluster IPs come from, and how one is drawn (`pkg/registry/core/service/ipallocator/ipallocator.go`).

use orch_store::Chance;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

/// The version of IP that an address or a network is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `IPv4`
    V4,
    /// `IPv6`
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The name in `ipFamilies`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Reads a name of `ipFamilies`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::V4, Self::V6].into_iter().find(|family| family.as_str() == name)
    }

    /// The other one.
    pub(super) fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    fn bits(self) -> u32 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    fn address(self, number: u128) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            Self::V6 => Ipv6Addr::from_bits(number).into(),
        }
    }
}

/// A network that cluster IPs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCidr {
    base: IpAddr,
    prefix: u32,
}

impl Default for ServiceCidr {
    /// `10.96.0.0/16`
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 96, 0, 0).into(), prefix: 16 }
    }
}

impl ServiceCidr {
    /// Reads `10.96.0.0/16` or `fd00:96::/112`; `None` unless it is a network that has an address to give. IPv6 networks
    /// are of /64 or smaller.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        let (base, prefix) = (base.parse::<IpAddr>().ok()?, prefix.parse::<u32>().ok()?);
        let family = Family::of(base);
        let prefixes = if family == Family::V6 { 64..=127 } else { 0..=32 };
        if !prefixes.contains(&prefix) {
            return None;
        }
        let hosts = (1_u128 << (family.bits() - prefix)) - 1;
        let cidr = Self { base: family.address(number(base) & !hosts), prefix };
        (!cidr.usable().is_empty()).then_some(cidr)
    }

    /// The family of its addresses.
    pub fn family(self) -> Family {
        Family::of(self.base)
    }

    /// The first usable address: that of the `kubernetes` Service.
    pub fn first(self) -> IpAddr {
        self.family().address(*self.usable().start())
    }

    /// Whether it may give this address. The network's own and, in IPv4, the one for broadcasts it may not.
    pub(super) fn gives(self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family() && self.usable().contains(&number(ip))
    }

    /// A free address: a random one, so that one is not given again soon after its release. Those of the lower band, which
    /// people name for Services of their own, come last (KEP-3070).
    pub(super) fn draw(self, chance: &Chance, is_free: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let family = self.family();
        let band = Band { most: 256, step: 16, size: 1 << (family.bits() - self.prefix) };
        draw(self.usable(), band, chance, |number| is_free(family.address(number))).map(|number| family.address(number))
    }

    fn usable(self) -> RangeInclusive<u128> {
        let (base, hosts) = (number(self.base), (1_u128 << (self.family().bits() - self.prefix)) - 1);
        let broadcast = u128::from(self.family() == Family::V4);
        // Empty where the last lies before the first.
        base + 1..=(base + hosts).saturating_sub(broadcast)
    }
}

impl fmt::Display for ServiceCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// How much of a range is kept for numbers that people name (`calculateRangeOffset`).
#[derive(Clone, Copy)]
pub(super) struct Band {
    /// At most so many.
    pub(super) most: u128,
    /// One in so many.
    pub(super) step: u128,
    /// How many numbers count as the range.
    pub(super) size: u128,
}

impl Band {
    /// The least that is kept, and the size of a range that is too small to keep anything.
    const LEAST: u128 = 16;

    fn offset(self) -> u128 {
        if self.size <= Self::LEAST { 0 } else { (self.size / self.step).clamp(Self::LEAST, self.most) }
    }
}

/// A free number of a range: above the band if there is one, and each time from a random one on. What is used is counted in
/// objects that are stored, so a search ends long before a large range does.
pub(super) fn draw(
    range: RangeInclusive<u128>,
    band: Band,
    chance: &Chance,
    is_free: impl Fn(u128) -> bool,
) -> Option<u128> {
    let (first, last) = range.into_inner();
    let middle = first + band.offset();
    let from = |first: u128, last: u128| {
        let size = last.checked_sub(first)?.saturating_add(1);
        let start = first + u128::from(chance.below(u64::try_from(size).unwrap_or(u64::MAX)));
        (start..=last).chain(first..start).find(|number| is_free(*number))
    };
    from(middle, last).or_else(|| from(first, middle.checked_sub(1)?.min(last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, collections::BTreeSet};

    /// Every address of a network in the order in which they are drawn.
    fn all(network: &str) -> Vec<IpAddr> {
        let (cidr, chance) = (ServiceCidr::parse(network).unwrap(), Chance::from_seed(1));
        let taken = RefCell::new(BTreeSet::new());
        let draws = std::iter::from_fn(|| {
            let ip = cidr.draw(&chance, |ip| !taken.borrow().contains(&ip))?;
            taken.borrow_mut().insert(ip);
            Some(ip)
        });
        draws.collect()
    }

    #[test]
    fn every_address_but_the_first_and_the_one_for_broadcasts_is_drawn_once() {
        let mut drawn = all("10.9.0.7/29");
        drawn.sort_unstable();
        let expected: Vec<IpAddr> = (1..=6).map(|n| IpAddr::from([10, 9, 0, n])).collect();
        assert_eq!(drawn, expected);
        assert_eq!(all("fd00::/125").len(), 7);
    }

    #[test]
    fn the_lower_band_is_drawn_from_last() {
        let drawn = all("10.9.0.0/26");
        assert_eq!(drawn.len(), 62);
        let is_low = |ip: &IpAddr| *ip < IpAddr::from([10, 9, 0, 17]);
        assert!(!drawn[..46].iter().any(is_low) && drawn[46..].iter().all(is_low));
    }

    #[test]
    fn a_large_network_is_not_walked_through() {
        let cidr = ServiceCidr::parse("fd00::/64").unwrap();
        let drawn = cidr.draw(&Chance::from_seed(7), |_| true).unwrap();
        assert!(cidr.gives(drawn) && !cidr.gives(drawn.to_string().replace("fd00", "fd01").parse().unwrap()));
    }

    #[test]
    fn what_has_no_address_to_give_is_no_network_of_services() {
        for text in ["10.0.0.0", "10.0.0.0/31", "10.0.0.0/33", "fd00::/63", "fd00::/128", "a/8"] {
            assert_eq!(ServiceCidr::parse(text), None, "{text}");
        }
        let cidr = ServiceCidr::parse("10.96.7.1/12").unwrap();
        assert_eq!((cidr.to_string(), cidr.first().to_string()), ("10.96.0.0/12".into(), "10.96.0.1".into()));
    }
}
