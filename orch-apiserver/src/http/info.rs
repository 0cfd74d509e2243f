//! [`RequestInfo`]: what a method and a path ask for
//! (`apiserver/pkg/endpoints/request/requestinfo.go`).

use super::query::Query;

/// What a request asks for, before anybody knows whether such a resource exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names a resource below `/api/VERSION` or `/apis/GROUP/VERSION`.
    pub is_resource: bool,
    /// The raw path.
    pub path: String,
    /// The verb that authorization sees: `get`, `list`, `watch`, …; the lower-case method off resources.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace; empty at cluster scope.
    pub namespace: String,
    /// Lower-case plural.
    pub resource: String,
    /// Subresource, if any.
    pub subresource: String,
    /// Object name, if any.
    pub name: String,
    /// What follows the subresource: the path of a proxied request, without a leading slash.
    pub rest: String,
}

impl RequestInfo {
    /// Reads a method, a path (percent-encoded) and a query.
    pub fn parse(method: &http::Method, path: &str, query: &Query) -> Self {
        let mut info = Self { path: path.to_owned(), verb: method.as_str().to_lowercase(), ..Self::default() };
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let parts = match parts.as_slice() {
            ["api", version, rest @ ..] if is_resource_path(rest) => {
                info.version = (*version).to_owned();
                rest
            }
            ["apis", group, version, rest @ ..] if is_resource_path(rest) => {
                info.group = (*group).to_owned();
                info.version = (*version).to_owned();
                rest
            }
            _ => return info,
        };
        info.is_resource = true;
        info.verb = verb(method).to_owned();
        let parts = match parts {
            ["watch", rest @ ..] if !rest.is_empty() => {
                info.verb = "watch".into();
                rest
            }
            parts => parts,
        };
        info.locate(parts);
        info.refine_verb(query);
        info
    }

    fn locate(&mut self, parts: &[&str]) {
        let parts = match parts {
            ["namespaces", namespace, next, rest @ ..] if !matches!(*next, "status" | "finalize" | "") => {
                self.namespace = decode(namespace);
                self.resource = (*next).to_owned();
                rest
            }
            ["namespaces", namespace, rest @ ..] => {
                self.namespace = decode(namespace);
                self.resource = "namespaces".into();
                self.name = decode(namespace);
                self.subresource = rest.first().copied().unwrap_or_default().to_owned();
                return;
            }
            [resource, rest @ ..] => {
                self.resource = (*resource).to_owned();
                rest
            }
            [] => return,
        };
        if let [name, rest @ ..] = parts {
            self.name = decode(name);
            if let [subresource, rest @ ..] = rest {
                self.subresource = (*subresource).to_owned();
                self.rest = rest.join("/");
            }
        }
    }

    fn refine_verb(&mut self, query: &Query) {
        let watching =
            query.get("watch").is_some_and(|v| v.is_empty() || matches!(v, "1" | "true" | "True" | "t" | "T"));
        if self.name.is_empty() {
            match self.verb.as_str() {
                "get" => self.verb = if watching { "watch" } else { "list" }.into(),
                "delete" => self.verb = "deletecollection".into(),
                _ => {}
            }
        }
    }

    /// The namespace that the object itself is in: none for a Namespace, although its path names one.
    pub fn namespace_of_object(&self) -> &str {
        if self.group.is_empty() && self.resource == "namespaces" { "" } else { &self.namespace }
    }

    /// Whether the verb reads or changes a whole collection.
    pub fn is_collection(&self) -> bool {
        matches!(self.verb.as_str(), "list" | "watch" | "deletecollection")
    }
}

fn is_resource_path(rest: &[&str]) -> bool {
    rest.first().is_some_and(|first| !first.is_empty())
}

fn verb(method: &http::Method) -> &'static str {
    match *method {
        http::Method::POST => "create",
        http::Method::GET | http::Method::HEAD => "get",
        http::Method::PUT => "update",
        http::Method::PATCH => "patch",
        http::Method::DELETE => "delete",
        _ => "",
    }
}

fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: http::Method, uri: &str, expected: &str) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let i = RequestInfo::parse(&method, path, &Query::parse(query));
        let got = format!(
            "{} {}/{} {}/{} {}:{} {}",
            i.verb, i.group, i.version, i.resource, i.subresource, i.namespace, i.name, i.rest
        );
        assert_eq!(got.trim_end(), expected);
    }

    #[test]
    fn a_path_says_what_it_asks_for() {
        check(http::Method::GET, "/api/v1/pods", "list /v1 pods/ :");
        check(http::Method::GET, "/api/v1/namespaces/a/pods?watch=1", "watch /v1 pods/ a:");
        check(http::Method::GET, "/api/v1/namespaces/a/pods/web/log", "get /v1 pods/log a:web");
        check(http::Method::POST, "/api/v1/nodes/n/proxy/a/b", "create /v1 nodes/proxy :n a/b");
        check(
            http::Method::DELETE,
            "/apis/apps/v1/namespaces/a/deployments",
            "deletecollection apps/v1 deployments/ a:",
        );
        check(http::Method::PUT, "/api/v1/namespaces/a/finalize", "update /v1 namespaces/finalize a:a");
        check(http::Method::GET, "/api/v1/namespaces/a", "get /v1 namespaces/ a:a");
        check(http::Method::GET, "/api/v1", "get / / :");
        check(http::Method::GET, "/healthz", "get / / :");
    }
}
