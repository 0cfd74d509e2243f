//! Services.

use super::text_map;
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

/// Adjectives of a Service. Without any it is of type ClusterIP and has neither selector nor ports.
pub trait ServiceFixture: Sized {
    /// That sends traffic to pods with these labels.
    #[must_use]
    fn selecting<const N: usize>(self, labels: [(&str, &str); N]) -> Self;
    /// With a TCP port that leads to a port of the pods.
    #[must_use]
    fn port(self, port: i32, target: i32) -> Self;
    /// With a cluster address; `None` makes it headless.
    #[must_use]
    fn cluster_ip(self, ip: &str) -> Self;
    /// Of another type than ClusterIP.
    #[must_use]
    fn of_type(self, kind: &str) -> Self;
}

impl ServiceFixture for Service {
    fn selecting<const N: usize>(mut self, labels: [(&str, &str); N]) -> Self {
        spec(&mut self).selector = Some(text_map(labels));
        self
    }

    fn port(mut self, port: i32, target: i32) -> Self {
        spec(&mut self).ports.get_or_insert_default().push(ServicePort {
            port,
            protocol: Some("TCP".into()),
            target_port: Some(IntOrString::Int(target)),
            ..ServicePort::default()
        });
        self
    }

    fn cluster_ip(mut self, ip: &str) -> Self {
        let spec = spec(&mut self);
        (spec.cluster_ip, spec.cluster_ips) = (Some(ip.into()), Some(vec![ip.into()]));
        self
    }

    fn of_type(mut self, kind: &str) -> Self {
        spec(&mut self).type_ = Some(kind.into());
        self
    }
}

fn spec(service: &mut Service) -> &mut ServiceSpec {
    service.spec.get_or_insert_with(|| ServiceSpec { type_: Some("ClusterIP".into()), ..ServiceSpec::default() })
}
