//! [`Input`]: what the variables of expressions are for one write.

use super::authorizer::OnBehalf;
use crate::{
    admission::{NAMESPACES, Review, View},
    core::json,
    sub::user_info,
};
use orch_api::{
    Key, Kind, StatusError,
    cel::{Authorize, Bindings, Check, Question, Value as Cel},
    review::{GroupVersionKind, GroupVersionResource},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What the variables of expressions are for one write.
pub(in crate::admission) struct Input {
    pub(in crate::admission) object: Value,
    old: Value,
    request: Value,
    namespace: Value,
    params: Value,
    authorizer: Arc<dyn Authorize>,
    resource: Question,
}

impl Input {
    /// The write with its object as one of `kind`.
    pub(in crate::admission) fn new(
        view: &View<'_>,
        review: &Review<'_>,
        kind: &Kind,
        object: Value,
        old: Value,
    ) -> Self {
        let authorizer = OnBehalf { authorizer: view.core.authorizer.clone(), user: review.call.user.clone() };
        let resource = Question {
            group: review.call.kind.group.to_string(),
            resource: review.call.kind.plural.to_string(),
            subresource: review.subresource().to_owned(),
            namespace: review.key.namespace.to_string(),
            name: review.key.name.to_string(),
            ..Question::default()
        };
        Self {
            request: request(review, kind, &object),
            object,
            old,
            namespace: Value::Null,
            params: Value::Null,
            authorizer: Arc::new(authorizer),
            resource,
        }
    }

    /// The same with the namespace that the write is in.
    pub(in crate::admission) async fn with_namespace(
        mut self,
        view: &View<'_>,
        review: &Review<'_>,
    ) -> Result<Self, StatusError> {
        let name = &*review.key.namespace;
        if !name.is_empty() {
            let found = view.find(&NAMESPACES, &Key::cluster(name)).await?;
            let found = found.ok_or_else(|| StatusError::not_found(&NAMESPACES, name))?;
            self.namespace = namespace(&found.parse()?);
        }
        Ok(self)
    }

    /// Sets the parameters.
    pub(in crate::admission) fn set_params(&mut self, params: Option<&Value>) {
        self.params = params.cloned().unwrap_or_default();
    }

    /// The values by their names.
    pub(super) fn bindings(&self) -> Bindings<'_> {
        let json = |value| Cel::from_json(value, None);
        let authorizer = Check::Authorizer(self.authorizer.clone(), Question::default());
        let resource = Check::Resource(self.authorizer.clone(), self.resource.clone());
        Bindings::from([
            ("object", json(&self.object)),
            ("oldObject", json(&self.old)),
            ("request", json(&self.request)),
            ("namespaceObject", json(&self.namespace)),
            ("params", json(&self.params)),
            ("authorizer", Cel::Check(authorizer.into())),
            ("authorizer.requestResource", Cel::Check(resource.into())),
        ])
    }
}

fn request(review: &Review<'_>, kind: &Kind, object: &Value) -> Value {
    let own = review.gvk();
    let shown = if kind.gvr() == review.call.kind.gvr() { own.clone() } else { kind.gvk() };
    let name = match &*review.key.name {
        "" => json::meta(object, "name"),
        name => name,
    };
    json!({
        "kind": GroupVersionKind::from(&shown),
        "resource": GroupVersionResource::from(&kind.gvr()),
        "subResource": review.subresource(),
        "requestKind": GroupVersionKind::from(&own),
        "requestResource": GroupVersionResource::from(&review.call.kind.gvr()),
        "requestSubResource": review.subresource(),
        "name": name,
        "namespace": review.namespace(),
        "operation": review.operation.as_str(),
        "userInfo": user_info(review.user()),
        "dryRun": review.dry_run,
        "options": review.options_value(),
    })
}

/// What expressions see of a namespace.
fn namespace(object: &Value) -> Value {
    const METADATA: [(&str, &str); 11] = [
        ("name", "name"),
        ("generateName", "generateName"),
        ("labels", "labels"),
        ("annotations", "annotations"),
        ("uid", "UID"),
        ("creationTimestamp", "creationTimestamp"),
        ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
        ("deletionTimestamp", "deletionTimestamp"),
        ("generation", "generation"),
        ("resourceVersion", "resourceVersion"),
        ("finalizers", "finalizers"),
    ];
    let mut out = json!({"metadata": {}, "spec": {}, "status": {}});
    let pairs = METADATA.iter().map(|(from, to)| (["metadata", *from], ["metadata", *to]));
    let rest = [["spec", "finalizers"], ["status", "conditions"], ["status", "phase"]].map(|path| (path, path));
    for (from, to) in pairs.chain(rest) {
        if let Some(value) = json::at(object, &from) {
            json::set(&mut out, &to, value.clone());
        }
    }
    out
}
