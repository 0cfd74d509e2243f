//! `test/e2e/apimachinery/{chunking,table_conversion}.go`.

use super::*;
use orch::store::client::{ListOptions, Page};
use std::time::Duration;

const TEMPLATES: Gvr = Gvr::of("", "v1", "podtemplates");
const TOTAL: usize = 400;

async fn with_templates() -> World {
    let here = World::without_controllers().await;
    let templates = here.of(&TEMPLATES);
    for number in 0..TOTAL {
        let template = json!({"spec": {"containers": [{"name": "test", "image": "test2"}]}});
        templates.create(json!({"metadata": {"name": format!("template-{number:04}")}, "template": template})).await;
    }
    here
}

fn limit(limit: usize, token: &str) -> ListOptions {
    ListOptions { namespace: "default".into(), limit, continue_token: token.into(), ..ListOptions::default() }
}

/// A page that follows `found` templates, checked.
async fn page(here: &World, options: &ListOptions, found: usize) -> Page {
    let page = here.client().list(&TEMPLATES, options).await.unwrap();
    assert!(page.items.len() <= options.limit);
    match page.continue_token.is_empty() {
        true => assert_eq!(page.remaining, None),
        false => assert_eq!(page.remaining.unwrap() as usize + page.items.len() + found, TOTAL),
    }
    for (number, item) in page.items.iter().enumerate() {
        assert_eq!(*item.key.name, format!("template-{:04}", found + number));
    }
    page
}

/// Reads the pages that follow `found` templates, all at one revision.
async fn rest(here: &World, size: usize, mut token: String, mut found: usize, mut at: Option<u64>) {
    while found < TOTAL {
        let page = page(here, &limit(size, &token), found).await;
        assert_eq!(*at.get_or_insert(page.revision.0), page.revision.0);
        found += page.items.len();
        token = page.continue_token;
        assert_eq!(token.is_empty(), found == TOTAL);
    }
}

/// [sig-api-machinery] Servers with support for API chunking should return chunks of results for list calls [Conformance]
#[tokio::test(start_paused = true)]
async fn a_list_is_read_page_by_page() {
    let here = with_templates().await;
    for _ in 0..3 {
        rest(&here, 17, String::new(), 0, None).await;
    }
    assert_eq!(page(&here, &limit(TOTAL + 1, ""), 0).await.items.len(), TOTAL);
}

/// [sig-api-machinery] Servers with support for API chunking should support continue listing from the last key if the original version has been compacted away, though the list is inconsistent [Conformance] [Slow]
#[tokio::test(start_paused = true)]
async fn a_list_goes_on_after_a_compaction() {
    let here = with_templates().await;
    let first = page(&here, &limit(TOTAL / 10, ""), 0).await;
    let begun = tokio::time::Instant::now();
    let stale = limit(TOTAL / 10, &first.continue_token);
    let error = loop {
        // Every cluster has writes, without which no revision is past.
        here.of(&TEMPLATES).merge("template-0399", json!({"metadata": {"annotations": {"touched": "yes"}}})).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        match here.client().list(&TEMPLATES, &stale).await {
            Ok(_) => assert!(begun.elapsed() < Duration::from_secs(600), "the token has not expired"),
            Err(error) => break error,
        }
    };
    assert!(error.is_expired(), "{error}");
    let token = error.continue_token().expect("where to go on").to_owned();
    let second = page(&here, &limit(TOTAL / 10, &token), TOTAL / 10).await;
    assert_ne!(second.revision, first.revision);
    assert_eq!(second.items.len(), TOTAL / 10);
    rest(&here, TOTAL / 10, second.continue_token, 2 * TOTAL / 10, Some(second.revision.0)).await;
}

/// [sig-api-machinery] Servers with support for Table transformation should return a 406 for a backend which does not implement metadata [Conformance]
#[tokio::test(start_paused = true)]
async fn what_has_no_metadata_is_no_table() {
    let here = World::without_controllers().await;
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}});
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .header("content-type", "application/json");
    let body = http_body_util::Full::new(review.to_string().into());
    let answer = here.send(request.body(body).unwrap()).await;
    assert_eq!(answer.code, 406);
    assert_eq!(answer.json()["code"], 406);
}
