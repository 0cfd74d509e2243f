//! Following resources that come and go.

use super::Served;
use futures::{Stream, StreamExt};
use orch_api::Gvr;
use orch_store::{Informer, ambient::Tasks, informer::Delta};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a resource is followed on that is no longer wanted: the ends of its last objects may be on their way, and its
/// definition may come back.
const LINGER: Duration = Duration::from_secs(30);

/// Reasons to ask what is wanted that come together are one.
const CHUNK: usize = 1024;

/// Who follows resources of which it is known only while the loop runs which they are.
pub trait Follower: Send + Sync + 'static {
    /// Which resources to follow now.
    fn wanted(&self) -> Vec<Served>;
    /// Where their changes come from.
    fn informer(&self, resource: &Gvr) -> Informer;
    /// An object of one of them has changed; those that are there when it begins to be followed come first.
    fn changed(&self, served: &Served, delta: &Delta);
    /// The resource is followed no more, since it has not been wanted for a while.
    fn ended(&self, resource: &Gvr) {
        let _ = resource;
    }
}

struct Feed {
    tasks: Tasks,
    /// When it ends, if it is not wanted.
    ends: Option<Instant>,
}

/// Follows what is wanted, and asks again what that is whenever the stream says so, until that ends.
pub async fn follow<F: Follower>(follower: Arc<F>, asks: impl Stream<Item = ()> + Send, tasks: Tasks) {
    let mut asks = std::pin::pin!(asks.ready_chunks(CHUNK));
    let mut followed: BTreeMap<Gvr, Feed> = BTreeMap::new();
    loop {
        let (wanted, now) = (follower.wanted(), Instant::now());
        for (gvr, feed) in &mut followed {
            let is_wanted = wanted.iter().any(|served| served.gvr == *gvr);
            feed.ends = if is_wanted { None } else { feed.ends.or(Some(now + LINGER)) };
        }
        followed.retain(|gvr, feed| {
            let keep = feed.ends.is_none_or(|end| end > now);
            if !keep {
                feed.tasks.cancel();
                follower.ended(gvr);
            }
            keep
        });
        for served in wanted {
            followed.entry(served.gvr.clone()).or_insert_with(|| {
                let feed = tasks.child();
                feed.spawn(pass_on(follower.clone(), served));
                Feed { tasks: feed, ends: None }
            });
        }
        let end = followed.values().filter_map(|feed| feed.ends).min();
        tokio::select! {
            biased;
            asked = asks.next() => if asked.is_none() { return },
            () = tokio::time::sleep_until(end.unwrap_or(now)), if end.is_some() => {}
        }
    }
}

async fn pass_on<F: Follower>(follower: Arc<F>, served: Served) {
    let mut deltas = follower.informer(&served.gvr).subscribe();
    while let Some(delta) = deltas.recv().await {
        follower.changed(&served, &delta);
    }
}
