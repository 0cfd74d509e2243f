//! What the expressions of webhooks and admission policies may mention (`apiserver/pkg/admission/plugin/cel`). Whoever
//! validates them and whoever evaluates them compiles them here.

use crate::cel::{Decl, Environment, Field, Object, Program, Type};
use std::{collections::BTreeMap, sync::Arc};

/// The variables that expressions may mention.
#[derive(Clone, Debug)]
pub struct Scope {
    environment: Environment,
}

/// An expression, or why it is none.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// As it was written.
    pub text: String,
    /// As it is evaluated.
    pub program: Result<Program, String>,
}

/// A named expression of a policy.
#[derive(Clone, Debug)]
pub struct Variable {
    /// What it is called after `variables.`.
    pub name: String,
    /// What it stands for.
    pub compiled: Compiled,
}

impl Scope {
    /// `object`, `oldObject`, `request`, `namespaceObject`, and `params` where there are some.
    pub fn new(with_params: bool) -> Self {
        Self::over(&Decl::dynamic(), with_params.then(Decl::dynamic).as_ref())
    }

    /// The same where it is known of which types `object` and `params` are.
    pub fn over(object: &Decl, params: Option<&Decl>) -> Self {
        let mut environment = Environment::new()
            .variable("object", object.clone())
            .variable("oldObject", object.clone())
            .variable("request", request())
            .variable("namespaceObject", namespace());
        if let Some(params) = params {
            environment = environment.variable("params", params.clone());
        }
        Self { environment }
    }

    /// The same with `authorizer`.
    pub fn with_authorizer(&self) -> Self {
        let authorizer = Decl::of(Type::Opaque("kubernetes.authorization.Authorizer"));
        let resource = Decl::of(Type::Opaque("kubernetes.authorization.ResourceCheck"));
        let environment = self.environment.clone().variable("authorizer", authorizer);
        Self { environment: environment.variable("authorizer.requestResource", resource) }
    }

    /// The same with `Object{…}` and `JSONPatch{…}`.
    pub fn with_structs(&self) -> Self {
        Self { environment: self.environment.clone().with_structs() }
    }

    /// The variables of a policy, each of which may mention those before it, and the scope that knows them all.
    pub fn with_variables<'a>(&self, declared: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, Vec<Variable>) {
        let mut scope = self.clone();
        let mut variables = Vec::new();
        let mut fields = BTreeMap::new();
        for (name, expression) in declared {
            scope.environment = self.environment.clone().variable("variables", variables_type(&fields));
            let compiled = scope.any(expression);
            let known = compiled.program.as_ref().map_or(Type::Dyn, |program| program.output().clone());
            let field = Field { json: name.to_owned(), decl: Arc::new(Decl::of(known)) };
            fields.insert(name.to_owned(), field);
            variables.push(Variable { name: name.to_owned(), compiled });
        }
        scope.environment = self.environment.clone().variable("variables", variables_type(&fields));
        (scope, variables)
    }

    /// Compiles an expression of any type.
    pub fn any(&self, text: &str) -> Compiled {
        let program = self.environment.compile(text).map_err(|why| format!("compilation failed: {why}"));
        Compiled { text: text.to_owned(), program }
    }

    /// Compiles a condition.
    pub fn condition(&self, text: &str) -> Compiled {
        self.typed(text, |output| matches!(output, Type::Bool), "must evaluate to bool")
    }

    /// Compiles a message.
    pub fn message(&self, text: &str) -> Compiled {
        self.typed(text, |output| matches!(output, Type::String), "must evaluate to string")
    }

    fn typed(&self, text: &str, fits: impl Fn(&Type) -> bool, otherwise: &str) -> Compiled {
        let mut compiled = self.any(text);
        if let Ok(program) = &compiled.program
            && !matches!(program.output(), Type::Dyn)
            && !fits(program.output())
        {
            compiled.program = Err(otherwise.to_owned());
        }
        compiled
    }
}

fn variables_type(fields: &BTreeMap<String, Field>) -> Decl {
    let fields = fields.clone();
    Decl::of(Type::Object(Arc::new(Object { name: "kubernetes.variables".into(), fields })))
}

fn text() -> Decl {
    Decl::of(Type::String)
}

fn texts() -> Decl {
    Decl::list(text())
}

fn request() -> Decl {
    let kind =
        || Decl::object("kubernetes.GroupVersionKind", [("group", text()), ("version", text()), ("kind", text())]);
    let resource = || {
        let fields = [("group", text()), ("version", text()), ("resource", text())];
        Decl::object("kubernetes.GroupVersionResource", fields)
    };
    let user = Decl::object(
        "kubernetes.UserInfo",
        [("username", text()), ("uid", text()), ("groups", texts()), ("extra", Decl::map(texts()))],
    );
    Decl::object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", text()),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", text()),
            ("name", text()),
            ("namespace", text()),
            ("operation", text()),
            ("userInfo", user),
            ("dryRun", Decl::of(Type::Bool)),
            ("options", Decl::dynamic()),
        ],
    )
}

fn namespace() -> Decl {
    let (integer, time) = (|| Decl::of(Type::Int), || Decl::of(Type::Timestamp));
    let condition = Decl::object(
        "kubernetes.NamespaceCondition",
        [("status", text()), ("type", text()), ("lastTransitionTime", time()), ("message", text()), ("reason", text())],
    );
    let metadata = Decl::object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", text()),
            ("generateName", text()),
            ("namespace", text()),
            ("labels", Decl::map(text())),
            ("annotations", Decl::map(text())),
            ("UID", text()),
            ("creationTimestamp", time()),
            ("deletionGracePeriodSeconds", integer()),
            ("deletionTimestamp", time()),
            ("generation", integer()),
            ("resourceVersion", text()),
            ("finalizers", texts()),
        ],
    );
    let status = [("conditions", Decl::list(condition)), ("phase", text())];
    Decl::object(
        "kubernetes.Namespace",
        [
            ("metadata", metadata),
            ("spec", Decl::object("kubernetes.NamespaceSpec", [("finalizers", texts())])),
            ("status", Decl::object("kubernetes.NamespaceStatus", status)),
        ],
    )
}
