//! How do I use the API server for kinds of my own, in a desktop program or a device? This one has no nodes and no
//! controllers: objects of a kind that is a Rust type, validated, watched, kept in memory or in a directory.
//! `cargo run -p examples --example custom_kinds`

use futures::StreamExt;
use kube::{CustomResource, KubeSchema};
use orch::{
    Cluster,
    api::{Key, Object},
    store::{
        ClientExt,
        client::{WatchEvent, WatchOptions},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a lamp should do.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[kube(group = "home.example.com", version = "v1", kind = "Lamp", namespaced, status = "LampStatus")]
#[kube(printcolumn = r#"{"name": "Brightness", "type": "integer", "jsonPath": ".spec.brightness"}"#)]
struct LampSpec {
    /// Percent.
    #[x_kube(validation = "self >= 0 && self <= 100")]
    brightness: i32,
    room: String,
}

/// What it does.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct LampStatus {
    lit: bool,
}

fn lamp(name: &str, brightness: i32) -> Lamp {
    let mut lamp = Lamp::new(name, LampSpec { brightness, room: "kitchen".into() });
    lamp.metadata.namespace = Some("default".into());
    lamp
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let home = Cluster::builder().without_controllers().build().await?;
    home.register::<Lamp>().await?;
    let client = home.client();

    let mut events = client.watch(&Lamp::gvr(), &WatchOptions::default()).await?;
    client.add(&lamp("sink", 40)).await?;
    if let Some(Ok(WatchEvent::Added(stored))) = events.next().await {
        let lamp: Arc<Lamp> = stored.decode()?;
        println!("{} is at {} %", stored.key.name, lamp.spec.brightness);
    }

    let refused = client.add(&lamp("sun", 1000)).await.err();
    println!("{}", refused.map(|status| status.to_string()).unwrap_or_default());

    let mut lit: Lamp = Lamp::clone(&*client.read(&Key::new("default", "sink")).await?);
    lit.status = Some(LampStatus { lit: true });
    client.replace_status(&lit).await?;
    println!("{} lamps", client.read_all::<Lamp>("default").await?.len());
    home.stop().await;
    Ok(())
}
