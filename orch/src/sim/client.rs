//! [`FaultyClient`]: a client whose requests and watches meet the faults of a plan. It stands around any other
//! [`Client`], so operator authors can use it without the rest of the simulator.

use super::{
    fault::Class,
    injector::{Death, Injector, Verdict, unreachable},
    observer::{OPERATION, Observer, Operation},
    watch,
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use orch_api::{Gvr, Key, Reason, StatusError};
use orch_store::{
    Client, Revision, Stored, Tasks,
    client::{Around, Change, DeleteOptions, ListOptions, Page, ReadAt, Result, WatchOptions, WatchStream, Write},
    watched,
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A client whose requests meet faults. Cheap to clone.
#[derive(Clone)]
pub struct FaultyClient {
    pub(super) inner: Arc<dyn Client>,
    pub(super) life: Arc<Life>,
    pub(super) injector: Arc<Injector>,
    pub(super) observer: Option<Arc<Observer>>,
}

/// One run of a loop, from its start to its end or its death. When it has died nothing that it still says reaches the
/// API server.
pub struct Life {
    /// Whose.
    pub who: Arc<str>,
    /// Its tasks, which end with it.
    pub tasks: Tasks,
    death: watched::Sender<Option<Death>>,
    /// No watch begins before.
    gate: Mutex<Option<Instant>>,
    /// Lists of informers show this much of the past until then.
    past: Mutex<Option<(u64, Instant)>>,
}

impl Life {
    /// A life that begins now.
    pub fn new(who: impl Into<Arc<str>>, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self {
            who: who.into(),
            tasks,
            death: watched::Sender::default(),
            gate: Mutex::default(),
            past: Mutex::default(),
        })
    }

    /// Ends it.
    pub fn die(&self, death: Death) {
        self.death.send_modify(|known| *known = known.or(Some(death)));
        self.tasks.cancel();
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.death.borrow().is_some()
    }

    /// Resolves when it ends, with how.
    pub async fn ended(&self) -> Death {
        let mut death = self.death.subscribe();
        let found = death.wait_for(Option::is_some).await.map(|death| *death);
        found.ok().flatten().unwrap_or_default()
    }

    /// From now on lists show the state so many revisions ago, for so long.
    pub fn live_in_the_past(&self, back: u64, lasts: Duration) {
        *self.past.lock() = Some((back, Instant::now() + lasts));
    }

    pub(super) fn close_gate(&self, lasts: Duration) {
        *self.gate.lock() = Some(Instant::now() + lasts);
    }

    fn past(&self) -> Option<(u64, Instant)> {
        self.past.lock().filter(|(_, until)| *until > Instant::now())
    }
}

impl FaultyClient {
    /// A client on behalf of somebody, by whose name faults find it.
    pub fn new(inner: Arc<dyn Client>, life: Arc<Life>, injector: Arc<Injector>) -> Self {
        Self { inner, life, injector, observer: None }
    }

    pub(super) fn observed(self, observer: Arc<Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    pub(super) fn note(&self, words: impl std::fmt::Display) {
        if let Some(observer) = &self.observer {
            observer.note(format_args!("fault: {words}"));
        }
    }

    /// Makes a request, or lets it fail as planned.
    async fn call<'a, T>(
        &'a self,
        request: Request<'a>,
        run: impl Fn() -> BoxFuture<'a, Result<T>> + Send,
    ) -> Result<T> {
        let who = &self.life.who;
        if self.life.is_over() {
            return Err(unreachable());
        }
        let decision = self.injector.decide(who, request.class(), request.resource, request.key);
        pause(decision.before).await;
        if self.life.is_over() {
            return Err(unreachable());
        }
        let subresource = request.subresource.unwrap_or_default().to_owned();
        let send = |repeated| {
            OPERATION.scope(Operation { who: who.clone(), subresource: subresource.clone(), repeated }, run())
        };
        let run = || send(false);
        let told = |what: &str| self.note(format_args!("{request} of {who}: {what}"));
        let result = match decision.verdict {
            Verdict::Go => run().await,
            Verdict::Refuse(error) => {
                told(error.reason().as_str());
                Err(error)
            }
            Verdict::Lost => {
                told("the answer is lost");
                run().await?;
                Err(StatusError::new(Reason::Timeout, "the answer was lost"))
            }
            Verdict::Twice => {
                told("done twice");
                let _first = run().await;
                send(true).await
            }
            Verdict::Die { after, death } => {
                told(if after { "dies after it" } else { "dies before it" });
                if after {
                    let _unseen = run().await;
                }
                self.life.die(death);
                Err(unreachable())
            }
        };
        pause(decision.after).await;
        if self.life.is_over() { Err(unreachable()) } else { result }
    }

    /// The list that an informer begins with where the past is all that it may see.
    pub(super) async fn past_page(&self, resource: &Gvr, options: &ListOptions) -> Option<(Page, Instant)> {
        let (back, until) = self.life.past()?;
        let newest = ListOptions { limit: 1, ..options.clone() };
        let now = self.inner.list(resource, &newest).await.ok()?.revision;
        let revision = ReadAt::Exact(Revision(now.0.saturating_sub(back)));
        let page = self.inner.list(resource, &ListOptions { revision, ..options.clone() }).await.ok()?;
        Some((page, until))
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// What a request is about.
#[derive(Clone, Copy)]
struct Request<'a> {
    verb: &'static str,
    resource: &'a Gvr,
    key: &'a Key,
    subresource: Option<&'a str>,
}

impl Request<'_> {
    fn class(&self) -> Class {
        let noise = matches!(&*self.resource.resource, "leases" | "events");
        match self.verb {
            "watch" => Class::Watch,
            "get" | "list" => Class::Read,
            _ if noise => Class::Noise,
            _ => Class::Write,
        }
    }
}

impl std::fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, resource, key, subresource } = self;
        write!(f, "{verb} {} {key}", resource.group_resource())?;
        subresource.map_or(Ok(()), |subresource| write!(f, "/{subresource}"))
    }
}

#[async_trait]
impl Around for FaultyClient {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        Ok(self.inner.clone())
    }

    async fn read(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Arc<Stored>> {
        let request = Request { verb: "get", resource, key, subresource };
        self.call(request, || self.inner.get(resource, key, subresource)).await
    }

    async fn read_page(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        let key = &Key::new(options.namespace.clone(), "");
        let request = Request { verb: "list", resource, key, subresource: None };
        self.call(request, || self.inner.list(resource, options)).await
    }

    async fn begin_watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let gate = *self.life.gate.lock();
        if let Some(gate) = gate {
            tokio::time::sleep_until(gate).await;
        }
        let key = &Key::new(options.namespace.clone(), "");
        let request = Request { verb: "watch", resource, key, subresource: None };
        self.call(request, || Box::pin(watch::open(self, resource, options))).await
    }

    async fn write(&self, write: Write<'_>) -> Result<Arc<Stored>> {
        let Write { resource, key, subresource, .. } = write;
        let request = Request { verb: write.verb(), resource, key, subresource };
        let written = self.call(request, || Box::pin(write.clone().send(&*self.inner))).await;
        let creates = matches!(write.change, Change::Create(..)) && subresource.is_none();
        if let (Ok(made), Some(observer), true) = (&written, &self.observer, creates) {
            observer.made(&self.life.who, &made.meta.uid);
        }
        written
    }

    async fn sweep(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        let key = &Key::new(select.namespace.clone(), "");
        let request = Request { verb: "deletecollection", resource, key, subresource: None };
        self.call(request, || self.inner.delete_collection(resource, select, options)).await
    }
}
