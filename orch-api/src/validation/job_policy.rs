//! The success policy and the pod failure policy of a Job (`pkg/apis/batch/validation`).

use super::{at::At, indexes, names::qualified};

/// When a Job has succeeded before all of its indexes have.
pub(super) fn success(spec: At<'_>) {
    let policy = spec.at("successPolicy");
    if !policy.is_set() {
        return;
    }
    let rules = policy.at("rules");
    rules.require("at least one rules must be specified when the successPolicy is specified");
    if rules.len() > 20 {
        rules.too_many(20);
    }
    let all = spec.at("completions").int().unwrap_or_default();
    for rule in rules.items() {
        let (count, indexes) = (rule.at("succeededCount"), rule.at("succeededIndexes"));
        if !count.is_set() && !indexes.is_set() {
            rule.required("at least one of succeededCount or succeededIndexes must be specified");
        }
        if indexes.str().len() > MOST_INDEXES {
            indexes.too_long(MOST_INDEXES);
        }
        let listed = indexes::read(indexes.str(), all);
        if let Err(why) = &listed {
            indexes.invalid(format!("error parsing succeededIndexes: {why}"));
        }
        count.non_negative();
        if count.int().is_some_and(|n| n > all) {
            count.invalid(format!("must be less than or equal to {all} (the number of specified completions)"));
        }
        let listed = listed.map_or(0, |listed| listed.iter().map(|(first, last)| last - first + 1).sum());
        if indexes.is_set() && count.int().is_some_and(|n| n > listed) {
            let of = "the number of indexes in the specified succeededIndexes field";
            count.invalid(format!("must be less than or equal to {listed} ({of})"));
        }
    }
}

/// The most bytes of a list of indexes.
const MOST_INDEXES: usize = 64 * 1024;

/// What failures of which kind mean.
pub(super) fn failure(spec: At<'_>) {
    const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
    let rules = spec.at("podFailurePolicy").at("rules");
    if rules.len() > 20 {
        rules.too_many(20);
    }
    for rule in rules.items() {
        let action = rule.at("action");
        match action.str() {
            "" => action.required("valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"),
            "FailIndex" if !spec.at("backoffLimitPerIndex").is_set() => {
                action.invalid("requires the backoffLimitPerIndex to be set");
            }
            _ => action.one_of(&ACTIONS),
        }
        let (codes, conditions) = (rule.at("onExitCodes"), rule.at("onPodConditions"));
        if codes.is_set() {
            exit_codes(codes, spec.at("template").at("spec"));
        }
        if conditions.len() > 20 {
            conditions.too_many(20);
        }
        for pattern in conditions.items() {
            pattern.at("type").text(qualified);
            let status = pattern.at("status");
            if status.require("valid values: [\"False\" \"True\" \"Unknown\"]") {
                status.one_of(&["False", "True", "Unknown"]);
            }
        }
        match (codes.is_set(), !conditions.is_empty()) {
            (true, true) => rule.invalid_bare("specifying both OnExitCodes and OnPodConditions is not supported"),
            (false, false) => rule.invalid_bare("specifying one of OnExitCodes and OnPodConditions is required"),
            _ => {}
        }
    }
}

fn exit_codes<'a>(codes: At<'a>, pod: At<'a>) {
    let (operator, name, values) = (codes.at("operator"), codes.at("containerName"), codes.at("values"));
    if operator.require("valid values: [\"In\" \"NotIn\"]") {
        operator.one_of(&["In", "NotIn"]);
    }
    let lists = ["containers", "initContainers"].map(|list| pod.at(list));
    if name.is_set() && !lists.iter().flat_map(|l| l.items()).any(|c| c.at("name").str() == name.str()) {
        name.invalid("must be one of the container or initContainer names in the pod template");
    }
    if values.is_empty() {
        values.invalid("at least one value is required");
    } else if values.len() > 255 {
        values.too_many(255);
    }
    let mut seen: Vec<i64> = Vec::new();
    let mut is_ordered = true;
    for value in values.items() {
        let number = value.int().unwrap_or_default();
        if operator.str() == "In" && number == 0 {
            value.invalid("must not be 0 for the In operator");
        }
        if seen.contains(&number) {
            value.duplicate();
        }
        is_ordered &= seen.last().is_none_or(|last| *last <= number);
        seen.push(number);
    }
    if !is_ordered {
        values.invalid("must be ordered");
    }
}
