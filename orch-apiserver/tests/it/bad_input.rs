use crate::support::*;
use http::Method;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn each_bad_request_is_refused_in_kubernetes_words() {
    let server = Server::start().await;
    let check = async |answer: Answer, expected: &str| assert_eq!(answer.status(), expected);
    check(server.get(&format!("{MAPS}/none")).await, "404 NotFound: configmaps \"none\" not found").await;
    check(
        server.call(Method::POST, MAPS, "application/json", "{\"a\":").await,
        "400 BadRequest: the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; \
         json parse error: unexpected end of JSON input ({\"a\":)",
    )
    .await;
    check(
        server.post("/api/v1/namespaces/none/configmaps", map("a")).await,
        "404 NotFound: namespaces \"none\" not found",
    )
    .await;
    let mut other = map("a");
    other["metadata"]["namespace"] = json!("kube-system");
    check(
        server.post(MAPS, other).await,
        "400 BadRequest: the namespace of the provided object does not match the namespace sent on the request",
    )
    .await;
    check(
        server.put(&format!("{MAPS}/b"), map("a")).await,
        "400 BadRequest: the name of the object (a) does not match the name on the URL (b)",
    )
    .await;
    check(server.put(&format!("{MAPS}/a"), map("a")).await, "404 NotFound: configmaps \"a\" not found").await;
    let mut wrong = map("a");
    wrong["data"] = json!({"key": 1});
    check(
        server.post(MAPS, wrong).await,
        "400 BadRequest: ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number \
         into Go struct field ConfigMap.data of type string",
    )
    .await;
    let mut version = map("a");
    version["apiVersion"] = json!("v2");
    check(
        server.post(MAPS, version).await,
        "400 BadRequest: the API version in the data (v2) does not match the expected API version (v1)",
    )
    .await;
    check(
        server.post(MAPS, json!({"metadata": {"name": "Bad_Name"}})).await,
        "422 Invalid: ConfigMap \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 \
         subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an \
         alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    )
    .await;
    check(
        server.get_as(MAPS, "text/html").await,
        "406 NotAcceptable: only the following media types are accepted: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf",
    )
    .await;
    check(
        server.call(Method::POST, MAPS, "application/xml", "<k8s/>").await,
        "415 UnsupportedMediaType: the body of the request was in an unknown format - accepted media types include: \
         application/json, application/yaml, application/vnd.kubernetes.protobuf",
    )
    .await;
    let huge = vec![b' '; (3 << 20) + 1];
    check(
        server.call(Method::POST, MAPS, "application/json", huge).await,
        "413 RequestEntityTooLarge: Request entity too large: limit is 3145728",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_refused_warned_of_or_dropped() {
    let server = Server::start().await;
    let mut object = map("a");
    object["unknown"] = json!(1);
    let strict = server.post(&format!("{MAPS}?fieldValidation=Strict"), object.clone()).await;
    assert_eq!(
        strict.status(),
        "400 BadRequest: ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown \
         field \"unknown\""
    );
    let warned = server.post(MAPS, object.clone()).await;
    assert_eq!(warned.warnings(), [r#"299 - "unknown field \"unknown\"""#]);
    assert_eq!(warned.ok().get("unknown"), None);
    object["metadata"]["name"] = json!("b");
    assert!(server.post(&format!("{MAPS}?fieldValidation=Ignore"), object).await.warnings().is_empty());
}

#[tokio::test(start_paused = true)]
async fn bad_options_of_lists_are_refused() {
    let server = Server::start().await;
    let check = async |query: &str, expected: &str| {
        assert_eq!(server.get(&format!("{MAPS}?{query}")).await.status(), expected, "{query}");
    };
    check(
        "resourceVersionMatch=Exact",
        "422 Invalid: ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is \
         forbidden unless resourceVersion is provided",
    )
    .await;
    check(
        "sendInitialEvents=true",
        "422 Invalid: ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is \
         forbidden for list",
    )
    .await;
    check(
        "continue=abc&resourceVersion=5",
        "400 BadRequest: specifying resource version is not allowed when using continue",
    )
    .await;
    let answer = server.get(&format!("{MAPS}?continue=!!")).await;
    assert_eq!(answer.code, 400);
    assert!(answer.status().contains("invalid continue token: continue key is not valid"), "{}", answer.text);
    let answer = server.get(&format!("{MAPS}?labelSelector=a%20b%20c")).await;
    assert_eq!(answer.code, 400, "{}", answer.text);
    let answer = server.get(&format!("{MAPS}?fieldSelector=spec.x%3D1")).await;
    assert_eq!(answer.code, 400, "{}", answer.text);
    let answer = server.get(&format!("{MAPS}?resourceVersion=999999&resourceVersionMatch=NotOlderThan")).await;
    assert!(answer.status().starts_with("504 Timeout: Timeout: Too large resource version: 999999, current: "));
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_methods_are_refused() {
    let server = Server::start().await;
    assert_eq!(server.get("/api/v1/namespaces/default/nothings").await.code, 404);
    assert_eq!(server.get("/apis/example.com/v1").await.code, 404);
    assert_eq!(server.get("/nothing").await.text, "404 page not found\n");
    assert_eq!(server.call(Method::PUT, MAPS, "application/json", "{}").await.code, 405);
    assert_eq!(server.get("/api/v1/namespaces/default/namespaces/default").await.code, 404);
    assert_eq!(server.get("/api/v1/namespaces/default/nodes/n").await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn deep_nesting_is_refused() {
    let server = Server::start().await;
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    assert_eq!(server.call(Method::POST, MAPS, "application/json", deep.clone()).await.code, 400);
    assert_eq!(server.call(Method::POST, MAPS, "application/yaml", deep).await.code, 400);
}
