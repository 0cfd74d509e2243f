//! Pods get the number behind the name of their priority class (`plugin/pkg/admission/priority`).

use super::{Operation, PRIORITY_CLASSES, Plugin, Review, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::{Key, StatusError};
use orch_store::Stored;
use serde::Deserialize;
use serde_json::Value;

/// The plugin `Priority`.
pub struct Priority;

/// What a class gives to a pod.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Class {
    #[serde(skip)]
    name: String,
    value: i64,
    preemption_policy: String,
    global_default: bool,
}

impl Default for Class {
    fn default() -> Self {
        let preemption_policy = "PreemptLowerPriority".into();
        Self { name: String::new(), value: 0, preemption_policy, global_default: false }
    }
}

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        (review.is("", "pods") || review.is("scheduling.k8s.io", "priorityclasses"))
            && review.operation != Operation::Delete
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, pod: &mut Value) -> Result<bool, StatusError> {
        match (review.is("", "pods"), review.operation, review.old) {
            (true, Operation::Update, Some(old)) => Ok(keep(old, pod)),
            (true, Operation::Create, _) => {
                let class = class_of(view, review, pod).await?;
                assign(review, pod, class)
            }
            _ => Ok(false),
        }
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, class: &Value) -> Result<(), StatusError> {
        let is_default = class.get("globalDefault").and_then(Value::as_bool).unwrap_or(false);
        if review.is("", "pods") || !is_default {
            return Ok(());
        }
        for other in view.all(&PRIORITY_CLASSES, "").await? {
            let other: Value = other.parse()?;
            let name = json::meta(&other, "name");
            if other.get("globalDefault").and_then(Value::as_bool) == Some(true) && name != &*review.key.name {
                let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
                return Err(review.forbidden(class, why));
            }
        }
        Ok(())
    }
}

/// An update that leaves the priority out keeps it.
fn keep(old: &Value, pod: &mut Value) -> bool {
    let mut changed = false;
    for field in ["priority", "preemptionPolicy"] {
        if let (None, Some(value)) = (json::at(pod, &["spec", field]), json::at(old, &["spec", field])) {
            json::set(pod, &["spec", field], value.clone());
            changed = true;
        }
    }
    changed
}

async fn class_of(view: &View<'_>, review: &Review<'_>, pod: &Value) -> Result<Class, StatusError> {
    let name = json::text(pod, &["spec", "priorityClassName"]);
    if name.is_empty() {
        return default_class(view).await;
    }
    match view.find(&PRIORITY_CLASSES, &Key::cluster(name)).await? {
        Some(found) => read(&found),
        None => Err(review.forbidden(pod, format!("no PriorityClass with name {name} was found"))),
    }
}

/// The global default with the smallest value, or priority zero.
async fn default_class(view: &View<'_>) -> Result<Class, StatusError> {
    let mut best: Option<Class> = None;
    for class in view.known(&PRIORITY_CLASSES, "").await? {
        if class.parsed::<Class>()?.global_default {
            let class = read(&class)?;
            if best.as_ref().is_none_or(|b| class.value < b.value) {
                best = Some(class);
            }
        }
    }
    Ok(best.unwrap_or_default())
}

fn read(class: &Stored) -> Result<Class, StatusError> {
    Ok(Class { name: class.key.name.to_string(), ..(*class.parsed::<Class>()?).clone() })
}

fn assign(review: &Review<'_>, pod: &mut Value, class: Class) -> Result<bool, StatusError> {
    let computed = "priority admission controller computed";
    if let Some(own) = json::integer(pod, &["spec", "priority"]).filter(|own| *own != class.value) {
        let why = format!(
            "the integer value of priority ({own}) must not be provided in pod spec; {computed} {} from the given \
             PriorityClass name",
            class.value
        );
        return Err(review.forbidden(pod, why));
    }
    let own = json::text(pod, &["spec", "preemptionPolicy"]);
    if !own.is_empty() && own != class.preemption_policy {
        let why = format!(
            "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; {computed} {} from the \
             given PriorityClass name",
            class.preemption_policy
        );
        return Err(review.forbidden(pod, why));
    }
    if !class.name.is_empty() {
        json::set(pod, &["spec", "priorityClassName"], class.name);
    }
    json::set(pod, &["spec", "priority"], class.value);
    json::set(pod, &["spec", "preemptionPolicy"], class.preemption_policy);
    Ok(true)
}
