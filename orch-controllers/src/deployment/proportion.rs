//! Proportional scaling: a deployment that is scaled in the middle of a rollout keeps the ratio of its sets,
//! which mitigates the risk of a bad template.

/// A set as the arithmetic sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share {
    /// Which set; the answer comes in the same order.
    pub(super) index: usize,
    /// Its size.
    pub(super) size: i32,
    /// The most pods that the deployment could have when the set got its size (from its annotation, else
    /// from the deployment's status); zero if that is not known.
    pub(super) max_before: i32,
}

/// The new sizes of the sets, for a deployment of `wanted` replicas that may have `max` pods. The sets come
/// in the order in which they are served: the largest first.
pub(super) fn distribute(shares: &[Share], wanted: i32, max: i32) -> Vec<(usize, i32)> {
    let allowed = if wanted > 0 { max } else { 0 };
    let to_add = allowed - shares.iter().map(|s| s.size).sum::<i32>();
    let mut added = 0;
    let mut sizes: Vec<(usize, i32)> = Vec::with_capacity(shares.len());
    for share in shares {
        let part = proportion(share, wanted, max, to_add, added);
        added += part;
        sizes.push((share.index, share.size + part));
    }
    if let Some((_, largest)) = sizes.first_mut() {
        *largest = (*largest + to_add - added).max(0);
    }
    sizes
}

fn proportion(share: &Share, wanted: i32, max: i32, to_add: i32, added: i32) -> i32 {
    if share.size == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let (part, rest) = (fraction(share, wanted, max), to_add - added);
    if to_add > 0 { part.min(rest) } else { part.max(rest) }
}

fn fraction(share: &Share, wanted: i32, max: i32) -> i32 {
    if wanted == 0 {
        return -share.size;
    }
    if share.max_before == 0 {
        return 0;
    }
    rounded(i64::from(share.size) * i64::from(max), share.max_before.into()) - share.size
}

/// A quotient of two positive numbers, rounded half up.
fn rounded(dividend: i64, divisor: i64) -> i32 {
    i32::try_from((2 * dividend + divisor) / (2 * divisor)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sizes: &[i32], before: i32, wanted: i32, max: i32, expect: &[i32]) {
        let shares: Vec<Share> =
            sizes.iter().enumerate().map(|(index, size)| Share { index, size: *size, max_before: before }).collect();
        let actual: Vec<i32> = distribute(&shares, wanted, max).into_iter().map(|(_, size)| size).collect();
        assert_eq!(actual, expect);
    }

    #[test]
    fn ten_in_the_middle_of_a_rollout_become_fifteen_in_the_same_ratio() {
        // 10 replicas with surge 3: 8 old and 5 new pods; scaled to 15 (of at most 18).
        check(&[8, 5], 13, 15, 18, &[11, 7]);
    }

    #[test]
    fn scaling_down_keeps_the_ratio_too() {
        check(&[8, 5], 13, 5, 8, &[5, 3]);
    }

    #[test]
    fn scaling_to_zero_leaves_nothing() {
        check(&[8, 5], 13, 0, 3, &[0, 0]);
    }

    #[test]
    fn the_largest_set_takes_what_rounding_leaves() {
        check(&[5, 5, 5], 15, 16, 16, &[6, 5, 5]);
    }
}
