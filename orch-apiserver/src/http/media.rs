//! Content negotiation: which form of an answer the client accepts, and in which form a body came
//! (`apiserver/pkg/endpoints/handlers/negotiation`).

use http::{HeaderMap, header};
use orch_api::{Reason, StatusError, protobuf};

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// The encoding.
    pub encoding: Encoding,
    /// The form that objects take.
    pub form: Form,
    /// Whether JSON is indented for people.
    pub pretty: bool,
}

/// How bytes spell an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    #[default]
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

impl Encoding {
    /// The `Content-Type` of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => protobuf::MEDIA_TYPE,
        }
    }
}

/// What is made of an object before it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The object itself.
    #[default]
    Object,
    /// `meta.k8s.io/v1 Table`
    Table,
    /// `meta.k8s.io/v1 PartialObjectMetadata`
    Partial,
    /// `meta.k8s.io/v1 PartialObjectMetadataList`
    PartialList,
}

impl Media {
    /// Chooses among what the client accepts, by weight and then by order. `protobuf` says whether the objects
    /// have that encoding; tables never do. `plain` says that the objects are shown as they are alone: reviews have no
    /// metadata to make a table of.
    pub fn accepted(
        headers: &HeaderMap,
        pretty: Option<&str>,
        protobuf: bool,
        plain: bool,
    ) -> Result<Self, StatusError> {
        let pretty = match pretty {
            Some(word) => !matches!(word, "0" | "false"),
            None => false,
        };
        let accept = header_text(headers, header::ACCEPT);
        if accept.trim().is_empty() {
            return Ok(Self { pretty, ..Self::default() });
        }
        let mut clauses: Vec<&str> = accept.split(',').collect();
        clauses.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        for clause in clauses {
            let mut parts = clause.split(';').map(str::trim);
            let Some(encoding) = encoding(parts.next().unwrap_or_default()) else { continue };
            let Some(form) = form(parts).filter(|form| !plain || *form == Form::Object) else { continue };
            if encoding != Encoding::Protobuf || protobuf && form != Form::Table {
                return Ok(Self { encoding, form, pretty });
            }
        }
        Err(StatusError::new(Reason::NotAcceptable, format!("only the following media types are accepted: {ACCEPTED}")))
    }

    /// The bare JSON form, which errors fall back to.
    pub fn json() -> Self {
        Self::default()
    }
}

/// The media types that a client accepts, without their parameters, the most wanted first. None is any.
pub fn preferences(headers: &HeaderMap) -> Vec<String> {
    let accept = header_text(headers, header::ACCEPT);
    let mut clauses: Vec<&str> = accept.split(',').filter(|clause| !clause.trim().is_empty()).collect();
    clauses.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    let names = clauses.iter().map(|clause| clause.split(';').next().unwrap_or_default().trim().to_owned());
    if clauses.is_empty() { vec!["*/*".to_owned()] } else { names.collect() }
}

/// How a body came. An absent `Content-Type` means JSON.
pub fn body_encoding(headers: &HeaderMap) -> Result<Encoding, StatusError> {
    match content_type(headers).as_str() {
        "" | "application/json" => Ok(Encoding::Json),
        "application/yaml" | "text/yaml" | "application/x-yaml" => Ok(Encoding::Yaml),
        protobuf::MEDIA_TYPE => Ok(Encoding::Protobuf),
        _ => Err(unsupported(ACCEPTED)),
    }
}

/// The media type of a body without its parameters.
pub fn content_type(headers: &HeaderMap) -> String {
    let text = header_text(headers, header::CONTENT_TYPE);
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// `415` with the list of what would have been understood.
pub fn unsupported(accepted: &str) -> StatusError {
    StatusError::new(
        Reason::UnsupportedMediaType,
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}"),
    )
}

/// A header as text; empty when it is absent or not text.
pub fn header_text(headers: &HeaderMap, name: header::HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect();
    values.join(",")
}

fn encoding(media_type: &str) -> Option<Encoding> {
    match media_type {
        "application/json" | "*/*" | "application/*" => Some(Encoding::Json),
        "application/yaml" => Some(Encoding::Yaml),
        protobuf::MEDIA_TYPE => Some(Encoding::Protobuf),
        _ => None,
    }
}

/// The `q` of a clause; 1 where there is none.
fn weight(clause: &str) -> f32 {
    let words = clause.split(';').skip(1).filter_map(|parameter| parameter.trim().strip_prefix("q="));
    words.last().and_then(|word| word.parse().ok()).unwrap_or(1.0)
}

fn form<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<Form> {
    let (mut target, mut group, mut version) = ("", "", "");
    for parameter in parameters {
        match parameter.split_once('=') {
            Some(("as", value)) => target = value,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            _ => {}
        }
    }
    if target.is_empty() {
        return Some(Form::Object);
    }
    if group != "meta.k8s.io" || !matches!(version, "v1" | "v1beta1") {
        return None;
    }
    match target {
        "Table" => Some(Form::Table),
        "PartialObjectMetadata" => Some(Form::Partial),
        "PartialObjectMetadataList" => Some(Form::PartialList),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str, protobuf: bool) -> Option<(Encoding, Form)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Media::accepted(&headers, None, protobuf, false).ok().map(|m| (m.encoding, m.form))
    }

    fn check(accept: &str, expected: Option<Form>) {
        assert_eq!(accepted(accept, true).map(|(_, form)| form), expected, "{accept}");
    }

    #[test]
    fn the_first_acceptable_clause_wins() {
        check("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some(Form::Table));
        check("application/vnd.kubernetes.protobuf,application/json", Some(Form::Object));
        check("application/json;as=Table;g=example.com;v=v1,application/json", Some(Form::Object));
        check("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Some(Form::PartialList));
        check("text/html", None);
        check("*/*", Some(Form::Object));
    }

    #[test]
    fn protobuf_is_for_objects_that_have_it() {
        let either = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(accepted(either, true), Some((Encoding::Protobuf, Form::Object)));
        assert_eq!(accepted(either, false), Some((Encoding::Json, Form::Object)));
        assert_eq!(accepted("application/vnd.kubernetes.protobuf", false), None);
        let table = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(accepted(table, true), Some((Encoding::Json, Form::Object)));
    }

    #[test]
    fn the_greater_weight_goes_first() {
        let accept = "application/json;q=0.5,application/vnd.kubernetes.protobuf;q=0.8,application/yaml;q=0.8";
        assert_eq!(accepted(accept, true), Some((Encoding::Protobuf, Form::Object)));
    }
}
