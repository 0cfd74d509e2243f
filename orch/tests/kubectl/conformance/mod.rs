//! What the conformance suite asks of kubectl (`test/e2e/kubectl/kubectl.go`), and of what it makes of schemas.

mod controllers;
mod pods;
mod proxy;
mod published;

const IMAGE: &str = "orch.local/toolbox:latest";
const OTHER: &str = "orch.local/toolbox:other";
