//! Which events are written, and how: repeated ones count up, similar ones are combined, and a source
//! that says too much about one object is silenced (`client-go/tools/record/events_cache.go`).

use super::event_key;
use crate::plan::{EventKind, Notice};
use jiff::{SignedDuration, Timestamp};
use orch_api::Key;
use std::collections::{HashMap, HashSet};

/// More distinct messages than this, within [`WINDOW`], become one combined event.
const SIMILAR_MAX: usize = 10;
/// How long similar events are counted together.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// How many events a source may write about one object at once.
const SPAM_BURST: f64 = 25.0;
/// After that, one event per this many seconds.
const SPAM_SECONDS: f64 = 300.0;
/// How many things are remembered before the oldest are forgotten.
const MEMORY: usize = 4096;

/// What to do about a notice.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Write a new event with this name and message.
    New {
        /// Where.
        key: Key,
        /// The message, perhaps a combined one.
        message: String,
    },
    /// Count an event up.
    Again {
        /// Which.
        key: Key,
        /// The message, perhaps a combined one.
        message: String,
        /// How often it happened.
        count: i32,
        /// When it happened first.
        first: Timestamp,
    },
    /// Say nothing.
    Drop,
}

/// The memory of a recorder.
#[derive(Debug, Default)]
pub struct Correlator {
    seen: HashMap<Said, Entry>,
    similar: HashMap<Similar, (Timestamp, HashSet<String>)>,
    tokens: HashMap<String, (Timestamp, f64)>,
    /// How many things of each sort are too many.
    too_many: [usize; 3],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Similar {
    uid: String,
    object: String,
    kind: EventKind,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Said(Similar, String);

#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    count: i32,
    first: Timestamp,
    last: Timestamp,
}

impl Correlator {
    /// Decides about a notice.
    pub fn correlate(&mut self, notice: &Notice, now: Timestamp) -> Record {
        self.forget(now);
        let regarding = &notice.regarding;
        let similar = Similar {
            uid: regarding.uid.clone().unwrap_or_default(),
            object: format!(
                "{}/{}/{}",
                regarding.kind.as_deref().unwrap_or_default(),
                regarding.namespace.as_deref().unwrap_or_default(),
                regarding.name.as_deref().unwrap_or_default()
            ),
            kind: notice.kind,
            reason: notice.reason.clone(),
        };
        let combined = self.count_similar(&similar, &notice.message, now);
        let message = match combined {
            true => format!("(combined from similar events): {}", notice.message),
            false => notice.message.clone(),
        };
        if !self.may_speak(&similar.object, now) {
            return Record::Drop;
        }
        let said = Said(similar, if combined { String::new() } else { notice.message.clone() });
        match self.seen.get_mut(&said) {
            Some(entry) => {
                (entry.count, entry.last) = (entry.count.saturating_add(1), now);
                Record::Again { key: entry.key.clone(), message, count: entry.count, first: entry.first }
            }
            None => {
                let name = format!("{}.{:x}", regarding.name.as_deref().unwrap_or_default(), unique(now, &said));
                let key = event_key(regarding.namespace.as_deref(), name);
                self.seen.insert(said, Entry { key: key.clone(), count: 1, first: now, last: now });
                Record::New { key, message }
            }
        }
    }

    fn count_similar(&mut self, similar: &Similar, message: &str, now: Timestamp) -> bool {
        let (last, messages) = self.similar.entry(similar.clone()).or_insert_with(|| (now, HashSet::new()));
        if now.duration_since(*last) > WINDOW {
            messages.clear();
        }
        *last = now;
        // No more than are needed to tell: somebody may say something else each time.
        if messages.len() < SIMILAR_MAX {
            messages.insert(message.to_owned());
        }
        messages.len() >= SIMILAR_MAX
    }

    fn may_speak(&mut self, object: &str, now: Timestamp) -> bool {
        let (last, tokens) = self.tokens.entry(object.to_owned()).or_insert((now, SPAM_BURST));
        *tokens = (*tokens + now.duration_since(*last).as_secs_f64() / SPAM_SECONDS).min(SPAM_BURST);
        *last = now;
        let may = *tokens >= 1.0;
        if may {
            *tokens -= 1.0;
        }
        may
    }

    /// Forgets what is old. What is looked through in vain is looked through again only when there is twice as much, so
    /// that many events at once do not cost the square of their number.
    fn forget(&mut self, now: Timestamp) {
        let recent = |at: &Timestamp| now.duration_since(*at) <= WINDOW;
        let [seen, similar, tokens] = &mut self.too_many;
        prune(&mut self.seen, seen, |entry| recent(&entry.last));
        prune(&mut self.similar, similar, |(last, _)| recent(last));
        prune(&mut self.tokens, tokens, |(last, _)| recent(last));
        if self.seen.len() > 2 * MEMORY {
            self.seen.clear();
        }
    }
}

fn prune<K, V>(map: &mut HashMap<K, V>, too_many: &mut usize, keep: impl Fn(&V) -> bool) {
    if map.len() > MEMORY.max(*too_many) {
        map.retain(|_, value| keep(value));
        *too_many = 2 * map.len();
    }
}

/// The hexadecimal part of an event's name: the time in nanoseconds, told apart by what was said.
fn unique(now: Timestamp, said: &Said) -> i128 {
    let words = said.0.reason.bytes().chain(said.1.bytes());
    let salt = words.fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    now.as_nanosecond().saturating_add(i128::from(salt % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ObjectReference;

    fn notice(message: &str) -> Notice {
        let regarding = ObjectReference { name: Some("web".into()), ..ObjectReference::default() };
        Notice { regarding, kind: EventKind::Normal, reason: "Scaled".into(), message: message.into() }
    }

    #[test]
    fn the_same_event_counts_up() {
        let mut c = Correlator::default();
        assert!(matches!(c.correlate(&notice("a"), Timestamp::UNIX_EPOCH), Record::New { .. }));
        assert!(matches!(c.correlate(&notice("a"), Timestamp::UNIX_EPOCH), Record::Again { count: 2, .. }));
        assert!(matches!(c.correlate(&notice("b"), Timestamp::UNIX_EPOCH), Record::New { .. }));
    }

    #[test]
    fn many_similar_events_are_combined() {
        let mut c = Correlator::default();
        let records: Vec<Record> =
            (0..12).map(|n| c.correlate(&notice(&n.to_string()), Timestamp::UNIX_EPOCH)).collect();
        assert!(matches!(&records[8], Record::New { message, .. } if message == "8"));
        assert!(matches!(&records[9], Record::New { message, .. } if message.starts_with("(combined")));
        assert!(matches!(&records[11], Record::Again { count: 3, .. }));
    }

    #[test]
    fn a_source_that_says_too_much_is_silenced() {
        let mut c = Correlator::default();
        let spoken = (0..40).filter(|_| c.correlate(&notice("a"), Timestamp::UNIX_EPOCH) != Record::Drop).count();
        assert_eq!(spoken, 25);
    }
}
