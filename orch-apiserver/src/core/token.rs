//! [`Token`]: where a list goes on (`apiserver/pkg/storage/continue.go`).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use orch_api::{Key, StatusError};
use orch_store::{Revision, cache::Position, client::ReadAt};
use serde::{Deserialize, Serialize};

/// What a client hears whose token is older than the history.
pub const TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start \
     a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
     the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
     modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// What stands for the newest revision in a token.
const NEWEST: i64 = -1;

/// A continue token: the revision of the whole list, and where its last page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The revision at which the list holds; `None` for the newest there is, with which a list goes on that has become
    /// too old to be consistent.
    pub revision: Option<Revision>,
    /// The last object so far.
    pub position: Position,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
    #[serde(default)]
    served: usize,
}

impl Token {
    /// A token for what follows a position.
    pub fn new(revision: Revision, position: Position) -> Self {
        Self { revision: Some(revision), position }
    }

    /// The token for what follows the same position, as it is now.
    #[must_use]
    pub fn inconsistent(self) -> Self {
        Self { revision: None, ..self }
    }

    /// Reads a token; `None` for the empty one.
    pub fn parse(text: &str) -> Result<Option<Self>, StatusError> {
        if text.is_empty() {
            return Ok(None);
        }
        let bad =
            |why: String| StatusError::bad_request(format!("invalid continue token: continue key is not valid{why}"));
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|e| bad(format!(": {e}")))?;
        let wire: Wire = serde_json::from_slice(&bytes).map_err(|e| bad(format!(": {e}")))?;
        if wire.v != "meta.k8s.io/v1" {
            return Err(bad(format!(": server does not recognize this encoded version {}", wire.v)));
        }
        let revision = match (wire.rv, u64::try_from(wire.rv)) {
            (NEWEST, _) => None,
            (1.., Ok(revision)) => Some(Revision(revision)),
            _ => return Err(bad(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)".into())),
        };
        let start = wire.start.trim_end_matches('\0');
        if start.is_empty() {
            return Err(bad(": encoded start key empty (version meta.k8s.io/v1)".into()));
        }
        if start.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(bad(format!(": {start}")));
        }
        let (namespace, name) = start.split_once('/').unwrap_or(("", start));
        Ok(Some(Self { revision, position: Position { key: Key::new(namespace, name), served: wire.served } }))
    }

    /// The token as clients carry it.
    pub fn encode(&self) -> String {
        let wire = Wire {
            v: "meta.k8s.io/v1".into(),
            rv: self.revision.map_or(NEWEST, |revision| i64::try_from(revision.0).unwrap_or(i64::MAX)),
            start: format!("{}\0", self.position.key),
            served: self.position.served,
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
    }

    /// The revision at which the next page must be read.
    pub fn read_at(&self) -> ReadAt {
        self.revision.map_or(ReadAt::Latest, ReadAt::Exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_went() {
        let token = Token::new(Revision(42), Position { key: Key::new("a", "b"), served: 3 });
        assert_eq!(Token::parse(&token.encode()).unwrap(), Some(token.clone()));
        let newest = token.inconsistent();
        assert_eq!(Token::parse(&newest.encode()).unwrap(), Some(newest.clone()));
        assert_eq!(newest.read_at(), ReadAt::Latest);
        assert_eq!(Token::parse("").unwrap(), None);
    }

    #[test]
    fn a_token_that_was_tampered_with_is_a_bad_request() {
        for text in ["?", "e30", &URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../x"}"#)] {
            assert_eq!(Token::parse(text).unwrap_err().code(), 400, "{text}");
        }
    }
}
