//! The paths of a document: what may be done with each kind, and with which parameters.

use super::{
    path_of,
    schemas::{definition_of, gvk, list_definition, reference},
};
use orch_api::{
    Gvk, Kind, Scope,
    kind::{Subresource, Verbs},
};
use serde_json::{Map, Value, json};

/// Adds the paths of a kind: its collection, its objects and their subresources.
pub(super) fn of_kind(kind: &Kind, custom: bool, paths: &mut Map<String, Value>) {
    let root = format!("/{}", path_of(kind));
    let collection = match kind.scope {
        Scope::Cluster => format!("{root}/{}", kind.plural),
        Scope::Namespaced => format!("{root}/namespaces/{{namespace}}/{}", kind.plural),
    };
    let page = Page { kind, custom };
    if kind.scope == Scope::Namespaced && kind.verbs == Verbs::All {
        paths.insert(format!("{root}/{}", kind.plural), json!({"get": page.list()}));
    }
    paths.insert(collection.clone(), page.collection());
    if kind.verbs == Verbs::All {
        paths.insert(format!("{collection}/{{name}}"), page.object());
    }
    for sub in kind.subresources.iter() {
        let path = format!("{collection}/{{name}}/{}", sub.name);
        paths.insert(path, page.subresource(sub));
    }
}

struct Page<'a> {
    kind: &'a Kind,
    custom: bool,
}

impl Page<'_> {
    fn collection(&self) -> Value {
        let mut page = json!({"parameters": self.place(false)});
        page["post"] = self.write("post", "create", &self.kind.gvk(), &self.kind.definition, "");
        if self.kind.verbs == Verbs::All {
            page["get"] = self.list();
            page["delete"] =
                self.operation("deletecollection", "deleteCollection", &self.kind.gvk(), "", &SELECT, STATUS);
        }
        page
    }

    fn list(&self) -> Value {
        self.operation("list", "list", &self.kind.gvk(), "", &SELECT, &list_definition(self.kind))
    }

    fn object(&self) -> Value {
        let (gvk, definition) = (self.kind.gvk(), &*self.kind.definition);
        json!({
            "parameters": self.place(true),
            "get": self.operation("get", "read", &gvk, "", &[], definition),
            "put": self.write("put", "replace", &gvk, definition, ""),
            "patch": self.write("patch", "patch", &gvk, definition, ""),
            "delete": self.delete(),
        })
    }

    fn delete(&self) -> Value {
        let mut operation = self.operation("delete", "delete", &self.kind.gvk(), "", &DELETE, STATUS);
        operation["requestBody"] =
            json!({"content": {"*/*": {"schema": to("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")}}});
        operation
    }

    fn subresource(&self, sub: &Subresource) -> Value {
        let gvk = &sub.kind;
        let definition = if *gvk == self.kind.gvk() { self.kind.definition.to_string() } else { definition_of(gvk) };
        let mut page = json!({"parameters": self.place(true)});
        for verb in sub.verbs {
            let (method, operation) = match *verb {
                "get" => ("get", self.operation("get", "read", gvk, &sub.name, &[], &definition)),
                "create" => ("post", self.write("post", "create", gvk, &definition, &sub.name)),
                "update" => ("put", self.write("put", "replace", gvk, &definition, &sub.name)),
                "patch" => ("patch", self.write("patch", "patch", gvk, &definition, &sub.name)),
                "delete" => ("delete", self.operation("delete", "delete", gvk, &sub.name, &[], &definition)),
                _ => continue,
            };
            page[method] = operation;
        }
        page
    }

    fn write(&self, action: &str, verb: &str, gvk: &Gvk, definition: &str, sub: &str) -> Value {
        let parameters = if action == "patch" { &PATCH[..] } else { &WRITE[..] };
        let mut operation = self.operation(action, verb, gvk, sub, parameters, definition);
        operation["requestBody"] = match action {
            "patch" => json!({"required": true, "content": self.patches()}),
            _ => json!({"required": true, "content": {"*/*": {"schema": to(definition)}}}),
        };
        operation
    }

    fn patches(&self) -> Value {
        let body = json!({"schema": {"type": "object", "description": "A change to an object."}});
        let mut types =
            vec!["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
        if !self.custom {
            types.push("application/strategic-merge-patch+json");
        }
        types.into_iter().map(|kind| (kind.to_owned(), body.clone())).collect::<Map<_, _>>().into()
    }

    fn operation(
        &self,
        action: &str,
        verb: &str,
        kind: &Gvk,
        sub: &str,
        parameters: &[Parameter],
        answer: &str,
    ) -> Value {
        let capital = |word: &str| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
        };
        let group = match &*self.kind.group {
            "" => "core",
            group => group.split('.').next().unwrap_or_default(),
        };
        let tag = format!("{group}_{}", self.kind.version);
        let scope = if self.kind.scope == Scope::Namespaced { "Namespaced" } else { "" };
        let name =
            [verb, &capital(group), &capital(&self.kind.version), scope, &self.kind.kind, &capital(sub)].concat();
        let content =
            ["application/json", "application/yaml"].map(|kind| (kind.to_owned(), json!({"schema": to(answer)})));
        json!({
            "tags": [tag],
            "operationId": name,
            "parameters": parameters.iter().map(Parameter::write).collect::<Vec<_>>(),
            "responses": {
                "200": {"description": "OK", "content": Map::from_iter(content)},
                "401": {"description": "Unauthorized"},
            },
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(kind),
        })
    }

    fn place(&self, named: bool) -> Value {
        let mut parameters = Vec::new();
        let mut put = |name: &str, text: String| {
            parameters.push(json!({
                "name": name, "in": "path", "required": true, "description": text,
                "schema": {"type": "string", "uniqueItems": true},
            }));
        };
        if named {
            put("name", format!("name of the {}", self.kind.kind));
        }
        if self.kind.scope == Scope::Namespaced {
            put("namespace", "object name and auth scope, such as for teams and projects".into());
        }
        parameters.into()
    }
}

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

fn to(definition: &str) -> Value {
    json!({"$ref": reference(definition)})
}

/// A query parameter: name, type and meaning.
struct Parameter(&'static str, &'static str, &'static str);

impl Parameter {
    fn write(&self) -> Value {
        let Self(name, kind, text) = self;
        json!({"name": name, "in": "query", "description": text, "schema": {"type": kind, "uniqueItems": true}})
    }
}

const DRY_RUN: Parameter = Parameter("dryRun", "string", "All: decide everything, store nothing.");
const MANAGER: Parameter = Parameter("fieldManager", "string", "Who owns the fields that this request sets.");
const VALIDATION: Parameter =
    Parameter("fieldValidation", "string", "What to do about unknown or duplicate fields: Ignore, Warn or Strict.");

const WRITE: [Parameter; 3] = [DRY_RUN, MANAGER, VALIDATION];

const PATCH: [Parameter; 4] =
    [DRY_RUN, MANAGER, VALIDATION, Parameter("force", "boolean", "Take over fields that others own (apply only).")];

const DELETE: [Parameter; 4] = [
    DRY_RUN,
    Parameter("gracePeriodSeconds", "integer", "Seconds to wait for a graceful end."),
    Parameter("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    Parameter("propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."),
];

const SELECT: [Parameter; 10] = [
    Parameter("allowWatchBookmarks", "boolean", "Whether the watch may send bookmarks."),
    Parameter("continue", "string", "Where the previous page ended."),
    Parameter("fieldSelector", "string", "Only objects whose fields match."),
    Parameter("labelSelector", "string", "Only objects whose labels match."),
    Parameter("limit", "integer", "At most this many objects."),
    Parameter("resourceVersion", "string", "How fresh, or from where."),
    Parameter("resourceVersionMatch", "string", "How resourceVersion is meant: NotOlderThan or Exact."),
    Parameter("sendInitialEvents", "boolean", "Whether the watch begins with the current state."),
    Parameter("timeoutSeconds", "integer", "When to end the list or watch."),
    Parameter("watch", "boolean", "Follow the collection instead of listing it."),
];
