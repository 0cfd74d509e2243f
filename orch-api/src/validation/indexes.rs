//! Lists of completion indexes, `0,2-4`, as they must be written (`validateIndexesFormat` of `pkg/apis/batch/validation`).

/// First and last of each interval. The error says what is wrong, in kube-apiserver's words.
pub(super) fn read(text: &str, completions: i64) -> Result<Vec<(i64, i64)>, String> {
    let mut intervals: Vec<(i64, i64)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = interval(part, completions)?;
        if let Some((_, before)) = intervals.last().filter(|(_, before)| *before >= first) {
            return Err(format!("non-increasing order, previous: {before}, current: {first}"));
        }
        intervals.push((first, last));
    }
    Ok(intervals)
}

/// One interval: an index, or two with a hyphen between them.
pub(super) fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let limits: Vec<&str> = text.split('-').collect();
    let index = |text: &str| -> Result<i64, String> {
        let index = text.parse().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        if index >= completions { Err(format!("too large index: {text:?}")) } else { Ok(index) }
    };
    match limits[..] {
        [one] => index(one).map(|one| (one, one)),
        [first, last] => {
            let (first, last) = (index(first)?, index(last)?);
            if first >= last {
                return Err(format!("non-increasing order, previous: {first}, current: {last}"));
            }
            Ok((first, last))
        }
        _ => Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at most two parts separated by '-'"
        )),
    }
}

/// The first index that both lists have; what is no interval is passed over.
pub(super) fn overlap(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let read = |text: &str| -> Vec<(i64, i64)> {
        text.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (completed, failed) = (read(completed), read(failed));
    let (mut left, mut right) = (0, 0);
    while let (Some((a, b)), Some((c, d))) = (completed.get(left), failed.get(right)) {
        if a <= d && c <= b {
            return Some(*a.max(c));
        }
        if a <= c { left += 1 } else { right += 1 }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_listed_in_order_and_below_the_completions() {
        assert_eq!(read("", 3), Ok(vec![]));
        assert_eq!(read("0,2-4,7", 8), Ok(vec![(0, 0), (2, 4), (7, 7)]));
        for (text, complaint) in [
            ("3,2", "non-increasing order, previous: 3, current: 2"),
            ("2-2", "non-increasing order, previous: 2, current: 2"),
            ("8", "too large index: \"8\""),
            ("1-9", "too large index: \"9\""),
            ("1,,2", "cannot convert string to integer for index: \"\""),
            (
                "1-2-3",
                "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
            ),
        ] {
            assert_eq!(read(text, 8), Err(complaint.to_owned()));
        }
        assert_eq!(overlap("0,2-4", "1,3", 8), Some(3));
        assert_eq!(overlap("0,2-4", "1,5-7", 8), None);
    }
}
