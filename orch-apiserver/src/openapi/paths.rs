//! The paths of a document: what may be done with each kind, and with which parameters
//! (`apiserver/pkg/endpoints/installer.go`).

use super::{
    parameters::{DELETE, PATCH, PRETTY, Parameter, SELECT, WATCH, WRITE, in_path, of_subresource, place},
    path_of,
    schemas::{definition_of, gvk, list_definition, reference},
};
use orch_api::{Gvk, Kind, Scope, kind::Subresource};
use serde_json::{Map, Value, json};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Adds the paths of a kind: its collection, its objects and their subresources.
pub(super) fn of_kind(kind: &Kind, custom: bool, paths: &mut Map<String, Value>) {
    let root = format!("/{}", path_of(kind));
    let page = Page { kind, custom };
    paths.entry(format!("{root}/")).or_insert_with(|| page.resources());
    let collection = match kind.scope {
        Scope::Cluster => format!("{root}/{}", kind.plural),
        Scope::Namespaced => format!("{root}/namespaces/{{namespace}}/{}", kind.plural),
    };
    if kind.scope == Scope::Namespaced && page.serves("list") {
        let parameters = vec![PRETTY.write()];
        paths.insert(format!("{root}/{}", kind.plural), json!({"parameters": parameters, "get": page.list(true)}));
    }
    paths.insert(collection.clone(), page.collection());
    if page.serves("get") {
        paths.insert(format!("{collection}/{{name}}"), page.object());
    }
    for sub in kind.subresources.iter() {
        let path = format!("{collection}/{{name}}/{}", sub.name);
        paths.insert(path.clone(), page.subresource(sub, false));
        if sub.name == "proxy" {
            paths.insert(format!("{path}/{{path}}"), page.subresource(sub, true));
        }
    }
}

struct Page<'a> {
    kind: &'a Kind,
    custom: bool,
}

/// An operation in the making.
struct Operation<'a> {
    /// `x-kubernetes-action`
    action: &'a str,
    /// The first word of its id.
    verb: &'a str,
    /// What stands between group and kind in its id.
    scope: &'a str,
    /// What stands behind the kind.
    suffix: String,
    description: String,
    gvk: Gvk,
    parameters: Vec<Parameter>,
    answer: Answer,
}

/// What an operation answers with, and with which codes.
struct Answer {
    schema: Value,
    types: Vec<&'static str>,
    codes: &'static [(&'static str, &'static str)],
}

const OK: &[(&str, &str)] = &[("200", "OK")];
const CREATED: &[(&str, &str)] = &[("200", "OK"), ("201", "Created"), ("202", "Accepted")];
const WRITTEN: &[(&str, &str)] = &[("200", "OK"), ("201", "Created")];
const ACCEPTED: &[(&str, &str)] = &[("200", "OK"), ("202", "Accepted")];

impl Page<'_> {
    fn serves(&self, verb: &str) -> bool {
        self.kind.verbs.names().contains(&verb)
    }

    /// The list of what the version has.
    fn resources(&self) -> Value {
        let (group, version) = (self.group(), capital(&self.kind.version));
        let answer = self.objects(&format!("{META}.APIResourceList"), OK);
        json!({"get": {
            "tags": [self.tag()],
            "description": "get available resources",
            "operationId": format!("get{}{version}APIResources", capital(&group)),
            "responses": answer.write(),
        }})
    }

    fn parameters(&self, named: bool) -> Vec<Value> {
        let mut all = place(self.kind, named);
        all.push(PRETTY.write());
        all
    }

    fn collection(&self) -> Value {
        let mut page = json!({"parameters": self.parameters(false)});
        if self.serves("create") {
            page["post"] = self.create();
        }
        if self.serves("list") {
            page["get"] = self.list(false);
        }
        if self.serves("deletecollection") {
            let scope = if self.is_namespaced() { "CollectionNamespaced" } else { "Collection" };
            let operation = Operation {
                scope,
                description: format!("delete collection of {}", self.kind.kind),
                parameters: [&DELETE[..], &SELECT].concat(),
                answer: self.objects(&status(), OK),
                ..self.operation("deletecollection", "delete", "")
            };
            page["delete"] = with_body(self.write(operation), &delete_options(), false);
        }
        page
    }

    fn create(&self) -> Value {
        let operation = Operation {
            description: format!("create{}{}", article(&self.kind.kind), self.kind.kind),
            parameters: WRITE.to_vec(),
            answer: self.objects(&self.kind.definition, CREATED),
            ..self.operation("post", "create", "")
        };
        with_body(self.write(operation), &self.kind.definition, true)
    }

    fn list(&self, everywhere: bool) -> Value {
        let mut answer = self.objects(&list_definition(self.kind), OK);
        let may_watch = self.serves("watch");
        if may_watch {
            answer.types.push("application/json;stream=watch");
            if !self.custom {
                answer.types.push("application/vnd.kubernetes.protobuf;stream=watch");
            }
        }
        let words = if may_watch { "list or watch" } else { "list" };
        let operation = Operation {
            description: format!("{words} objects of kind {}", self.kind.kind),
            parameters: [&SELECT[..], &WATCH].concat(),
            answer,
            ..self.operation("list", "list", "")
        };
        self.write(match everywhere {
            true => Operation { scope: "", suffix: "ForAllNamespaces".into(), ..operation },
            false => operation,
        })
    }

    fn object(&self) -> Value {
        let mut page = json!({"parameters": self.parameters(true)});
        for (verb, method) in [("get", "get"), ("update", "put"), ("patch", "patch"), ("delete", "delete")] {
            if self.serves(verb) {
                page[method] = self.access(method, "", &self.kind.gvk(), &self.kind.definition);
            }
        }
        page
    }

    /// Reads, replaces, patches, creates or deletes an object or a part of it.
    fn access(&self, method: &str, sub: &str, gvk: &Gvk, definition: &str) -> Value {
        let (verb, words) = match method {
            "get" => ("read", "read"),
            "put" => ("replace", "replace"),
            "patch" => ("patch", "partially update"),
            "post" => ("create", "create"),
            _ => ("delete", "delete"),
        };
        let kind = &self.kind.kind;
        let description = match (sub, method) {
            ("", "delete") => format!("delete{}{kind}", article(kind)),
            ("", _) => format!("{words} the specified {kind}"),
            (_, "post" | "delete") => format!("{words} {sub} of{}{kind}", article(kind)),
            _ => format!("{words} {sub} of the specified {kind}"),
        };
        let returned = if method == "delete" && !returns_deleted(self.kind) { status() } else { definition.to_owned() };
        let (parameters, codes) = match method {
            "get" => (Vec::new(), OK),
            "put" => (WRITE.to_vec(), WRITTEN),
            "patch" => (PATCH.to_vec(), WRITTEN),
            "post" => (WRITE.to_vec(), CREATED),
            _ => (DELETE.to_vec(), ACCEPTED),
        };
        let operation = self.write(Operation {
            description,
            gvk: gvk.clone(),
            parameters,
            answer: self.objects(&returned, codes),
            ..self.operation(method, verb, sub)
        });
        match method {
            "get" => operation,
            "patch" => with_patch(operation, self.custom),
            "delete" => with_body(operation, &delete_options(), false),
            _ => with_body(operation, definition, true),
        }
    }

    fn subresource(&self, sub: &Subresource, with_path: bool) -> Value {
        let options = of_subresource(self.kind, &sub.name);
        let mut parameters = self.parameters(true);
        parameters.extend(options.into_iter().flatten().map(Parameter::write));
        if with_path {
            parameters.push(in_path("path", "The path of the request that is passed on."));
        }
        let mut page = json!({"parameters": parameters});
        let gvk = &sub.kind;
        let definition = if *gvk == self.kind.gvk() { self.kind.definition.to_string() } else { definition_of(gvk) };
        // Methods that are passed on, though no verb is theirs.
        let more: &[&str] = if sub.name == "proxy" { &["head", "options"] } else { &[] };
        for verb in sub.verbs.iter().chain(more) {
            let method = match *verb {
                "head" => "head",
                "options" => "options",
                "get" => "get",
                "create" => "post",
                "update" => "put",
                "patch" => "patch",
                "delete" => "delete",
                _ => continue,
            };
            page[method] = match (options.is_some(), &*sub.name) {
                (true, "log") => self.log(sub),
                (true, _) => self.connect(method, sub, with_path),
                _ => self.access(method, &sub.name, gvk, &definition),
            };
        }
        page
    }

    fn log(&self, sub: &Subresource) -> Value {
        let types = [vec!["text/plain"], self.types()].concat();
        self.write(Operation {
            description: format!("read {} of the specified {}", sub.name, self.kind.kind),
            gvk: sub.kind.clone(),
            answer: Answer { schema: json!({"type": "string"}), types, codes: OK },
            ..self.operation("get", "read", &sub.name)
        })
    }

    /// What is passed on to somebody else.
    fn connect(&self, method: &str, sub: &Subresource, with_path: bool) -> Value {
        let mut operation = Operation {
            description: format!("connect {} requests to {} of {}", method.to_uppercase(), sub.name, self.kind.kind),
            gvk: sub.kind.clone(),
            answer: Answer { schema: json!({"type": "string"}), types: vec!["*/*"], codes: OK },
            ..self.operation("connect", "connect", &sub.name)
        };
        let scope = format!("{}{}", capital(method), operation.scope);
        if with_path {
            operation.suffix.push_str("WithPath");
        }
        self.write(Operation { scope: &scope, ..operation })
    }

    fn operation<'a>(&self, action: &'a str, verb: &'a str, sub: &str) -> Operation<'a> {
        Operation {
            action,
            verb,
            scope: if self.is_namespaced() { "Namespaced" } else { "" },
            suffix: capital(sub),
            description: String::new(),
            gvk: self.kind.gvk(),
            parameters: Vec::new(),
            answer: self.objects(&self.kind.definition, OK),
        }
    }

    fn write(&self, operation: Operation<'_>) -> Value {
        let (group, version) = (capital(&self.group()), capital(&self.kind.version));
        let Operation { action, verb, scope, suffix, description, parameters, .. } = operation;
        let id = [verb, &group, &version, scope, &self.kind.kind, &suffix].concat();
        json!({
            "tags": [self.tag()],
            "description": description,
            "operationId": id,
            "parameters": parameters.iter().map(Parameter::write).collect::<Vec<_>>(),
            "responses": operation.answer.write(),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(&operation.gvk),
        })
    }

    fn objects(&self, definition: &str, codes: &'static [(&'static str, &'static str)]) -> Answer {
        Answer { schema: to(definition), types: self.types(), codes }
    }

    /// What objects are written as. Custom kinds have no protobuf.
    fn types(&self) -> Vec<&'static str> {
        let all = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
        all.into_iter().filter(|kind| !self.custom || !kind.ends_with("protobuf")).collect()
    }

    fn is_namespaced(&self) -> bool {
        self.kind.scope == Scope::Namespaced
    }

    /// `rbacAuthorization` of `rbac.authorization.k8s.io`, `core` of none.
    fn group(&self) -> String {
        let group = self.kind.group.strip_suffix(".k8s.io").unwrap_or(&self.kind.group);
        let mut words = group.split(['.', '-']);
        let first = words.next().filter(|word| !word.is_empty()).unwrap_or("core").to_owned();
        words.fold(first, |all, word| all + &capital(word))
    }

    fn tag(&self) -> String {
        format!("{}_{}", self.group(), self.kind.version)
    }
}

impl Answer {
    fn write(&self) -> Value {
        let content: Map<String, Value> =
            self.types.iter().map(|kind| ((*kind).to_owned(), json!({"schema": self.schema}))).collect();
        let mut responses: Map<String, Value> = self
            .codes
            .iter()
            .map(|(code, words)| ((*code).to_owned(), json!({"description": words, "content": content})))
            .collect();
        responses.insert("401".into(), json!({"description": "Unauthorized"}));
        responses.into()
    }
}

/// Kinds whose delete answers with the object, not with a status.
fn returns_deleted(kind: &Kind) -> bool {
    match &*kind.group {
        "" => matches!(
            &*kind.plural,
            "persistentvolumeclaims"
                | "persistentvolumes"
                | "pods"
                | "podtemplates"
                | "resourcequotas"
                | "serviceaccounts"
                | "services"
        ),
        group => matches!(group, "resource.k8s.io" | "storage.k8s.io") && kind.plural != "csistoragecapacities",
    }
}

fn with_body(mut operation: Value, definition: &str, required: bool) -> Value {
    operation["requestBody"] = json!({"content": {"*/*": {"schema": to(definition)}}});
    if required {
        operation["requestBody"]["required"] = true.into();
    }
    operation
}

fn with_patch(mut operation: Value, custom: bool) -> Value {
    let mut types = vec!["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
    if !custom {
        types.push("application/strategic-merge-patch+json");
    }
    let body = json!({"schema": to(&format!("{META}.Patch"))});
    let content: Map<String, Value> = types.into_iter().map(|kind| (kind.to_owned(), body.clone())).collect();
    operation["requestBody"] = json!({"required": true, "content": content});
    operation
}

fn status() -> String {
    format!("{META}.Status")
}

fn delete_options() -> String {
    format!("{META}.DeleteOptions")
}

fn to(definition: &str) -> Value {
    json!({"$ref": reference(definition)})
}

/// What stands between a verb and a kind; plurals have no article.
fn article(kind: &str) -> &'static str {
    let plural = kind.ends_with('s') && !kind.ends_with("ss");
    match kind.chars().next() {
        _ if plural => " ",
        Some('A' | 'E' | 'I' | 'O' | 'U') => " an ",
        _ => " a ",
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
