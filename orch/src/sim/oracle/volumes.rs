//! Volumes and the data on them.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, Verb, Write};

/// A volume goes from no claim straight to another one's, is not given up while its claim lives, and no claim is told that it has
/// lost a volume that is there. The loops ask the API itself before they do any of this, so no cache excuses it.
pub struct Volumes;

impl Oracle for Volumes {
    fn name(&self) -> &'static str {
        "volumes"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        match (&write.old, &write.new) {
            (Some(old), new) if old.kind == "PersistentVolume" => volume(old, new.as_deref(), write.verb, judge),
            (Some(old), Some(claim)) if claim.kind == "PersistentVolumeClaim" => {
                lost(claim, judge)?;
                if old.text(VOLUME) == claim.text(VOLUME) { Ok(()) } else { taken(claim, judge) }
            }
            _ => Ok(()),
        }
    }
}

const REFERENCE: &str = "/spec/claimRef/uid";
const VOLUME: &str = "/spec/volumeName";

/// A claim gets no volume that another one has.
fn taken(claim: &Seen, judge: &Judge<'_>) -> Result<(), String> {
    let name = claim.text(VOLUME);
    let mut others = judge.state.of_kind("PersistentVolumeClaim").filter(|other| other.uid != claim.uid);
    match others.find(|other| !name.is_empty() && other.text(VOLUME) == name) {
        Some(other) => Err(format!("{claim} gets the volume {name}, which {other} has")),
        None => Ok(()),
    }
}

fn volume(old: &Seen, new: Option<&Seen>, verb: Verb, judge: &Judge<'_>) -> Result<(), String> {
    let (before, after) = (old.text(REFERENCE), new.map_or("", |new| new.text(REFERENCE)));
    if !before.is_empty() && !after.is_empty() && before != after {
        return Err(format!("{old} was the volume of {before}, and is that of {after} now"));
    }
    let given_up = verb == Verb::Delete || new.is_some_and(|new| new.text("/status/phase") == "Released");
    let lives = |claim: &Seen| claim.text("/spec/volumeName") == old.name && !claim.is_deleting();
    match judge.state.by_uid(before).filter(|_| given_up && judge.state.exists(before)) {
        Some(claim) if lives(claim) => Err(format!("{old} is given up, and {claim} lives")),
        _ => Ok(()),
    }
}

fn lost(claim: &Seen, judge: &Judge<'_>) -> Result<(), String> {
    if claim.text("/status/phase") != "Lost" {
        return Ok(());
    }
    let name = claim.text("/spec/volumeName");
    let mut volumes = judge.state.all().filter(|seen| seen.kind == "PersistentVolume" && seen.name == name);
    match volumes.find(|volume| volume.text(REFERENCE) == &*claim.uid) {
        Some(volume) => Err(format!("{claim} is told that it is lost, and {volume} is there")),
        None => Ok(()),
    }
}
