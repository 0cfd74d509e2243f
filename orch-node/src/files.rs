//! Files that every pod has: hosts, resolv.conf, termination message (`kubelet_pods.go`, `network/dns/dns.go`).

use crate::{agent::context::Node, logs, pod::spec};
use k8s_openapi::api::core::v1::{Container as ContainerSpec, Pod};
use orch_runtime::node::container::{Container, ContainerState, Mount, Sandbox};
use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Most bytes of a termination message file, and of one made of the log.
const MAX_MESSAGE: usize = 4096;
/// Most bytes and lines of a message made of the log.
const MAX_LOG_MESSAGE: (usize, usize) = (2048, 80);
/// Most entries of a search list and of name servers (`validation.MaxDNSNameservers` and its like).
const MAX_NAME_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;

/// Where pods send their DNS queries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DnsConfig {
    /// The cluster's DNS servers; pods use the node's when empty.
    pub cluster_servers: Vec<IpAddr>,
    /// Such as `cluster.local`.
    pub cluster_domain: String,
    /// Contents of the node's own resolv.conf.
    pub node_resolv_conf: String,
}

#[derive(Default)]
struct Resolv {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

/// The pod's resolv.conf by its `dnsPolicy` and `dnsConfig`. Pure.
pub fn resolv_conf(pod: &Pod, dns: &DnsConfig) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirst" => !spec::host_network(pod),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let node = parse(&dns.node_resolv_conf);
    let mut conf = match policy {
        "None" => Resolv::default(),
        _ if cluster && !dns.cluster_servers.is_empty() => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
            let domain = &dns.cluster_domain;
            let own = [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
            Resolv {
                servers: dns.cluster_servers.iter().map(ToString::to_string).collect(),
                searches: own.into_iter().chain(node.searches).collect(),
                options: vec!["ndots:5".into()],
            }
        }
        _ => node,
    };
    if let Some(extra) = &spec.dns_config {
        merge(&mut conf.servers, extra.nameservers.iter().flatten().cloned());
        merge(&mut conf.searches, extra.searches.iter().flatten().cloned());
        for option in extra.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            let text = option.value.as_ref().map_or_else(|| name.clone(), |v| format!("{name}:{v}"));
            conf.options.retain(|o| o.split(':').next() != Some(name));
            conf.options.push(text);
        }
    }
    conf.servers.truncate(MAX_NAME_SERVERS);
    conf.searches.truncate(MAX_SEARCHES);
    write(&conf)
}

fn merge(list: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

fn parse(text: &str) -> Resolv {
    let mut conf = Resolv::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let rest = |words: std::str::SplitWhitespace<'_>| words.map(str::to_owned).collect::<Vec<_>>();
        match words.next() {
            Some("nameserver") => conf.servers.extend(rest(words)),
            Some("search") => conf.searches = rest(words),
            Some("options") => conf.options = rest(words),
            _ => {}
        }
    }
    conf
}

fn write(conf: &Resolv) -> String {
    let mut out = String::new();
    if !conf.searches.is_empty() {
        out += &format!("search {}\n", conf.searches.join(" "));
    }
    for server in &conf.servers {
        out += &format!("nameserver {server}\n");
    }
    if !conf.options.is_empty() {
        out += &format!("options {}\n", conf.options.join(" "));
    }
    out
}

/// The host name inside a pod.
pub fn hostname(pod: &Pod, node: &str) -> String {
    let spec = pod.spec.as_ref();
    if spec::host_network(pod) {
        return node.to_owned();
    }
    let own = spec.and_then(|s| s.hostname_override.clone().or_else(|| s.hostname.clone()));
    let mut name = own.or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    name.truncate(63);
    name.trim_end_matches(['-', '.']).to_owned()
}

/// The pod's `/etc/hosts`. Pure.
pub fn hosts(pod: &Pod, ips: &[IpAddr], domain: &str) -> String {
    let mut out = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let spec = pod.spec.as_ref();
    let name = hostname(pod, "");
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let full = spec
        .and_then(|s| s.subdomain.as_deref())
        .filter(|s| !s.is_empty())
        .map(|sub| format!("{name}.{sub}.{namespace}.svc.{domain}\t"))
        .unwrap_or_default();
    for ip in ips {
        out += &format!("{ip}\t{full}{name}\n");
    }
    let aliases: Vec<_> = spec.into_iter().flat_map(|s| s.host_aliases.iter().flatten()).collect();
    if !aliases.is_empty() {
        out += "\n# Entries added by HostAliases.\n";
    }
    for alias in aliases {
        out += &format!("{}\t{}\n", alias.ip, alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t"));
    }
    out
}

/// Writes the pod's `/etc/hosts`.
pub async fn write_hosts(node: &Node, pod: &Pod, sandbox: &Sandbox) -> io::Result<()> {
    if spec::host_network(pod) {
        return Ok(());
    }
    let path = hosts_path(node, pod);
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(path, hosts(pod, &sandbox.ips, &node.dns.cluster_domain)).await
}

/// Mounts of `/etc/hosts` and of the termination message file, which is made.
pub async fn mounts(node: &Node, pod: &Pod, container: &ContainerSpec, attempt: u32) -> io::Result<Vec<Mount>> {
    let taken = |path: &str| container.volume_mounts.iter().flatten().any(|m| m.mount_path == path);
    let mut mounts = Vec::new();
    if !spec::host_network(pod) && !taken("/etc/hosts") {
        mounts.push(Mount {
            host_path: hosts_path(node, pod),
            container_path: "/etc/hosts".into(),
            ..Mount::default()
        });
    }
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let path = message_path(node, uid, &container.name, attempt);
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(&path, b"").await?;
    set_mode(&path, 0o666).await?;
    let inside = container.termination_message_path.clone().unwrap_or_else(|| "/dev/termination-log".into());
    mounts.push(Mount { host_path: path, container_path: inside.into(), ..Mount::default() });
    Ok(mounts)
}

/// What a container left behind in its termination message file, or in its log when the policy says so.
pub async fn termination_message(node: &Node, pod: &Pod, container: &Container) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let ContainerState::Exited { exit_code, message, .. } = &container.state else { return String::new() };
    let path = message_path(node, uid, &container.name, container.attempt);
    let mut bytes = tokio::fs::read(path).await.unwrap_or_default();
    bytes.truncate(MAX_MESSAGE);
    let fallback = spec::container(pod, &container.name)
        .is_some_and(|c| c.container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"));
    if bytes.is_empty() && fallback && *exit_code != 0 {
        bytes = logs::last_lines(&container.log_path, MAX_LOG_MESSAGE.1, MAX_LOG_MESSAGE.0).await;
    }
    if bytes.is_empty() { message.clone() } else { String::from_utf8_lossy(&bytes).into_owned() }
}

fn hosts_path(node: &Node, pod: &Pod) -> PathBuf {
    node.pod_dir(pod.metadata.uid.as_deref().unwrap_or_default()).join("etc-hosts")
}

fn message_path(node: &Node, uid: &str, container: &str, attempt: u32) -> PathBuf {
    node.pod_dir(uid).join("containers").join(container).join(attempt.to_string())
}

pub(crate) async fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    tokio::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dns() -> DnsConfig {
        DnsConfig {
            cluster_servers: vec![[10, 96, 0, 10].into()],
            cluster_domain: "cluster.local".into(),
            node_resolv_conf: "search example.org\nnameserver 1.1.1.1\noptions edns0\n".into(),
        }
    }

    #[track_caller]
    fn check(spec: serde_json::Value, expected: &str) {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let pod = serde_json::from_value(json!({"metadata": {"namespace": "ns"}, "spec": spec})).unwrap();
        assert_eq!(resolv_conf(&pod, &dns()), expected);
    }

    #[test]
    fn the_dns_policy_decides_whom_pods_ask() {
        let cluster = "search ns.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.96.0.10\noptions ndots:5\n";
        let node = "search example.org\nnameserver 1.1.1.1\noptions edns0\n";
        check(json!({}), cluster);
        check(json!({"hostNetwork": true}), node);
        check(json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}), cluster);
        check(json!({"dnsPolicy": "Default"}), node);
        let own = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["a.b"], "options": [{"name": "ndots", "value": "2"}]}});
        check(own, "search a.b\nnameserver 9.9.9.9\noptions ndots:2\n");
    }

    #[test]
    fn hosts_names_the_pod_and_its_aliases() {
        let pod = serde_json::from_value(json!({"metadata": {"name": "web-0", "namespace": "ns"}, "spec": {
            "containers": [], "subdomain": "web", "hostname": "web-0", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}}))
        .unwrap();
        let text = hosts(&pod, &[[10, 0, 0, 9].into()], "cluster.local");
        assert!(text.contains("10.0.0.9\tweb-0.web.ns.svc.cluster.local\tweb-0\n"), "{text}");
        assert!(text.ends_with("# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"), "{text}");
    }
}
