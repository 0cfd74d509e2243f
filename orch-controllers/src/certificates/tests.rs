use super::{approver::Approver, cleaner::Cleaner, verify::verify, *};
use crate::fixtures::{self, expect_plan, minutes_ago, now};
use async_trait::async_trait;
use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::{
    ByteString, api::certificates::v1::CertificateSigningRequestCondition as Condition,
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::{Object, StatusError};
use orch_runtime::{
    Controller, View,
    certificates::{Asked, CertificateAuthority, NoAuthority},
    testing::Objects,
};
use orch_store::{
    Ambient, Client, Stored,
    backend::MemoryBackend,
    client::{Around, Write},
    testing::BareClient,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

fn request(minutes: i64, condition: Option<&str>, certificate: bool) -> Request {
    let mut request = Request { metadata: fixtures::meta("", "csr", ""), ..Request::default() };
    request.metadata.creation_timestamp = Some(Time(minutes_ago(minutes)));
    let status = request.status.get_or_insert_default();
    status.certificate = certificate.then(|| ByteString(b"PEM".to_vec()));
    status.conditions = condition.map(|kind| {
        let condition = Condition { type_: kind.into(), status: "True".into(), ..Condition::default() };
        vec![Condition { last_update_time: Some(Time(minutes_ago(minutes))), ..condition }]
    });
    request
}

#[track_caller]
fn clean(request: &Request, expect: Expect) {
    let cleaner = Cleaner { authority: Arc::new(NoAuthority) };
    let objects = Objects::new(&cleaner.watches()).with(request);
    let world = cleaner.observe(&request.key(), &View::fixed(&objects)).unwrap();
    expect_plan(&cleaner.plan(&world, now()), &expect);
}

#[test]
fn decided_requests_go_after_an_hour_and_others_after_a_day() {
    clean(
        &request(30, Some("Denied"), false),
        expect![[r#"
        requeue after 1801s
    "#]],
    );
    clean(
        &request(61, Some("Denied"), false),
        expect![[r#"
        delete CertificateSigningRequest csr
    "#]],
    );
    clean(
        &request(61, Some("Failed"), false),
        expect![[r#"
        delete CertificateSigningRequest csr
    "#]],
    );
    clean(
        &request(61, Some("Approved"), true),
        expect![[r#"
        delete CertificateSigningRequest csr
    "#]],
    );
    clean(
        &request(61, Some("Approved"), false),
        expect![[r#"
        requeue after 82741s
    "#]],
    );
    clean(
        &request(61, None, false),
        expect![[r#"
        requeue after 82741s
    "#]],
    );
    clean(
        &request(24 * 60 + 1, None, false),
        expect![[r#"
        delete CertificateSigningRequest csr
    "#]],
    );
}

fn node() -> Asked {
    Asked { common_name: "system:node:n1".into(), organizations: vec!["system:nodes".into()], ..Asked::default() }
}

#[track_caller]
fn check(signer: &str, asked: &Asked, usages: &[&str], expected: Option<&str>) {
    let usages: Vec<String> = usages.iter().map(|u| (*u).to_owned()).collect();
    let found = verify(signer, asked, &usages).expect("a signer of ours");
    assert_eq!(found.err().as_deref(), expected);
}

#[test]
fn each_signer_has_its_rules() {
    let client = ["client auth", "digital signature"];
    check(KUBELET_CLIENT, &node(), &client, None);
    check(KUBELET_CLIENT, &node(), &["client auth", "digital signature", "key encipherment"], None);
    let words = "usages did not match [client auth digital signature key encipherment]";
    check(KUBELET_CLIENT, &node(), &["server auth"], Some(words));
    let named = Asked { dns_names: vec!["a".into()], ..node() };
    check(KUBELET_CLIENT, &named, &client, Some("DNS subjectAltNames are not allowed"));
    let other = Asked { organizations: vec!["system:masters".into()], ..node() };
    check(KUBELET_CLIENT, &other, &client, Some("subject organization is not system:nodes"));
    let user = Asked { common_name: "admin".into(), ..node() };
    check(KUBELET_CLIENT, &user, &client, Some("subject common name does not begin with system:node:"));
    let serving = ["server auth", "digital signature"];
    check(KUBELET_SERVING, &named, &serving, None);
    check(KUBELET_SERVING, &node(), &serving, Some("DNS or IP subjectAltName is required"));
    check(API_CLIENT, &user, &["client auth"], None);
    check(
        API_CLIENT,
        &user,
        &["digital signature"],
        Some("missing required usage for client certificate: client auth"),
    );
    check(API_CLIENT, &user, &["server auth"], Some("invalid usage for client certificate: server auth"));
    check(LEGACY, &user, &["any"], None);
    assert!(verify("example.com/other", &user, &[]).is_none());
}

/// Reads every request as one of a kubelet.
struct Reads;

impl CertificateAuthority for Reads {
    fn read(&self, _: &[u8]) -> Result<Asked, String> {
        Ok(node())
    }

    fn sign(&self, _: &[u8], _: &[String], _: Duration, _: Timestamp) -> Result<Vec<u8>, String> {
        Err("not asked for".into())
    }

    fn expires(&self, _: &[u8]) -> Option<Timestamp> {
        None
    }
}

/// A server that answers every review in the same way.
struct Answers(BareClient, bool);

#[async_trait]
impl Around for Answers {
    fn inner(&self) -> orch_store::client::Result<Arc<dyn Client>> {
        Ok(Arc::new(self.0.clone()))
    }

    async fn write(&self, _: Write<'_>) -> orch_store::client::Result<Arc<Stored>> {
        let answer = json!({"metadata": {"name": "", "resourceVersion": "1"}, "status": {"allowed": self.1}});
        Stored::from_json(answer.to_string().into()).map(Arc::new).map_err(StatusError::internal)
    }
}

/// What is planned for the request of a node that has, or has not yet, the permission.
async fn approve(allowed: bool) -> Result<String, String> {
    let approver = Approver { authority: Arc::new(Reads) };
    let mut request = request(1, None, false);
    request.spec.signer_name = KUBELET_CLIENT.into();
    request.spec.usages = Some(vec!["client auth".into(), "digital signature".into()]);
    let objects = Objects::new(&approver.watches()).with(&request);
    let world = approver.observe(&request.key(), &View::fixed(&objects)).unwrap();
    let client = Answers(BareClient::new(Arc::new(MemoryBackend::new()), Ambient::seeded(1)), allowed);
    let world = approver.gather(world, &client).await.map_err(|error| error.to_string())?;
    Ok(approver.plan(&world, now()).to_string())
}

#[tokio::test]
async fn a_kubelet_that_may_not_be_approved_yet_is_asked_for_again() {
    assert!(approve(true).await.unwrap().contains("Auto approving kubelet client certificate"));
    let words = "recognized csr \"csr\" as [nodeclient] but subject access review was not approved";
    assert_eq!(approve(false).await.unwrap_err(), words);
}
