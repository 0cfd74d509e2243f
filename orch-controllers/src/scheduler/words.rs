//! What the scheduler says of a pod that fits nowhere (`framework/types.go`, `FitError`).

use std::collections::BTreeMap;

/// Longer messages are cut in events (`NoteLengthLimit`), in bytes.
const LONGEST_NOTE: usize = 1024;
const CUT: &str = " ...";

/// `0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.`: each reason is counted.
pub(super) fn unavailable<'a>(nodes: usize, reasons: impl IntoIterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut counted: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    counted.sort();
    match counted.is_empty() {
        true => headline(nodes),
        false => format!("{} {}.", headline(nodes), counted.join(", ")),
    }
}

/// `0/3 nodes are available:`
pub(super) fn headline(nodes: usize) -> String {
    format!("0/{nodes} nodes are available:")
}

/// A message that fits into an event.
pub(super) fn note(message: &str) -> String {
    if message.len() <= LONGEST_NOTE {
        return message.to_owned();
    }
    let end = (0..=LONGEST_NOTE - CUT.len()).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{CUT}", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted_as_text() {
        let reasons = ["Insufficient cpu", "node(s) were unschedulable", "Insufficient cpu"];
        let words = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.";
        assert_eq!(unavailable(3, reasons), words);
        assert_eq!(unavailable(0, []), "0/0 nodes are available:");
    }

    #[test]
    fn a_long_message_is_cut_for_an_event_and_at_a_whole_character() {
        assert_eq!(note("short"), "short");
        let cut = note(&"ü".repeat(600));
        assert!(cut.len() <= LONGEST_NOTE && cut.ends_with("ü ..."), "{}", cut.len());
    }
}
