//! [`LocalClient`]: the API in process, without HTTP. Objects are shared as they are stored.

use crate::{
    authn::User,
    core::{Annotations, Answer, Call, Core, Request, Warnings, missing_resource},
};
use async_trait::async_trait;
use orch_api::{Gvr, Key, StatusError, decode::Parsed};
use orch_store::{
    Client, Stored,
    client::{DeleteOptions, ListOptions, Page, Patch, Result, WatchOptions, WatchStream, WriteOptions},
};
use serde_json::Value;
use std::sync::Arc;

/// A client of the server in this process, acting as one user. Cheap to clone.
#[derive(Clone)]
pub struct LocalClient {
    core: Arc<Core>,
    user: Arc<User>,
    user_agent: Arc<str>,
}

impl LocalClient {
    pub(crate) fn new(core: Arc<Core>, user: User) -> Self {
        let user_agent = user.name.rsplit(':').next().unwrap_or_default().into();
        Self { core, user: Arc::new(user), user_agent }
    }

    fn call(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Call> {
        Ok(Call {
            user: self.user.clone(),
            kind: self.core.registry.find(resource).ok_or_else(missing_resource)?,
            key: key.clone(),
            subresource: subresource.map(Into::into),
            user_agent: self.user_agent.clone(),
            warnings: Warnings::default(),
            annotations: Annotations::default(),
        })
    }

    async fn object(&self, call: Call, request: Request) -> Result<Arc<Stored>> {
        match self.core.handle(&call, request).await? {
            Answer::Object { object, .. } | Answer::Deleted { object, .. } => Ok(object),
            Answer::Page(_) | Answer::Watch(_) => Err(unexpected()),
        }
    }
}

#[async_trait]
impl Client for LocalClient {
    async fn get(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Arc<Stored>> {
        self.object(self.call(resource, key, subresource)?, Request::Get).await
    }

    async fn list(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        let call = self.call(resource, &Key::new(options.namespace.clone(), ""), None)?;
        match self.core.handle(&call, Request::List(options.clone())).await? {
            Answer::Page(page) => Ok(page),
            _ => Err(unexpected()),
        }
    }

    async fn watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let call = self.call(resource, &Key::new(options.namespace.clone(), ""), None)?;
        match self.core.handle(&call, Request::Watch(options.clone())).await? {
            Answer::Watch(events) => Ok(events),
            _ => Err(unexpected()),
        }
    }

    async fn create(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        let request = Request::Create { body: parsed(body), options: options.clone() };
        self.object(self.call(resource, key, subresource)?, request).await
    }

    async fn update(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        let request = Request::Update { body: parsed(body), options: options.clone() };
        self.object(self.call(resource, key, subresource)?, request).await
    }

    async fn patch(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        let request = Request::Patch { patch, options: options.clone() };
        self.object(self.call(resource, key, subresource)?, request).await
    }

    async fn delete(&self, resource: &Gvr, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>> {
        self.object(self.call(resource, key, None)?, Request::Delete(options.clone())).await
    }

    async fn delete_collection(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        let call = self.call(resource, &Key::new(select.namespace.clone(), ""), None)?;
        let request = Request::DeleteCollection { select: select.clone(), options: options.clone() };
        self.core.handle(&call, request).await.map(drop)
    }
}

fn parsed(value: Value) -> Parsed {
    Parsed { value, ..Parsed::default() }
}

fn unexpected() -> StatusError {
    StatusError::internal("the answer is of another kind than the request")
}
