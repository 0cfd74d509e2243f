//! What Services hold and the store does not say: Services that were written before addresses and ports were, or whose IPAddress
//! somebody deleted while no server ran.

use super::{
    ADDRESSES, ServiceAllocators,
    claims::{Claims, PORTS, holder},
    ports,
    spec::Spec,
};
use crate::core::{Core, refusal::refuse};
use orch_api::{Gvr, Key, StatusError};
use orch_store::{
    Stored,
    backend::{BackendError, Condition, Durability, Txn, Write},
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// How many writes go into one commit.
const BATCH: usize = 64;
/// How often others may write the same at the same time.
const ATTEMPTS: usize = 8;

/// Writes down what Services hold, and forgets node ports that nobody has: once at the start of a server.
pub(crate) async fn restore(core: &Core) -> Result<(), StatusError> {
    for _ in 0..ATTEMPTS {
        let writes = missing(core).await?;
        if writes.is_empty() || commit(core, writes).await? {
            break;
        }
    }
    Ok(())
}

/// Whether all was written; if not, somebody else was faster.
async fn commit(core: &Core, mut writes: Vec<Write>) -> Result<bool, StatusError> {
    let cache = core.storage.cache();
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(BATCH));
        match cache.backend().commit(Txn { writes }).await {
            Ok(revision) => cache.caught_up(revision).await.map_err(|error| refuse(&error))?,
            Err(BackendError::Conflict { .. }) => return Ok(false),
            Err(error) => return Err(refuse(&error)),
        }
        writes = rest;
    }
    Ok(true)
}

async fn missing(core: &Core) -> Result<Vec<Write>, StatusError> {
    let (Some(services), Some(_)) =
        (core.registry.find(&Gvr::of("", "v1", "services")), core.registry.find(&ADDRESSES))
    else {
        return Ok(Vec::new());
    };
    let view = core.services.view(core).await?;
    let mut held: BTreeMap<u32, Key> = BTreeMap::new();
    let mut writes = Vec::new();
    for service in core.storage.all(&services, "").await? {
        let value: Value = service.parse()?;
        let ServiceAllocators(shared) = &core.services;
        let mut claims = Claims::new(&view, &service.key, &shared.chance, core.ambient.clock.now());
        for ip in Spec::read(&value).addresses().iter().filter_map(|ip| ip.parse().ok()) {
            claims.keep_ip(ip)?;
        }
        for port in ports::held(&value) {
            held.entry(port).or_insert_with(|| service.key.clone());
            claims.keep_port(port)?;
        }
        // Of two that have the same, which is for people to settle, the first keeps it.
        let fresh = claims.into_writes().into_iter();
        let fresh: Vec<Write> = fresh.filter(|write| !writes.iter().any(|w: &Write| w.key == write.key)).collect();
        writes.extend(fresh);
    }
    let unused = |entry: &&Arc<Stored>| {
        entry.key.name.parse().ok().and_then(|port: u32| held.get(&port)) != holder(entry).as_ref()
    };
    writes.extend(view.ports.iter(None, None).filter(unused).map(|entry| Write {
        key: format!("{PORTS}{}", entry.key.name).into(),
        condition: Condition::At(entry.revision),
        value: None,
        durability: Durability::Synced,
    }));
    Ok(writes)
}
