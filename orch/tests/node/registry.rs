//! A registry on this machine, and what is pushed to it.

use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A running `docker-registry`; ends with the value.
pub(crate) struct Registry {
    process: Child,
    port: u16,
}

impl Registry {
    /// Starts a registry that keeps its images under `dir`.
    pub(crate) async fn start(dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (config, data) = (dir.join("registry.yml"), dir.join("registry"));
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let log = File::create(dir.join("registry.log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let registry = Self { process: command.spawn().unwrap(), port };
        crate::cluster::until("the registry", async || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        registry
    }

    /// Pushes the image of a layout; its full name.
    pub(crate) fn push(&self, layout: &Path, name: &str) -> String {
        let image = format!("127.0.0.1:{}/{name}", self.port);
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "-q", "--dest-tls-verify=false"])
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(format!("docker://{image}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        image
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
