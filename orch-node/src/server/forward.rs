//! `/portForward`: bytes between a client and a port inside a pod.

use super::streams::{Inlet, Outlet};
use bytes::BytesMut;
use orch_runtime::node::container::ContainerRuntime;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How much is read at once, in bytes.
const CHUNK: usize = 32 << 10;

/// Where connections go.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) runtime: Arc<dyn ContainerRuntime>,
    pub(super) sandbox: String,
}

impl Target {
    /// Connects to a port and copies both ways until both sides have ended, or the client gave up. Each side may
    /// end its own direction first; where the protocol lets a client not say that it has, the pod's end is
    /// that of both. The error is what kubelet tells the client.
    pub(super) async fn forward(&self, port: u16, from: &mut Inlet, to: &mut Outlet) -> Result<(), String> {
        let told =
            |why: &dyn std::fmt::Display| format!("error forwarding port {port} to pod {}, uid : {why}", self.sandbox);
        let connection = self.runtime.port_forward(&self.sandbox, port).await.map_err(|error| told(&error))?;
        let (mut reader, mut writer) = tokio::io::split(connection);
        let ends = matches!(from, Inlet::Spdy(_));
        let inward = async {
            while let Some(data) = from.next().await {
                let Ok(data) = data else { return Err(()) };
                // A pod that has closed its side reads no more: the rest is for nobody.
                if writer.write_all(&data).await.is_err() || writer.flush().await.is_err() {
                    return Ok(());
                }
            }
            let _ = writer.shutdown().await;
            Ok(())
        };
        let outward = async {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(CHUNK);
                match reader.read_buf(&mut buffer).await {
                    Ok(0) => break,
                    Ok(_) => to.send(buffer.split().freeze()).await?,
                    Err(error) => {
                        tracing::debug!(%error, port, "a forwarded connection broke");
                        break;
                    }
                }
            }
            to.finish().await;
            if ends { Ok(()) } else { Err(()) }
        };
        // An error is that there is nothing more to do: the client is gone, say.
        let _: Result<_, ()> = tokio::try_join!(inward, outward);
        Ok(())
    }
}
