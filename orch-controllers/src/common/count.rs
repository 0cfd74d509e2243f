//! Numbers of a status.

/// How many there are.
pub fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A number of a status. A zero that the server does not write out (`omitempty`) is no change.
pub fn unless_still_absent(new: i32, old: Option<i32>) -> Option<i32> {
    if new == 0 { old.map(|_| 0) } else { Some(new) }
}
