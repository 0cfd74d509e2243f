//! Can I have just the API server, in a product that is no cluster? A recipe box: recipes are a kind of its own, with a schema,
//! rules, defaults, watches, server-side apply and history-free storage in one directory. No controllers, no nodes, no
//! socket; `orch-apiserver` and `orch-store` are all it needs, and kube-rs is its client library.
//!
//! `cargo run -p examples --example api_server_alone`, `cargo test -p examples --example api_server_alone`

use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client, CustomResource, CustomResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::{
        WatchStreamExt,
        wait::{await_condition, conditions},
        watcher,
    },
};
use orch::{
    apiserver::ApiServer,
    store::{Ambient, Backend, backend::MemoryBackend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{error::Error, sync::Arc};

#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "kitchen.example.com", version = "v1", kind = "Recipe", shortname = "rc")]
struct RecipeSpec {
    title: String,
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    servings: u32,
    #[serde(default)]
    steps: Vec<String>,
}

fn two() -> u32 {
    2
}

/// The product's API: in memory here; `EmbeddedBackend::open(directory, …)` in its place keeps everything on disk.
async fn kitchen(store: Arc<dyn Backend>, ambient: &Ambient) -> Result<(ApiServer, Client), Box<dyn Error>> {
    let server = ApiServer::builder(ambient.clone(), store).build().await?;
    let client = Client::new(server.service(), "default");
    let definitions = Api::all(client.clone());
    let apply = PatchParams::apply("kitchen").force();
    definitions.patch(Recipe::crd_name(), &apply, &Patch::Apply(Recipe::crd())).await?;
    await_condition(definitions, Recipe::crd_name(), conditions::is_crd_established()).await?;
    Ok((server, client))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ambient = Ambient::system();
    let (server, client) = kitchen(Arc::new(MemoryBackend::new()), &ambient).await?;
    let recipes: Api<Recipe> = Api::all(client);
    let mut changes = watcher(recipes.clone(), watcher::Config::default()).applied_objects().boxed();

    let soup = Recipe::new("soup", RecipeSpec { title: "Soup".into(), servings: 4, steps: vec!["boil".into()] });
    recipes.create(&PostParams::default(), &soup).await?;
    let seen = changes.try_next().await?.ok_or("a watch goes on")?;
    println!("{} for {}: {}", seen.spec.title, seen.spec.servings, seen.spec.steps.join(", "));

    // What the schema does not allow is refused, in the words of Kubernetes.
    let refused = recipes.patch("soup", &PatchParams::default(), &Patch::Merge(json!({"spec": {"servings": 0}}))).await;
    println!("{}", refused.err().ok_or("nobody can be served")?);

    // The same over HTTPS, for `kubectl get recipes`: `server.serve(listener, tls)`.
    println!(
        "{} recipe(s), and {} is ready",
        recipes.list(&ListParams::default()).await?.items.len(),
        server.is_ready()
    );
    drop(changes);
    ambient.tasks.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_recipe_box_needs_nothing_but_the_api_server() {
    let ambient = Ambient::system();
    let store: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let (_server, client) = kitchen(store.clone(), &ambient).await.unwrap();
    let recipes: Api<Recipe> = Api::all(client);
    let toast = json!({"apiVersion": "kitchen.example.com/v1", "kind": "Recipe", "metadata": {"name": "toast"},
        "spec": {"title": "Toast", "author": "unknown to the schema"}});
    let strict = PatchParams::apply("cook").validation_strict();
    let refused = recipes.patch("toast", &strict, &Patch::Apply(&toast)).await.unwrap_err().to_string();
    assert!(refused.contains("author"), "{refused}");
    let toast = json!({"apiVersion": "kitchen.example.com/v1", "kind": "Recipe", "metadata": {"name": "toast"},
        "spec": {"title": "Toast"}});
    let made = recipes.patch("toast", &PatchParams::apply("cook"), &Patch::Apply(&toast)).await.unwrap();
    assert_eq!((made.spec.servings, made.metadata.generation), (2, Some(1)), "defaults are filled in");
    ambient.tasks.stop().await;

    // The product is started again over what was stored.
    let ambient = Ambient::system();
    let (_server, client) = kitchen(store, &ambient).await.unwrap();
    let found = Api::<Recipe>::all(client).get("toast").await.unwrap();
    assert_eq!(found.metadata.uid, made.metadata.uid);
    ambient.tasks.stop().await;
}
