use crate::node::Node;
use futures::FutureExt;
use orch_node::{
    conformance::{Fixture, run},
    image::TOOLBOX_IMAGE,
};
use orch_runtime::node::container::ContainerRuntime;
use std::sync::Arc;

pub(crate) async fn the_laws_of_container_runtimes_hold() {
    let node = Node::new().await;
    let dir = node.dir.clone();
    let again = dir.clone();
    let fixture = Fixture {
        runtime: Arc::new((*node).clone()),
        reopen: Box::new(move || {
            let dir = again.clone();
            async move { Arc::new((*Node::open(dir).await).clone()) as Arc<dyn ContainerRuntime> }.boxed()
        }),
        image: TOOLBOX_IMAGE.into(),
        command: crate::node::words,
        logs: node.logs(),
        real: true,
    };
    run(&fixture).await;
    node.clean().await;
}
