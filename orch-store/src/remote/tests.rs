use super::{request::Call, *};
use crate::{
    Ambient, ClientExt, Informers, Revision,
    client::{Propagation, ReadAt, WatchEvent},
};
use orch_api::k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::Mutex;
use serde_json::json;

const PODS: Gvr = Gvr::of("", "v1", "pods");
const DEPLOYMENTS: Gvr = Gvr::of("apps", "v1", "deployments");

fn show(call: &Call) -> String {
    let body = call.body.as_ref().map_or_else(String::new, |body| format!(" {body}"));
    format!("{} {}{body}", call.method, call.uri)
}

fn header(call: &Call, name: &str) -> String {
    let found = call.headers.iter().find(|(n, _)| n == name);
    found.map_or_else(String::new, |(_, value)| value.to_str().unwrap().to_owned())
}

#[test]
fn paths_name_group_namespace_object_and_subresource() {
    let web = Key::new("default", "web");
    assert_eq!(show(&Call::get(&PODS, &web, None)), "GET /api/v1/namespaces/default/pods/web");
    let call = Call::get(&DEPLOYMENTS, &web, Some("scale"));
    assert_eq!(show(&call), "GET /apis/apps/v1/namespaces/default/deployments/web/scale");
    let call = Call::get(&Gvr::of("", "v1", "nodes"), &Key::cluster("a/b?c"), None);
    assert_eq!(show(&call), "GET /api/v1/nodes/a%2Fb%3Fc");
}

#[test]
fn lists_say_what_they_select_and_how_fresh_it_must_be() {
    let options = ListOptions {
        namespace: "default".into(),
        labels: "app in (a,b)".into(),
        fields: "spec.nodeName=n".into(),
        limit: 5,
        revision: ReadAt::Exact(Revision(7)),
        ..ListOptions::default()
    };
    let expected = "GET /api/v1/namespaces/default/pods?labelSelector=app%20in%20%28a%2Cb%29&fieldSelector=spec.nodeName%3Dn&limit=5&resourceVersion=7&resourceVersionMatch=Exact";
    assert_eq!(show(&Call::list(&PODS, &options)), expected);
    let next = ListOptions { continue_token: "t".into(), revision: ReadAt::Any, ..ListOptions::default() };
    assert_eq!(show(&Call::list(&PODS, &next)), "GET /api/v1/pods?continue=t");
    let meta = ListOptions { metadata_only: true, ..ListOptions::default() };
    assert!(header(&Call::list(&PODS, &meta), "accept").contains("as=PartialObjectMetadataList;"));
}

#[test]
fn watches_say_where_they_begin_and_when_they_end() {
    let initial = WatchOptions { initial_events: true, ..WatchOptions::default() };
    let call = Call::watch(&PODS, &initial, Duration::from_secs(9));
    let expected = "GET /api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=9";
    assert_eq!(show(&call), expected);
    let after = WatchOptions { after: Some(Revision(7)), ..WatchOptions::default() };
    let call = Call::watch(&PODS, &after, Duration::from_secs(9));
    assert_eq!(show(&call), "GET /api/v1/pods?watch=true&resourceVersion=7&timeoutSeconds=9");
}

#[test]
fn timeouts_leave_room_for_the_last_bookmark() {
    let timeout = |bookmarks, timeout: Option<u64>| {
        let options =
            WatchOptions { bookmarks, timeout: timeout.map(Duration::from_millis), ..WatchOptions::default() };
        request::watch_timeout(&options, WATCH_TIMEOUT).as_secs()
    };
    assert_eq!(timeout(true, Some(0)), 3);
    assert_eq!(timeout(false, Some(1500)), 2);
    assert_eq!(timeout(true, None), 290);
}

#[test]
fn writes_carry_their_options() {
    let web = Key::new("default", "web");
    let options = WriteOptions { field_manager: "me".into(), dry_run: true, force: true, ..WriteOptions::default() };
    let call = Call::patch(&PODS, &web, Some("status"), Patch::Apply(json!({})), &options);
    let expected = "PATCH /api/v1/namespaces/default/pods/web/status?fieldManager=me&dryRun=All&fieldValidation=Warn&force=true {}";
    assert_eq!(show(&call), expected);
    assert_eq!(header(&call, "content-type"), "application/apply-patch+yaml");
    let call = Call::create(&PODS, &web, None, json!({}), &WriteOptions::default());
    assert_eq!(show(&call), "POST /api/v1/namespaces/default/pods?fieldValidation=Warn {}");
    let options = DeleteOptions {
        uid: Some("u".into()),
        revision: Some(Revision(7)),
        propagation: Some(Propagation::Foreground),
        grace_period_seconds: Some(0),
        dry_run: false,
    };
    let body = Call::delete(&PODS, &web, &options).body.unwrap();
    assert_eq!(body["preconditions"], json!({"uid": "u", "resourceVersion": "7"}));
    assert_eq!((&body["propagationPolicy"], &body["gracePeriodSeconds"]), (&json!("Foreground"), &json!(0)));
}

#[test]
fn the_items_of_a_list_learn_what_they_are() {
    let list = br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9","continue":"c","remainingItemCount":2},
        "items":[{"metadata":{"name":"a","resourceVersion":"3"}},{"kind":"Odd","metadata":{"name":"b"}},{}]}"#;
    let page = answer::page(list).unwrap();
    assert_eq!((page.revision, page.continue_token.as_str(), page.remaining), (Revision(9), "c", Some(2)));
    let kinds: Vec<Value> = page.items.iter().map(|o| o.parse::<Value>().unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["Pod", "Odd", "Pod"]);
    assert_eq!(page.items[0].revision, Revision(3));
    assert!(answer::page(br#"{"items":null}"#).unwrap().items.is_empty());
    assert!(answer::page(b"<html>").is_err());
}

#[test]
fn the_lines_of_a_watch_become_events() {
    let event = |line: &'static str| answer::event(&Bytes::from_static(line.as_bytes()));
    let added = event(r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"3"}}}"#);
    assert!(matches!(added, Ok(WatchEvent::Added(object)) if object.revision == Revision(3)));
    let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
    assert!(matches!(event(end), Ok(WatchEvent::Bookmark { revision: Revision(7), initial_events_end: true })));
    let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
    assert!(event(gone).unwrap_err().is_expired());
    assert!(event(r#"{"type":"ODD","object":{}}"#).is_err());
    assert!(event("{").is_err());
}

#[test]
fn a_refusal_of_a_proxy_is_told_by_its_code() {
    assert_eq!(answer::refusal(502, b"<html>bad gateway</html>").reason(), Reason::ServiceUnavailable);
    assert_eq!(answer::refusal(404, b"").code(), 404);
    let status = br#"{"kind":"Status","reason":"AlreadyExists","code":409,"message":"m"}"#;
    assert!(answer::refusal(409, status).is_already_exists());
}

#[test]
fn a_deletion_that_is_only_a_status_still_names_the_object() {
    let status = br#"{"kind":"Status","status":"Success","details":{"name":"a","uid":"u1"}}"#;
    let deleted = answer::deleted(&Key::new("n", "a"), Bytes::from_static(status)).unwrap();
    assert_eq!((deleted.key.to_string().as_str(), &*deleted.meta.uid), ("n/a", "u1"));
}

/// A server that answers each request with the next of its answers and notes what it was asked.
fn server(answers: Vec<(u16, &'static str)>) -> (RemoteClient, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    let noted = asked.clone();
    let service = tower_service_fn(move |request: Request<Body>| {
        noted.lock().push(format!("{} {}", request.method(), request.uri().path()));
        let (code, body) = answers.lock().next().unwrap_or((500, ""));
        Response::builder().status(code).body(Body::from(body.as_bytes().to_vec())).unwrap()
    });
    (RemoteClient::new(kube::Client::new(service, "default")), asked)
}

fn tower_service_fn(
    answer: impl Fn(Request<Body>) -> Response<Body> + Clone + Send + 'static,
) -> impl tower::Service<
    Request<Body>,
    Response = Response<Body>,
    Error = std::convert::Infallible,
    Future = impl Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send,
> + Clone
+ Send {
    tower::service_fn(move |request| std::future::ready(Ok(answer(request))))
}

#[tokio::test]
async fn typed_calls_work_over_http() {
    let map = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"n","resourceVersion":"5"},"data":{"k":"v"}}"#;
    let (client, asked) = server(vec![(200, map), (404, r#"{"kind":"Status","code":404,"reason":"NotFound"}"#)]);
    let read = client.read::<ConfigMap>(&Key::new("n", "a")).await.unwrap();
    assert_eq!(read.data.as_ref().unwrap()["k"], "v");
    assert!(client.find::<ConfigMap>(&Key::new("n", "b")).await.unwrap().is_none());
    assert_eq!(*asked.lock(), ["GET /api/v1/namespaces/n/configmaps/a", "GET /api/v1/namespaces/n/configmaps/b"]);
}

#[tokio::test(start_paused = true)]
async fn an_informer_over_http_reads_lists_and_watches() {
    let watch = concat!(
        r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"3"}}}"#,
        "\n",
        r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"4","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
        "\n",
        r#"{"type":"ADDED","object":{"metadata":{"name":"b","resourceVersion":"5"}}}"#,
        "\n"
    );
    let (client, _) = server(vec![(503, ""), (200, watch)]);
    let pods = Informers::new(Arc::new(client), Ambient::seeded(1)).get(&PODS);
    pods.synced().await;
    pods.caught_up(Revision(5)).await;
    assert_eq!(pods.list("").len(), 2);
}
