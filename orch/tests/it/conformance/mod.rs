//! Tests of the Kubernetes conformance suite, ported. Each carries its codename in its documentation.

mod volumes;
