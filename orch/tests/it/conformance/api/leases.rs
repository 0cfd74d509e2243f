//! `test/e2e/common/node/lease.go`.

use super::*;

const LEASES: Gvr = Gvr::of("coordination.k8s.io", "v1", "leases");

fn spec(holder: &str, seconds: u32, acquired: u32, renewed: u32, transitions: u32) -> Value {
    // Times of Go's year one, as upstream has them.
    let at = |seconds: u32| format!("0001-01-01T00:{:02}:{:02}.000000Z", seconds / 60, seconds % 60);
    json!({"holderIdentity": holder, "leaseDurationSeconds": seconds, "acquireTime": at(acquired),
        "renewTime": at(renewed), "leaseTransitions": transitions})
}

/// [sig-node] Lease lease API should be available [Conformance]
#[tokio::test(start_paused = true)]
async fn leases_are_created_changed_and_deleted() {
    let here = World::without_controllers().await;
    let leases = here.of(&LEASES);
    let first = spec("holder", 30, 2, 5, 0);
    let made = leases.create(json!({"metadata": {"name": "lease"}, "spec": first})).await;
    assert!(revision(&made) > 0);
    assert_eq!(leases.get("lease").await["spec"], first);
    let second = spec("holder2", 30, 20, 50, 1);
    leases.update("lease", |lease| lease["spec"] = second.clone()).await;
    assert_eq!(leases.get("lease").await["spec"], second);
    let third = spec("holder3", 60, 50, 70, 2);
    leases.patch("lease", json!({"spec": third})).await;
    let read = leases.get("lease").await;
    assert_eq!(read["spec"], third);
    assert!(revision(&read) > revision(&made));

    let labels = json!({"deletecollection": "true"});
    leases.create(json!({"metadata": {"name": "lease2", "labels": labels}, "spec": first})).await;
    assert_eq!(leases.list("").await.len(), 2);
    leases.delete_all("deletecollection=true").await;
    assert_eq!(leases.list("").await.iter().map(name).collect::<Vec<_>>(), ["lease"]);
    leases.delete("lease").await;
    assert!(leases.try_get("lease").await.unwrap_err().is_not_found());
    assert!(leases.everywhere().list("").await.is_empty());
}
