//! Kubernetes' conformance tests, by what they are about. Each carries the names of the tests that it stands for.

mod life;
