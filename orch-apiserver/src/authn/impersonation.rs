//! Acting as another: the `Impersonate-*` headers, each of which must be allowed
//! (`apiserver/pkg/endpoints/filters/impersonation`).

use super::User;
use crate::authz::{Attributes, Authorizer};
use http::HeaderMap;
use orch_api::StatusError;
use percent_encoding::percent_decode_str;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// Whom a request wants to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: Vec<(String, String)>,
}

impl Impersonation {
    /// Reads the headers; `None` when the request acts as itself.
    ///
    /// # Errors
    ///
    /// 400 when groups, uid or extra are asked for without a user.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, StatusError> {
        let mut asked = Self::default();
        for (name, value) in headers {
            let Ok(value) = value.to_str() else { continue };
            match name.as_str() {
                USER => asked.user = value.to_owned(),
                UID => asked.uid = value.to_owned(),
                GROUP => asked.groups.push(value.to_owned()),
                name => {
                    if let Some(key) = name.strip_prefix(EXTRA) {
                        let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
                        asked.extra.push((key, value.to_owned()));
                    }
                }
            }
        }
        if asked == Self::default() {
            return Ok(None);
        }
        if asked.user.is_empty() {
            let what = [
                ("Group", !asked.groups.is_empty()),
                ("UserExtra", !asked.extra.is_empty()),
                ("UID", !asked.uid.is_empty()),
            ];
            let what: Vec<&str> = what.iter().filter(|(_, asked)| *asked).map(|(word, _)| *word).collect();
            let words = format!("requested [{}] without impersonating a user", what.join(" "));
            return Err(StatusError::bad_request(words));
        }
        Ok(Some(asked))
    }
}

/// The user that `real` may act as, once every part of the wish is allowed by the verb `impersonate`.
///
/// # Errors
///
/// 403 for the first part that is not allowed.
pub fn impersonate(authorizer: &dyn Authorizer, real: &User, wish: &Impersonation) -> Result<User, StatusError> {
    const AUTHENTICATION: &str = "authentication.k8s.io";
    let allow = |attributes: Attributes<'_>| {
        let decision = authorizer.authorize(&attributes);
        if decision.is_allowed() { Ok(()) } else { Err(attributes.forbidden(&decision.reason)) }
    };
    let ask =
        |group, resource| Attributes { version: "v1", ..Attributes::resource(real, "impersonate", group, resource) };
    let target = User { name: wish.user.clone(), ..User::default() };
    let mut groups = wish.groups.clone();
    match target.as_service_account() {
        Some((namespace, name)) => {
            allow(ask("", "serviceaccounts").within(namespace).named(name))?;
            if groups.is_empty() {
                groups = User::service_account(namespace, name).groups;
            }
        }
        None => allow(ask("", "users").named(&wish.user))?,
    }
    for group in &wish.groups {
        allow(ask("", "groups").named(group))?;
    }
    for (key, value) in &wish.extra {
        allow(ask(AUTHENTICATION, "userextras").sub(key).named(value))?;
    }
    if !wish.uid.is_empty() {
        allow(ask(AUTHENTICATION, "uids").named(&wish.uid))?;
    }
    let mut user = User { uid: wish.uid.clone(), groups, ..target };
    add_implied_group(&mut user);
    for (key, value) in &wish.extra {
        user.extra.entry(key.clone()).or_default().push(value.clone());
    }
    Ok(user)
}

/// Everybody is either authenticated or not.
fn add_implied_group(user: &mut User) {
    let anonymous = user.name == User::ANONYMOUS;
    let has_either = user.in_group(User::UNAUTHENTICATED) || (!anonymous && user.in_group(User::AUTHENTICATED));
    if !has_either {
        user.groups.push(if anonymous { User::UNAUTHENTICATED } else { User::AUTHENTICATED }.into());
    }
}
