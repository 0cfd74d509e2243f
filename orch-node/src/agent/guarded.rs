//! [`Guarded`]: a container runtime, or a prober, whose panics are its errors.

use crate::probe::{Check, Prober};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use orch_runtime::node::container::{
    AttachRequest, ByteStream, ContainerConfig, ContainerRuntime, ExecRequest, ExecSession, Image, RegistryAuth,
    RuntimeError, RuntimeEvent, RuntimeInfo, Sandbox, SandboxConfig, Stats,
};
use orch_store::panics::{caught, caught_async};
use std::{sync::Arc, time::Duration};

/// Forwards everything. A call that panics has failed, in words that name it, and is tried again as any other that failed.
struct Guarded<T: ?Sized>(Arc<T>);

pub(super) fn runtime(inner: Arc<dyn ContainerRuntime>) -> Arc<dyn ContainerRuntime> {
    Arc::new(Guarded(inner))
}

pub(super) fn prober(inner: Arc<dyn Prober>) -> Arc<dyn Prober> {
    Arc::new(Guarded(inner))
}

#[async_trait]
impl Prober for Guarded<dyn Prober> {
    async fn check(&self, check: &Check) -> Result<(), String> {
        caught_async(async { self.0.check(check).await }).await.unwrap_or_else(|why| {
            tracing::error!(?check, why, "a probe panicked");
            Err(format!("the prober panicked: {why}"))
        })
    }
}

fn failed(call: &'static str, why: String) -> RuntimeError {
    tracing::error!(call, why, "the container runtime panicked");
    RuntimeError::Failed(format!("the container runtime panicked in {call}: {why}"))
}

/// The methods that are futures, each by its name, its arguments and its answer.
macro_rules! forward {
    ($($call:ident($($name:ident: $of:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl ContainerRuntime for Guarded<dyn ContainerRuntime> {
            $(
                async fn $call(&self, $($name: $of),*) -> Result<$answer, RuntimeError> {
                    let called = caught_async(async { self.0.$call($($name),*).await }).await;
                    called.unwrap_or_else(|why| Err(failed(stringify!($call), why)))
                }
            )*

            fn events(&self) -> BoxStream<'static, RuntimeEvent> {
                // The stream ends, and is asked for again.
                caught(|| self.0.events()).unwrap_or_else(|why| {
                    let _ = failed("events", why);
                    futures::stream::empty().boxed()
                })
            }
        }
    };
}

forward! {
    info() -> RuntimeInfo;
    run_sandbox(config: SandboxConfig) -> String;
    stop_sandbox(sandbox: &str) -> ();
    remove_sandbox(sandbox: &str) -> ();
    create_container(sandbox: &str, config: ContainerConfig) -> String;
    start_container(container: &str) -> ();
    stop_container(container: &str, grace: Duration) -> ();
    remove_container(container: &str) -> ();
    list() -> Vec<Sandbox>;
    sandbox(sandbox: &str) -> Sandbox;
    exec(container: &str, request: ExecRequest) -> ExecSession;
    attach(container: &str, request: AttachRequest) -> ExecSession;
    port_forward(sandbox: &str, port: u16) -> Box<dyn ByteStream>;
    reopen_log(container: &str) -> ();
    stats(container: &str) -> Stats;
    pull_image(reference: &str, auth: Option<RegistryAuth>) -> Image;
    image(reference: &str) -> Option<Image>;
    images() -> Vec<Image>;
    remove_image(reference: &str) -> ();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    type Answer<T> = Result<T, RuntimeError>;

    #[async_trait]
    impl ContainerRuntime for Broken {
        async fn info(&self) -> Answer<RuntimeInfo> {
            panic!("no info")
        }
        async fn run_sandbox(&self, _: SandboxConfig) -> Answer<String> {
            panic!("no sandbox")
        }
        async fn stop_sandbox(&self, _: &str) -> Answer<()> {
            panic!("no stop")
        }
        async fn remove_sandbox(&self, _: &str) -> Answer<()> {
            panic!("no removal")
        }
        async fn create_container(&self, _: &str, _: ContainerConfig) -> Answer<String> {
            panic!("no container")
        }
        async fn start_container(&self, _: &str) -> Answer<()> {
            panic!("no start")
        }
        async fn stop_container(&self, _: &str, _: Duration) -> Answer<()> {
            panic!("no stop")
        }
        async fn remove_container(&self, _: &str) -> Answer<()> {
            panic!("no removal")
        }
        async fn list(&self) -> Answer<Vec<Sandbox>> {
            panic!("no list")
        }
        async fn sandbox(&self, _: &str) -> Answer<Sandbox> {
            panic!("no sandbox")
        }
        async fn exec(&self, _: &str, _: ExecRequest) -> Answer<ExecSession> {
            panic!("no exec")
        }
        async fn attach(&self, _: &str, _: AttachRequest) -> Answer<ExecSession> {
            panic!("no attach")
        }
        async fn port_forward(&self, _: &str, _: u16) -> Answer<Box<dyn ByteStream>> {
            panic!("no forward")
        }
        async fn reopen_log(&self, _: &str) -> Answer<()> {
            panic!("no log")
        }
        async fn stats(&self, _: &str) -> Answer<Stats> {
            panic!("no stats")
        }
        fn events(&self) -> BoxStream<'static, RuntimeEvent> {
            panic!("no events")
        }
        async fn pull_image(&self, _: &str, _: Option<RegistryAuth>) -> Answer<Image> {
            panic!("no pull")
        }
        async fn image(&self, _: &str) -> Answer<Option<Image>> {
            panic!("no image")
        }
        async fn images(&self) -> Answer<Vec<Image>> {
            panic!("no images")
        }
        async fn remove_image(&self, _: &str) -> Answer<()> {
            panic!("no removal")
        }
    }

    #[async_trait]
    impl Prober for Broken {
        async fn check(&self, _: &Check) -> Result<(), String> {
            panic!("no check")
        }
    }

    #[tokio::test]
    async fn a_runtime_that_panics_has_failed_in_words_that_name_the_call() {
        let runtime = runtime(Arc::new(Broken));
        let words = |call: &str, why: &str| {
            Some(RuntimeError::Failed(format!("the container runtime panicked in {call}: {why}")))
        };
        assert_eq!(runtime.info().await.err(), words("info", "no info"));
        assert_eq!(runtime.list().await.err(), words("list", "no list"));
        assert_eq!(runtime.start_container("a").await.err(), words("start_container", "no start"));
        assert_eq!(runtime.pull_image("a", None).await.err(), words("pull_image", "no pull"));
        assert_eq!(runtime.exec("a", ExecRequest::default()).await.err(), words("exec", "no exec"));
        assert_eq!(runtime.events().next().await, None);
    }

    #[tokio::test]
    async fn a_probe_that_panics_has_failed() {
        let check = Check::Sleep(Duration::ZERO);
        assert_eq!(prober(Arc::new(Broken)).check(&check).await, Err("the prober panicked: no check".into()));
    }
}
