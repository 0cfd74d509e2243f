use crate::support::*;
use http::Request;
use http_body_util::Full;

const V2: &str = "/openapi/v2";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

#[tokio::test]
async fn v2_comes_in_the_form_that_the_client_likes_best() {
    let server = Server::start().await;
    for (accept, expected) in [
        ("*/*", Ok("application/json")),
        ("application/json", Ok("application/json")),
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", Ok(PROTOBUF)),
        ("application/json;q=0.1, application/com.github.proto-openapi.spec.v2.v1.0+protobuf", Ok(PROTOBUF)),
        ("text/html, application/json;q=0.5", Ok("application/json")),
        ("text/html", Err(406)),
    ] {
        let answer = server.get_as(V2, accept).await;
        let kind = answer.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        match expected {
            Ok(expected) => assert_eq!((answer.code.as_u16(), kind), (200, expected), "{accept}"),
            Err(code) => assert_eq!(answer.code.as_u16(), code, "{accept}"),
        }
    }
}

#[tokio::test]
async fn who_has_the_document_is_not_sent_it_again() {
    let server = Server::start().await;
    let answer = server.get(V2).await;
    let tag = answer.headers["etag"].clone();
    assert_eq!(answer.json()["swagger"], "2.0");
    let request = Request::builder().uri(V2).header("if-none-match", tag.clone()).body(Full::default()).unwrap();
    let again = server.send(request).await;
    assert_eq!((again.code.as_u16(), again.text.as_str(), &again.headers["etag"]), (304, "", &tag));
}

#[tokio::test]
async fn v2_has_every_kind_that_is_served() {
    let server = Server::start().await;
    let document = server.get(V2).await.json();
    for kind in server.get("/apis/apps/v1").await.json()["resources"].as_array().unwrap() {
        let name = kind["name"].as_str().unwrap();
        let found = document["paths"].as_object().unwrap().keys().any(|path| {
            let path = path.replace("/{name}", "");
            path.starts_with("/apis/apps/v1/") && path.ends_with(&format!("/{name}"))
        });
        assert!(found, "{name}");
    }
}
