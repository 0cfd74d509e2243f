//! `metrics.k8s.io`: what nodes and pods use, asked of the nodes at each read. Nothing of it is stored
//! (`sigs.k8s.io/metrics-server` is what answers it elsewhere, from samples that it takes all the time).

use crate::core::{Answer, Call, Core, Request, json, meta, not_supported};
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use orch_api::{Gvr, Key, Kind, StatusError, duration, usage::amounts};
use orch_store::{
    Stored,
    client::{ListOptions, Page},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The group that is answered here.
pub(crate) const GROUP: &str = "metrics.k8s.io";

const NODES: Gvr = Gvr::of("", "v1", "nodes");
const PODS: Gvr = Gvr::of("", "v1", "pods");
/// A node that does not answer for so long is left out.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many nodes are asked at once.
const AT_ONCE: usize = 32;
/// A summary that is larger is none.
const MAX_SUMMARY: usize = 64 << 20;

/// Answers a request for metrics.
pub(crate) async fn perform(core: &Core, call: &Call, request: Request) -> Result<Answer, StatusError> {
    match request {
        Request::Get => {
            let name = &*call.key.name;
            let options = ListOptions {
                namespace: call.key.namespace.clone(),
                fields: format!("metadata.name={name}"),
                ..ListOptions::default()
            };
            let page = list(core, call, &options).await?;
            page.items.into_iter().next().map(Answer::object).ok_or_else(|| not_found(call))
        }
        Request::List(options) => list(core, call, &options).await.map(Answer::Page),
        request => Err(not_supported(call, request.verb())),
    }
}

fn not_found(call: &Call) -> StatusError {
    let resource = call.kind.kind.to_lowercase();
    let about = Gvr { resource: resource.into(), ..call.kind.gvr() };
    match call.key.namespace.is_empty() {
        true => StatusError::not_found(&about, &call.key.name),
        false => StatusError::not_found(&about, &format!("{}/{}", call.key.namespace, call.key.name)),
    }
}

async fn list(core: &Core, call: &Call, options: &ListOptions) -> Result<Page, StatusError> {
    let about = if call.kind.plural == "nodes" { NODES } else { PODS };
    let Some(kind) = core.registry.find(&about) else { return Ok(Page::default()) };
    let options = ListOptions { limit: 0, continue_token: String::new(), ..options.clone() };
    let page = core.storage.list(&kind, &options).await?;
    let items = match call.kind.plural == "nodes" {
        true => of_nodes(core, &call.kind, &page.items).await?,
        false => of_pods(core, &call.kind, &page.items).await?,
    };
    Ok(Page { items, revision: page.revision, ..Page::default() })
}

async fn of_nodes(core: &Core, kind: &Kind, nodes: &[Arc<Stored>]) -> Result<Vec<Arc<Stored>>, StatusError> {
    let summaries = ask(core, nodes.iter().map(|node| node.key.name.to_string()).collect()).await;
    let mut items = Vec::new();
    for node in nodes {
        let Some(summary) = summaries.get(&*node.key.name) else { continue };
        let Some(measured) = summary.get("node") else { continue };
        let mut object = object(core, kind, node, measured);
        json::set(&mut object, &["usage"], usage(measured));
        items.push(crate::sub::unstored(&object)?);
    }
    Ok(items)
}

/// Pods whose containers are measured. Those that run on no node, or on one that does not answer, are left out.
async fn of_pods(core: &Core, kind: &Kind, pods: &[Arc<Stored>]) -> Result<Vec<Arc<Stored>>, StatusError> {
    let mut placed: Vec<(&Arc<Stored>, String)> = Vec::new();
    for pod in pods {
        let value: Value = pod.parse()?;
        let node = json::text(&value, &["spec", "nodeName"]);
        if !node.is_empty() && json::text(&value, &["status", "phase"]) == "Running" {
            placed.push((pod, node.to_owned()));
        }
    }
    let nodes: BTreeSet<String> = placed.iter().map(|(_, node)| node.clone()).collect();
    let summaries = ask(core, nodes.into_iter().collect()).await;
    let mut by_uid: BTreeMap<&str, &Value> = BTreeMap::new();
    for pod in summaries.values().flat_map(|summary| json::items(summary, &["pods"])) {
        by_uid.insert(json::text(pod, &["podRef", "uid"]), pod);
    }
    let mut items = Vec::new();
    for (pod, _) in placed {
        let containers = by_uid.get(&*pod.meta.uid).map(|measured| json::items(measured, &["containers"]));
        let Some(first) = containers.and_then(<[Value]>::first) else { continue };
        let each = containers.into_iter().flatten();
        let each: Vec<Value> = each.map(|c| json!({"name": json::text(c, &["name"]), "usage": usage(c)})).collect();
        let mut object = object(core, kind, pod, first);
        json::set(&mut object, &["containers"], each);
        items.push(crate::sub::unstored(&object)?);
    }
    Ok(items)
}

/// The metrics of an object without the amounts.
fn object(core: &Core, kind: &Kind, about: &Stored, measured: &Value) -> Value {
    let Key { namespace, name } = &about.key;
    let labels: serde_json::Map<String, Value> =
        about.meta.labels.iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    let mut metadata = json!({"name": &**name, "creationTimestamp": meta::time(core.ambient.clock.now())});
    if !namespace.is_empty() {
        json::set(&mut metadata, &["namespace"], &**namespace);
    }
    if !labels.is_empty() {
        json::set(&mut metadata, &["labels"], labels);
    }
    let window = json::integer(measured, &["cpu", "windowNanoSeconds"]).and_then(|n| u64::try_from(n).ok());
    let time = json::text(measured, &["cpu", "time"]).parse().unwrap_or_else(|_| core.ambient.clock.now());
    json!({
        "kind": &*kind.kind, "apiVersion": kind.gvk().api_version(), "metadata": metadata,
        "timestamp": meta::time(time),
        "window": duration::print(Duration::from_nanos(window.unwrap_or(0))),
    })
}

fn usage(measured: &Value) -> Value {
    let number = |path: &[&str]| json::integer(measured, path).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    amounts(number(&["cpu", "usageNanoCores"]), number(&["memory", "workingSetBytes"]))
}

/// The summaries of nodes, of those that answer.
async fn ask(core: &Core, nodes: Vec<String>) -> BTreeMap<String, Value> {
    let asked = nodes.into_iter().map(|node| async move {
        match tokio::time::timeout(PATIENCE, summary(core, &node)).await {
            Ok(Ok(summary)) => Some((node, summary)),
            Ok(Err(why)) => {
                tracing::debug!(node, why, "a node does not say what it uses");
                None
            }
            Err(_) => {
                tracing::debug!(node, "a node does not say in time what it uses");
                None
            }
        }
    });
    stream::iter(asked).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

async fn summary(core: &Core, node: &str) -> Result<Value, String> {
    let nodes = core.nodes.as_ref().ok_or("no way to reach nodes is configured")?;
    let connection = nodes.dial(node).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await;
    let (mut sender, driver) = handshake.map_err(|error| error.to_string())?;
    core.ambient.tasks.spawn(async move { drop(driver.await) });
    let request = http::Request::get("/stats/summary").header(http::header::HOST, node);
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string());
    }
    let body = Limited::new(answer.into_body(), MAX_SUMMARY).collect().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
}
