//! [`Networks`]: where a cluster's pods and Services have their addresses. Chosen once, so that clusters on one
//! machine stay out of each other's way, and kept in the data directory, because Services keep their addresses.

use super::{Failure, data_dir::DataDir};
use orch_node::net::{self, Subnet};
use orch_store::Tasks;
use serde::{Deserialize, Serialize};
use std::{fs, io, net::Ipv4Addr};

/// How many clusters find room on a machine.
const CHOICES: u8 = 32;
/// Routes to networks larger than this (a VPN's `10.0.0.0/8`) may be passed by for the sake of pods.
const LARGE: u8 = 12;

/// What the addresses are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ground {
    /// A bridge of the cluster's own.
    Bridge,
    /// The loopback device, all of whose addresses may be listened on without rights.
    Loopback,
}

/// Where a cluster's pods and Services have their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Networks {
    /// Of the pods.
    pub(super) pods: Subnet,
    /// Of the Services.
    pub(super) services: Subnet,
}

/// `DIR/networks.json`
#[derive(Serialize, Deserialize)]
struct Record {
    on: Ground,
    pods: String,
    services: String,
}

impl Networks {
    /// The networks of a data directory, which are chosen now if that has not been done.
    pub(super) async fn of(data: &DataDir, ground: Ground, tasks: &Tasks) -> Result<Self, Failure> {
        match kept(data)? {
            Some((kept, networks)) if kept == ground => Ok(networks),
            Some((_, Self { services, .. })) => Err(format!(
                "the Services of the cluster in {} have addresses in {services}, which another runtime gave them; \
                 start it with that runtime, or choose another --data-dir",
                data.path().display()
            )
            .into()),
            None => {
                let networks = choose(data, ground, tasks).await?;
                keep(data, ground, networks)?;
                Ok(networks)
            }
        }
    }

    /// The address of the cluster's DNS: the tenth, as everywhere.
    pub(super) fn dns(&self) -> Ipv4Addr {
        self.services.at(10)
    }

    /// The address of the Service `kubernetes`.
    pub(super) fn api(&self) -> Ipv4Addr {
        self.services.at(1)
    }

    fn choice(ground: Ground, n: u8) -> Self {
        let subnet = |base: [u8; 4], prefix| Subnet { base: base.into(), prefix };
        match ground {
            Ground::Bridge => Self { pods: subnet([10, 244, n, 0], 24), services: subnet([10, 96 + n, 0, 0], 16) },
            Ground::Loopback => {
                Self { pods: subnet([127, 64 + n, 0, 0], 16), services: subnet([127, 96 + n, 0, 0], 16) }
            }
        }
    }
}

/// The first choice that nobody else uses. Services that were stored before anything was chosen have the first.
async fn choose(data: &DataDir, ground: Ground, tasks: &Tasks) -> Result<Networks, Failure> {
    let choices = if data.had_objects() { 1 } else { CHOICES };
    let taken = match ground {
        Ground::Bridge => net::routes(tasks).await?,
        Ground::Loopback => Vec::new(),
    };
    let mut holder = None;
    for networks in (0..choices).map(|n| Networks::choice(ground, n)) {
        let user = match ground {
            Ground::Bridge => user_of(&networks, &taken, &data.tag()),
            Ground::Loopback => [networks.pods, networks.services]
                .into_iter()
                .find(|network| net::has_listeners(*network))
                .map(|network| format!("somebody listens in {network}")),
        };
        match user {
            Some(user) => holder = holder.or(Some(user)),
            None => return Ok(networks),
        }
    }
    let why = holder.unwrap_or_default();
    Err(format!("no network is left for pods and Services: {why}; `orch down` frees those of other clusters").into())
}

/// Who has a route to one of the networks already.
fn user_of(networks: &Networks, routes: &[(Subnet, String)], own: &str) -> Option<String> {
    let clashes = |(subnet, device): &&(Subnet, String)| {
        let meets = subnet.overlaps(networks.pods) || subnet.overlaps(networks.services);
        device != own && subnet.prefix >= LARGE && meets
    };
    routes.iter().find(clashes).map(|(subnet, device)| format!("{device} leads to {subnet}"))
}

fn kept(data: &DataDir) -> Result<Option<(Ground, Networks)>, Failure> {
    let path = data.networks();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    };
    let damaged = |why: String| format!("{} is damaged: {why}", path.display());
    let record: Record = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let networks =
        Networks { pods: record.pods.parse().map_err(damaged)?, services: record.services.parse().map_err(damaged)? };
    Ok(Some((record.on, networks)))
}

fn keep(data: &DataDir, on: Ground, networks: Networks) -> Result<(), Failure> {
    let record = Record { on, pods: networks.pods.to_string(), services: networks.services.to_string() };
    data.write(&data.networks(), &serde_json::to_vec_pretty(&record)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_leads_elsewhere_is_passed_by() {
        let route = |text: &str, device: &str| (text.parse::<Subnet>().unwrap(), device.to_owned());
        let user = |n, routes: &[(Subnet, String)]| user_of(&Networks::choice(Ground::Bridge, n), routes, "mine");
        assert_eq!(user(0, &[route("10.244.0.0/24", "mine"), route("10.0.0.0/8", "vpn")]), None);
        let others = [route("10.244.0.0/24", "theirs"), route("10.97.0.0/16", "theirs")];
        assert_eq!(user(0, &others).as_deref(), Some("theirs leads to 10.244.0.0/24"));
        assert_eq!(user(1, &others).as_deref(), Some("theirs leads to 10.97.0.0/16"));
        assert_eq!(user(2, &others), None);
    }

    #[tokio::test]
    #[allow(clippy::unwrap_used)]
    async fn a_choice_is_kept_and_holds_for_its_ground_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let tasks = orch_store::Ambient::system().tasks;
        let first = Networks::of(&data, Ground::Loopback, &tasks).await.unwrap();
        assert_eq!(Networks::of(&data, Ground::Loopback, &tasks).await.unwrap(), first);
        let refused = Networks::of(&data, Ground::Bridge, &tasks).await.unwrap_err().to_string();
        assert!(refused.contains("which another runtime gave them"), "{refused}");
        fs::write(data.networks(), "{").unwrap();
        let refused = Networks::of(&data, Ground::Loopback, &tasks).await.unwrap_err().to_string();
        assert!(refused.contains("networks.json is damaged"), "{refused}");
    }
}
