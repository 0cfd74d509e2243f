use crate::node::{Node, skip_without, toolbox};
use orch_node::image::load_archive;
use orch_runtime::node::container::{ContainerConfig, ContainerRuntime, RuntimeError};
use std::{
    fs::{self, File},
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// An OCI layout with two layers: the toolbox, and one that adds and hides files.
fn layout(node: &Node) -> PathBuf {
    let dir = node.dir.path().join("layout");
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let image = node.images_store().find("orch.local/toolbox").unwrap().unwrap();
    let root = node.images_store().lower_dirs(&image).remove(0);
    let mut base = tar::Builder::new(Vec::new());
    base.follow_symlinks(false);
    base.append_dir_all(".", root).unwrap();
    let mut top = tar::Builder::new(Vec::new());
    for (name, text) in
        [("added", "two\n"), ("bin/.wh.echo", ""), ("etc/.wh..wh..opq", ""), ("etc/passwd", "app:x:77:78::/:\n")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        top.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let put = |bytes: &[u8]| {
        use sha2::Digest;
        let hex = format!("{:x}", sha2::Sha256::digest(bytes));
        fs::write(blobs.join(&hex), bytes).unwrap();
        (format!("sha256:{hex}"), bytes.len())
    };
    let (base, top) = (base.into_inner().unwrap(), top.into_inner().unwrap());
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&top).unwrap();
    let (base, base_size) = put(&base);
    let (top, _) = put(&top);
    let (packed, packed_size) = put(&gz.finish().unwrap());
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let (config, config_size) = put(serde_json::json!({
        "architecture": architecture, "os": "linux",
        "config": {"Entrypoint": ["/orch", "toolbox"], "Env": ["PATH=/bin"], "User": "app"},
        "rootfs": {"type": "layers", "diff_ids": [base, top]},
    })
    .to_string()
    .as_bytes());
    let layer = "application/vnd.oci.image.layer.v1.tar";
    let (manifest, manifest_size) = put(serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [
            {"mediaType": layer, "digest": base, "size": base_size},
            {"mediaType": format!("{layer}+gzip"), "digest": packed, "size": packed_size},
        ],
    })
    .to_string()
    .as_bytes());
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": manifest_size,
        "annotations": {"org.opencontainers.image.ref.name": "v1"},
    }]});
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    dir
}

fn skopeo(args: &[&str]) {
    let output = Command::new("skopeo").arg("--insecure-policy").args(args).output().unwrap();
    assert!(output.status.success(), "skopeo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn check(node: &Node, image: &str) {
    let config = ContainerConfig { image: image.into(), ..toolbox(&["sleep", "infinity"]) };
    let (_, container) = node.start(config).await;
    assert_eq!(node.output(&container, &["cat", "/added"]).await, "two\n");
    assert_eq!(node.output(&container, &["id"]).await, "uid=77 gid=78 groups=78\n");
    let bin = node.output(&container, &["ls", "/bin"]).await;
    assert!(bin.contains("cat\n") && !bin.contains("echo\n"), "hidden by a whiteout: {bin}");
    let etc = node.output(&container, &["ls", "/etc"]).await;
    assert!(etc.contains("passwd") && !etc.contains("nsswitch"), "hidden by an opaque directory: {etc}");
}

pub(crate) async fn an_archive_made_by_skopeo_is_loaded_and_run() {
    if skip_without("skopeo") {
        return;
    }
    let node = Node::new().await;
    let layout = layout(&node);
    for (kind, name) in [("docker-archive", "docker"), ("oci-archive", "oci")] {
        let archive = node.dir.path().join(format!("{name}.tar"));
        let image = format!("example.com/{name}/app:v1");
        let target = match kind {
            "docker-archive" => format!("docker-archive:{}:{image}", archive.display()),
            _ => format!("oci-archive:{}:{image}", archive.display()),
        };
        skopeo(&["copy", "-q", &format!("oci:{}:v1", layout.display()), &target]);
        let loaded = load_archive(&node.images_store(), &archive, None).unwrap();
        assert!(loaded[0].tags.contains(&image), "{:?}", loaded[0].tags);
        check(&node, &image).await;
    }
    node.remove_image("example.com/docker/app:v1").await.unwrap();
    let error = node.remove_image("example.com/oci/app:v1").await.unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    node.clean().await;
}

pub(crate) async fn an_image_is_pulled_from_a_registry() {
    if skip_without("skopeo") || skip_without("docker-registry") {
        return;
    }
    let node = Node::new().await;
    let registry = Registry::start(node.dir.path());
    let image = format!("127.0.0.1:{}/test/app:v1", registry.port);
    let source = format!("oci:{}:v1", layout(&node).display());
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", registry.port)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    skopeo(&["copy", "-q", "--dest-tls-verify=false", &source, &format!("docker://{image}")]);
    let pulled = node.pull_image(&image, None).await.unwrap();
    assert_eq!(pulled.tags, std::slice::from_ref(&image));
    assert_eq!(pulled.user, "app");
    assert!(pulled.digests[0].starts_with(&format!("127.0.0.1:{}/test/app@sha256:", registry.port)));
    check(&node, &image).await;
    check(&node, &pulled.digests[0]).await;

    let missing = format!("127.0.0.1:{}/test/none:v1", registry.port);
    let error = node.pull_image(&missing, None).await.unwrap_err();
    let why = format!("failed to resolve reference {missing:?}: {missing}: not found");
    assert_eq!(error, RuntimeError::Pull { reference: missing, why });
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = node.pull_image(&format!("127.0.0.1:{closed}/x:v1"), None).await.unwrap_err().to_string();
    assert!(error.contains("onnection refused"), "{error}");
    node.clean().await;
}

struct Registry {
    process: Child,
    port: u16,
}

impl Registry {
    fn start(dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.join("registry.yml");
        let data = dir.join("registry");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            data.display()
        );
        fs::write(&config, text).unwrap();
        let log = File::create(dir.join("registry.log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { process: command.spawn().unwrap(), port }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
