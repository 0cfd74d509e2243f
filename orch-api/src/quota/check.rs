//! Whether quotas allow a write (`apiserver/pkg/admission/plugin/resourcequota/controller.go`, `CheckRequest`).

use super::{Amounts, Evaluator, matches};
use crate::access::{get, text};
use jiff::Timestamp;
use serde_json::Value;

/// A write that may use something.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whether an object is made; else one is changed.
    pub creates: bool,
    /// `status`, `resize`; empty for the object itself.
    pub subresource: &'a str,
    /// The object as it will be.
    pub new: &'a Value,
    /// The object as it is.
    pub old: Option<&'a Value>,
    /// When that is.
    pub now: Timestamp,
}

/// Why a write is refused, as it follows on `pods "web" is forbidden: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Charges a write to the quotas of its namespace. Gives back, for each quota whose usage changes, its index and the new
/// `status.used`.
pub fn check(evaluator: &Evaluator, quotas: &[Value], request: &Request<'_>) -> Result<Vec<(usize, Amounts)>, Refused> {
    let mut interested = Vec::new();
    for (index, quota) in quotas.iter().enumerate().filter(|(_, q)| matches(evaluator, q, request.new)) {
        check_constraints(evaluator, quota, request.new)?;
        interested.push(index);
    }
    let usage = evaluator.usage(request.new, request.now);
    let negative: Vec<&str> = usage.iter().filter(|(_, q)| q.is_negative()).map(|(name, _)| name).collect();
    if !negative.is_empty() {
        return Err(Refused(format!("quota usage is negative for resource(s): {}", negative.join(","))));
    }
    let grown = request.old.filter(|_| !request.creates).map(|old| usage.less(&evaluator.usage(old, request.now)));
    let mut charged = Vec::new();
    for index in interested {
        let Some(quota) = quotas.get(index) else { continue };
        // What the quota did not count before is new to it as a whole.
        let was_counted = request.old.is_some_and(|old| matches(evaluator, quota, old));
        let delta = grown.as_ref().filter(|_| was_counted).unwrap_or(&usage).clone().without_zeros();
        if delta.is_empty() {
            continue;
        }
        charged.push((index, charge(quota, &delta, request)?));
    }
    Ok(charged)
}

/// What the object must say, and what the quota must know, before anything can be charged.
fn check_constraints(evaluator: &Evaluator, quota: &Value, object: &Value) -> Result<(), Refused> {
    let (hard, used) = (Amounts::read(get(quota, "status.hard")), Amounts::read(get(quota, "status.used")));
    let restricted: Vec<&str> = hard.names().filter(|name| evaluator.counts(name)).collect();
    let name = text(quota, "metadata.name");
    if let Some(why) = evaluator.unstated(object, &restricted) {
        return Err(Refused(format!("failed quota: {name}: {why}")));
    }
    match restricted.iter().all(|name| used.get(name).is_some()) {
        true => Ok(()),
        false => Err(Refused(format!("status unknown for quota: {name}, resources: {}", restricted.join(",")))),
    }
}

fn charge(quota: &Value, delta: &Amounts, request: &Request<'_>) -> Result<Amounts, Refused> {
    let (hard, used) = (Amounts::read(get(quota, "status.hard")), Amounts::read(get(quota, "status.used")));
    let requested = delta.mask(hard.names());
    let mut new = used.clone();
    new.add(&requested);
    let asked = new.mask(requested.names());
    let exceeded = asked.exceeding(&hard);
    // A status says what is: refusing it changes nothing.
    if request.subresource != "status" && !exceeded.is_empty() {
        let part = |amounts: &Amounts| amounts.mask(exceeded.iter().copied());
        return Err(Refused(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            text(quota, "metadata.name"),
            part(&requested),
            part(&used),
            part(&hard)
        )));
    }
    Ok(new)
}
