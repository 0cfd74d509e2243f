//! Probes, hooks and commands.

use super::{
    Case, World,
    world::{is_ready, main, restarts},
};
use orch_runtime::node::container::Ability::Processes;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "a liveness probe that fails restarts its container", needs: &[], run: |w| Box::pin(dies(w)) },
        Case { name: "a startup probe holds readiness back", needs: &[], run: |w| Box::pin(starts(w)) },
        Case { name: "a readiness probe follows its server", needs: &[Processes], run: |w| Box::pin(follows(w)) },
        Case { name: "pods of a node may serve on the same port", needs: &[Processes], run: |w| Box::pin(twins(w)) },
        Case { name: "a postStart hook that fails ends its container", needs: &[], run: |w| Box::pin(bad_hook(w)) },
        Case {
            name: "commands run in containers with output and exit code",
            needs: &[Processes],
            run: |w| Box::pin(exec(w)),
        },
    ]
}

async fn dies(w: &World) {
    let mut sick = main(&["sleep", "1000"]);
    sick["livenessProbe"] = json!({"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1});
    w.pod("sick", json!({}), json!({"containers": [sick]})).await;
    w.until("sick", "a restart", |pod| restarts(pod) >= 1).await;
    w.event("sick", "Unhealthy").await;
    w.delete("sick").await;
}

async fn starts(w: &World) {
    let mut slow = main(&["sleep", "1000"]);
    slow["startupProbe"] = json!({"exec": {"command": ["true"]}, "periodSeconds": 1, "initialDelaySeconds": 1});
    w.pod("slow", json!({}), json!({"containers": [slow]})).await;
    let pod = w.ready("slow").await;
    let main = super::world::main_status(&pod).unwrap();
    assert_eq!(main.started, Some(true));
    let begun = main.state.as_ref().unwrap().running.as_ref().unwrap().started_at.as_ref().unwrap().0;
    let ready = pod.status.as_ref().unwrap().conditions.as_ref().unwrap().iter().find(|c| c.type_ == "Ready").unwrap();
    let since = ready.last_transition_time.as_ref().unwrap().0.duration_since(begun);
    assert!(since.as_secs() >= 1, "{since:?}");
    w.delete("slow").await;
}

async fn follows(w: &World) {
    let mut server = main(&["serve", "--port", "8080"]);
    let get = json!({"path": "/ready", "port": 8080});
    server["readinessProbe"] = json!({"httpGet": get, "periodSeconds": 1, "failureThreshold": 1});
    w.pod("server", json!({}), json!({"containers": [server]})).await;
    let pod = w.ready("server").await;
    let ip = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
    assert!(request(&ip, "POST", "/ready").await.contains("ready: false"));
    w.until("server", "unready", |pod| !is_ready(pod)).await;
    request(&ip, "POST", "/ready").await;
    let pod = w.ready("server").await;
    assert_eq!(restarts(&pod), 0);
    w.delete("server").await;
}

async fn twins(w: &World) {
    for name in ["twin-a", "twin-b"] {
        let mut server = main(&["serve", "--port", "8181"]);
        server["readinessProbe"] = json!({"tcpSocket": {"port": 8181}, "periodSeconds": 1});
        server["env"] = json!([{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
        w.pod(name, json!({}), json!({"containers": [server]})).await;
    }
    for name in ["twin-a", "twin-b"] {
        let pod = w.ready(name).await;
        let ip = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
        assert!(request(&ip, "GET", "/").await.contains(&format!("\"pod\":\"{name}\"")));
        w.delete(name).await;
    }
}

async fn bad_hook(w: &World) {
    let mut hooked = main(&["sleep", "1000"]);
    hooked["lifecycle"] = json!({"postStart": {"exec": {"command": ["false"]}}});
    w.pod("hooked", json!({}), json!({"containers": [hooked]})).await;
    w.event("hooked", "FailedPostStartHook").await;
    w.until("hooked", "another try", |pod| restarts(pod) >= 1).await;
    w.delete("hooked").await;
}

async fn exec(w: &World) {
    w.pod("commands", json!({}), json!({"containers": [main(&["sleep", "1000"])]})).await;
    w.ready("commands").await;
    assert_eq!(w.exec("commands", &["echo", "hello", "there"]).await, (0, "hello there\n".to_owned()));
    assert_eq!(w.exec("commands", &["exit", "4"]).await, (4, String::new()));
    w.delete("commands").await;
}

async fn request(ip: &str, method: &str, path: &str) -> String {
    let port = if path == "/" { 8181 } else { 8080 };
    let mut stream = TcpStream::connect(format!("{ip}:{port}")).await.unwrap();
    stream.write_all(format!("{method} {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
