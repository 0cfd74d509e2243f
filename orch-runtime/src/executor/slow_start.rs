//! Slow-start batches: 1, 2, 4, … so that a refusal that will meet all creates (a quota, a bad template)
//! is met once and not five hundred times (`slowStartBatch` of `pkg/controller/replicaset`).

use futures::future::BoxFuture;

/// The most creates that one plan of a workload controller asks for.
pub const BURST: usize = 500;

/// Performs the items in batches that double in size; after a batch with a refusal the rest is skipped.
pub async fn slow_start<'a, T, R, E>(
    items: &'a [T],
    perform: impl Fn(&'a T) -> BoxFuture<'a, Result<R, E>>,
) -> Vec<(&'a T, Result<R, E>)> {
    let mut outcomes = Vec::with_capacity(items.len());
    let (mut rest, mut size) = (items, 1);
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        let requests: Vec<_> = batch.iter().map(&perform).collect();
        let results = futures::future::join_all(requests).await;
        let refused = results.iter().any(Result::is_err);
        outcomes.extend(batch.iter().zip(results));
        if refused {
            break;
        }
        (rest, size) = (later, size * 2);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_refusal_that_meets_all_is_met_once() {
        let asked = Cell::new(0);
        let items = vec![(); 100];
        let outcomes = slow_start(&items, |()| {
            asked.set(asked.get() + 1);
            async { Err::<(), ()>(()) }.boxed()
        })
        .await;
        assert_eq!((asked.get(), outcomes.len()), (1, 1));
    }

    #[tokio::test]
    async fn batches_double_while_all_goes_well() {
        let items: Vec<u32> = (0..10).collect();
        let outcomes = slow_start(&items, |n| async move { if *n == 4 { Err(()) } else { Ok(()) } }.boxed()).await;
        // 1 + 2 + 4: the batch with the refusal is the third.
        assert_eq!(outcomes.len(), 7);
    }
}
