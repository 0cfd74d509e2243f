//! Images that nodes have already.

use orch_runtime::scheduler::{
    Cluster, Cycle, MAX_SCORE, NodeIndex, NodeInfo, Plugin, PodInfo, Points, PreScore, Score,
};
use std::sync::Arc;

const MEGABYTE: i64 = 1024 * 1024;
const LEAST: i64 = 23 * MEGABYTE;
const MOST_PER_CONTAINER: i64 = 1000 * MEGABYTE;

/// Prefers nodes that have the pod's images, scaled down for images that few nodes have.
pub struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_score(self.clone()).score(self, 1);
    }
}

impl PreScore for ImageLocality {
    /// When no node reports any of the images, all score the same.
    fn pre_score(&self, _: &mut Cycle, pod: &PodInfo, cluster: &Cluster, _: &[NodeIndex]) -> bool {
        pod.images.iter().any(|image| cluster.nodes_with_image(image) > 0)
    }
}

impl Score for ImageLocality {
    fn score(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo, cluster: &Cluster) -> i64 {
        let nodes = cluster.nodes().len().max(1) as f64;
        let scaled = |image: &Arc<str>| {
            let size = node.images.get(image)?;
            let spread = cluster.nodes_with_image(image) as f64 / nodes;
            Some((*size as f64 * spread) as i64)
        };
        let sum: i64 = pod.images.iter().filter_map(scaled).sum();
        let most = MOST_PER_CONTAINER * pod.images.len().max(1) as i64;
        MAX_SCORE * (sum.clamp(LEAST, most) - LEAST) / (most - LEAST)
    }
}
