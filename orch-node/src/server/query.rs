//! Query strings.

use percent_encoding::percent_decode_str;

/// The parameters of a request, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
        });
        Self(pairs.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        found.filter(|v| !v.is_empty())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether any of these is `1` or `true`: kubelet and the API server have different words.
    pub(super) fn flag(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some_and(|v| matches!(v, "1" | "true" | "True")))
    }

    /// A number, or why it is none.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, super::Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| super::Refusal::bad(format!("invalid {name}: {text:?}")))
    }
}

pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
