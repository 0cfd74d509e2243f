//! [`Query`]: the parameters of a request, and the options that they spell.

use orch_api::{FieldError, Path, StatusError};
use orch_store::{
    Revision,
    client::{FieldValidation, ListOptions, Propagation, ReadAt, WatchOptions, WriteOptions},
};
use std::time::Duration;

/// Decoded query parameters in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=2`.
    pub fn parse(text: &str) -> Self {
        let decode = |s: &str| {
            let s = s.replace('+', " ");
            percent_encoding::percent_decode_str(&s).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// The first value of a parameter, the empty string when there is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// A boolean as Go's query conversion reads it: present and neither `0` nor `false`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"))
    }

    /// An integer; a bad request if it is none.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, StatusError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| StatusError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
        }
    }

    /// The options of a list. Fails with the words of `ValidateListOptions`.
    pub fn list_options(&self, namespace: &str) -> Result<ListOptions, StatusError> {
        let limit = self.integer("limit")?.unwrap_or(0).max(0);
        let continue_token = self.text("continue").to_owned();
        self.check_list_match()?;
        if !continue_token.is_empty() && !matches!(self.text("resourceVersion"), "" | "0") {
            return Err(StatusError::bad_request("specifying resource version is not allowed when using continue"));
        }
        let revision = match (self.resource_version()?, self.text("resourceVersionMatch")) {
            _ if !continue_token.is_empty() => ReadAt::Latest,
            (None, _) => ReadAt::Latest,
            (Some(revision), "Exact") => ReadAt::Exact(revision),
            (Some(Revision(0)), _) => ReadAt::Any,
            (Some(revision), "") if limit > 0 => ReadAt::Exact(revision),
            (Some(revision), _) => ReadAt::NotOlderThan(revision),
        };
        Ok(ListOptions {
            namespace: namespace.into(),
            labels: self.text("labelSelector").to_owned(),
            fields: self.text("fieldSelector").to_owned(),
            limit: usize::try_from(limit).unwrap_or(0),
            continue_token,
            revision,
        })
    }

    /// The options of a watch.
    pub fn watch_options(&self, namespace: &str) -> Result<WatchOptions, StatusError> {
        let initial = self.flag("sendInitialEvents");
        self.check_watch_match(initial)?;
        let after = match self.resource_version()? {
            None | Some(Revision(0)) => None,
            Some(revision) if initial == Some(true) => Some(revision),
            Some(revision) => Some(revision),
        };
        let timeout = self.integer("timeoutSeconds")?.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0);
        Ok(WatchOptions {
            namespace: namespace.into(),
            labels: self.text("labelSelector").to_owned(),
            fields: self.text("fieldSelector").to_owned(),
            after,
            initial_events: initial == Some(true),
            bookmarks: self.flag("allowWatchBookmarks").unwrap_or(false),
            timeout: timeout.map(Duration::from_secs),
        })
    }

    /// The options of create, update and patch.
    pub fn write_options(&self, kind: &str) -> Result<WriteOptions, StatusError> {
        let mut errors = Vec::new();
        let dry_run = self.dry_run(&mut errors);
        let field_validation = match self.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let path = Path::new("fieldValidation");
                errors.push(FieldError::not_supported(&path, other, &["", "Ignore", "Strict", "Warn"]));
                FieldValidation::Warn
            }
        };
        let field_manager = self.text("fieldManager").to_owned();
        if field_manager.len() > 128 {
            errors.push(FieldError::too_long(&Path::new("fieldManager"), 128));
        }
        if let Some(c) = field_manager.chars().find(|c| c.is_control()) {
            let at = field_manager.find(c).unwrap_or_default();
            let why = format!("invalid character U+{:04X} (at position {at})", c as u32);
            errors.push(FieldError::invalid(&Path::new("fieldManager"), field_manager.clone(), why));
        }
        match errors.is_empty() {
            true => Ok(WriteOptions {
                field_manager,
                dry_run,
                field_validation,
                force: self.flag("force").unwrap_or(false),
            }),
            false => Err(StatusError::invalid("meta.k8s.io", kind, "", &errors)),
        }
    }

    /// Whether `dryRun=All`; other words are errors.
    pub fn dry_run(&self, errors: &mut Vec<FieldError>) -> bool {
        let words: Vec<&str> = self.all("dryRun").filter(|w| !w.is_empty()).collect();
        for word in words.iter().filter(|w| **w != "All") {
            errors.push(FieldError::not_supported(&Path::new("dryRun"), *word, &["All"]));
        }
        !words.is_empty()
    }

    /// The propagation policy that a delete asks for in its query.
    pub fn propagation(&self) -> Option<&str> {
        self.get("propagationPolicy").filter(|p| !p.is_empty())
    }

    fn resource_version(&self) -> Result<Option<Revision>, StatusError> {
        match self.text("resourceVersion") {
            "" => Ok(None),
            text => parse_revision(text).map(Some),
        }
    }

    fn check_list_match(&self) -> Result<(), StatusError> {
        let mut errors = Vec::new();
        let path = Path::new("resourceVersionMatch");
        let mut forbid = |why: &str| errors.push(FieldError::forbidden(&path, why));
        let matching = self.text("resourceVersionMatch");
        if !matching.is_empty() {
            if self.text("resourceVersion").is_empty() {
                forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if !self.text("continue").is_empty() {
                forbid("resourceVersionMatch is forbidden when continue is provided");
            }
            if matching == "Exact" && self.text("resourceVersion") == "0" {
                forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
            }
            if !matches!(matching, "Exact" | "NotOlderThan") {
                errors.push(FieldError::not_supported(&path, matching, &["", "Exact", "NotOlderThan"]));
            }
        }
        if self.get("sendInitialEvents").is_some() {
            let path = Path::new("sendInitialEvents");
            errors.push(FieldError::forbidden(&path, "sendInitialEvents is forbidden for list"));
        }
        refuse(errors)
    }

    fn check_watch_match(&self, initial: Option<bool>) -> Result<(), StatusError> {
        let mut errors = Vec::new();
        let path = Path::new("resourceVersionMatch");
        let matching = self.text("resourceVersionMatch");
        if initial.is_some() && matching != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(FieldError::forbidden(&path, why));
        }
        if !matching.is_empty() {
            if initial.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                errors.push(FieldError::forbidden(&path, why));
            }
            if matching != "NotOlderThan" {
                errors.push(FieldError::not_supported(&path, matching, &["NotOlderThan"]));
            }
            if !self.text("continue").is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                errors.push(FieldError::forbidden(&path, why));
            }
        }
        refuse(errors)
    }
}

/// Reads a resource version that a client sent.
pub fn parse_revision(text: &str) -> Result<Revision, StatusError> {
    text.parse().map(Revision).map_err(|_| {
        StatusError::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: \
             strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

/// Reads a propagation policy.
pub fn parse_propagation(text: &str) -> Result<Propagation, FieldError> {
    match text {
        "Orphan" => Ok(Propagation::Orphan),
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        other => {
            let words = ["Foreground", "Background", "Orphan", "nil"];
            Err(FieldError::not_supported(&Path::new("propagationPolicy"), other, &words))
        }
    }
}

fn refuse(errors: Vec<FieldError>) -> Result<(), StatusError> {
    if errors.is_empty() { Ok(()) } else { Err(StatusError::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}
