//! [`Target`]: where a webhook is, as a `clientConfig` says it.

use http::Uri;
use orch_api::k8s_openapi::{
    api::admissionregistration::v1::WebhookClientConfig as AdmissionConfig,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::WebhookClientConfig as ConversionConfig,
};

const HTTPS: u16 = 443;

/// Where a webhook is and which authority signed its certificate. Equal targets share their connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// A host or a Service.
    pub place: Place,
    /// Path and query of every request.
    pub path: String,
    /// The authorities that the server's certificate may come from, as PEM; those of the machine when empty.
    pub ca_bundle: Vec<u8>,
}

/// What a target connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A host name or an address.
    Host {
        /// As it stands in the URL, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A Service of the cluster.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The Service's port, not the pod's.
        port: u16,
    },
}

impl Target {
    /// Where the webhook of an admission configuration is.
    pub fn of_admission(config: &AdmissionConfig) -> Result<Self, String> {
        let service = config.service.as_ref().map(|s| Service {
            namespace: &s.namespace,
            name: &s.name,
            path: s.path.as_deref(),
            port: s.port,
        });
        Self::new(config.url.as_deref(), service, config.ca_bundle.as_ref().map(|b| &*b.0))
    }

    /// Where the conversion webhook of a CustomResourceDefinition is.
    pub fn of_conversion(config: &ConversionConfig) -> Result<Self, String> {
        let service = config.service.as_ref().map(|s| Service {
            namespace: &s.namespace,
            name: &s.name,
            path: s.path.as_deref(),
            port: s.port,
        });
        // A bundle of nothing but white space is none.
        let bundle = config.ca_bundle.as_ref().map(|b| &*b.0).filter(|bundle| !bundle.trim_ascii().is_empty());
        Self::new(config.url.as_deref(), service, bundle)
    }

    fn new(url: Option<&str>, service: Option<Service<'_>>, ca_bundle: Option<&[u8]>) -> Result<Self, String> {
        let ca_bundle = ca_bundle.unwrap_or_default().to_vec();
        if let Some(service) = service {
            let port = service.port.and_then(|p| u16::try_from(p).ok()).unwrap_or(HTTPS);
            let (namespace, name) = (service.namespace.to_owned(), service.name.to_owned());
            let path = service.path.unwrap_or_default();
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            return Ok(Self { place: Place::Service { namespace, name, port }, path, ca_bundle });
        }
        let url = url.filter(|u| !u.is_empty()).ok_or("webhook configuration must have either service or URL")?;
        let uri: Uri = url.parse().map_err(|e| format!("Unparsable URL: parse {url:?}: {e}"))?;
        let host = uri.host().ok_or_else(|| format!("Unparsable URL: parse {url:?}: it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        Ok(Self { place: Place::Host { host, port: uri.port_u16().unwrap_or(HTTPS) }, path, ca_bundle })
    }

    /// The name that the server's certificate must have.
    pub fn server_name(&self) -> String {
        match &self.place {
            Place::Host { host, .. } => host.clone(),
            Place::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
        }
    }

    /// `host:port`, as the `Host` header and messages spell it.
    pub fn authority(&self) -> String {
        match &self.place {
            Place::Host { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Host { host, port } => format!("{host}:{port}"),
            Place::Service { namespace, name, port } => format!("{name}.{namespace}.svc:{port}"),
        }
    }

    /// Whether HTTP/2 may be spoken. One HTTP/2 connection would send every request to the same replica, so only what
    /// has no replicas gets it.
    pub(super) fn may_multiplex(&self) -> bool {
        match &self.place {
            Place::Service { .. } => false,
            Place::Host { host, .. } => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

/// The reference of either kind of configuration.
struct Service<'a> {
    namespace: &'a str,
    name: &'a str,
    path: Option<&'a str>,
    port: Option<i32>,
}
