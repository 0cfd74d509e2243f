use super::*;
use orch_api::k8s_openapi::api::core::v1::ConfigMap;

fn stored(json: &str) -> Stored {
    Stored::from_json(Bytes::copy_from_slice(json.as_bytes())).unwrap()
}

#[test]
fn metadata_is_extracted_from_the_json() {
    let pod = stored(
        r#"{"kind":"Pod","metadata":{"name":"web-1","namespace":"default","uid":"u1","resourceVersion":"42",
        "generation":3,"labels":{"app":"web"},"finalizers":["a/b"],"deletionTimestamp":"2026-01-02T03:04:05Z",
        "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"u0","controller":true}]},
        "spec":{"metadata":{"name":"decoy"}}}"#,
    );
    assert_eq!(pod.key.to_string(), "default/web-1");
    assert_eq!(pod.revision, Revision(42));
    assert_eq!(pod.meta.generation, 3);
    assert_eq!(pod.meta.labels.get("app"), Some("web"));
    assert!(pod.meta.has_finalizer("a/b") && pod.meta.is_deleting());
    assert_eq!(pod.controller().map(|o| &*o.uid), Some("u0"));
}

#[test]
fn nulls_count_as_absent() {
    let object = stored(
        r#"{"metadata":{"name":"a","namespace":null,"labels":null,"ownerReferences":null,"finalizers":null,
        "creationTimestamp":null,"resourceVersion":null}}"#,
    );
    assert_eq!(object.meta, Meta { name: "a".into(), ..Meta::default() });
    assert_eq!(stored("{}").meta, Meta::default());
}

#[test]
fn another_revision_changes_only_the_resource_version_of_the_metadata() {
    let json = r#"{"spec":{"claimRef":{"resourceVersion":"7"}},"metadata":{"annotations":{"x":"\"resourceVersion\":\"7\""}, "resourceVersion" : "7","name":"a"}}"#;
    let object = stored(json).at_revision(Revision(1234));
    assert_eq!(object.revision, Revision(1234));
    assert_eq!(object.meta.resource_version, Revision(1234));
    let expected = json.replace(r#""resourceVersion" : "7""#, r#""resourceVersion" : "1234""#);
    assert_eq!(object.json, expected);
}

#[test]
fn a_value_without_resource_version_still_tells_its_revision() {
    let object = stored(r#"{"metadata":{"name":"a"}}"#).at_revision(Revision(5));
    assert_eq!((object.revision, &object.json[..]), (Revision(5), &br#"{"metadata":{"name":"a"}}"#[..]));
}

#[test]
fn the_decoded_form_is_shared_while_someone_holds_it_and_never_kept() {
    let object = stored(r#"{"metadata":{"name":"a"},"data":{"k":"v"}}"#);
    let first = object.decode::<ConfigMap>().unwrap();
    assert!(Arc::ptr_eq(&first, &object.decode::<ConfigMap>().unwrap()));
    let weak = Arc::downgrade(&first);
    drop(first);
    assert!(weak.upgrade().is_none());
}

#[test]
fn fields_are_computed_once_per_revision() {
    let object = stored(r#"{"metadata":{"name":"a"}}"#);
    let fields = object.fields(|o| [("metadata.name", &*o.key.name)].into_iter().collect());
    assert_eq!(fields.get("metadata.name"), Some("a"));
    object.fields(|_| unreachable!("computed already"));
}

#[test]
fn the_fixed_part_of_an_object_stays_small() {
    assert!(size_of::<Stored>() <= 320, "{} bytes", size_of::<Stored>());
}
