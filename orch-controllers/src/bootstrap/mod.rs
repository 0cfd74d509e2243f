//! Bootstrap tokens: what new nodes prove themselves with before they have anything else (`pkg/controller/bootstrap`). Off
//! unless somebody asks for it, as upstream.

mod signer;
mod token;
mod token_cleaner;

pub use signer::BootstrapSigner;
pub use token_cleaner::TokenCleaner;

/// The type of secrets that hold such tokens.
const TOKEN: &str = "bootstrap.kubernetes.io/token";
/// Where they are.
const NAMESPACE: &str = "kube-system";
