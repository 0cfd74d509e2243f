//! Regular expressions, compiled once per text. Go's RE2 and the `regex` crate share their syntax but for names of
//! classes; what one refuses the other does nearly always.

use regex::Regex;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// As many patterns as are kept.
const KEPT: usize = 4096;

/// The compiled pattern, or why it is none.
pub(crate) fn compile(pattern: &str) -> Result<Arc<Regex>, String> {
    static CACHE: OnceLock<Mutex<HashMap<String, Arc<Regex>>>> = OnceLock::new();
    let mut cache = CACHE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = cache.get(pattern) {
        return Ok(known.clone());
    }
    // `\z` and `\Z`, `\Q…\E` aside, Go and Rust agree; an escaped `/` is an error in neither.
    let compiled = Regex::new(pattern).map_err(|error| match error {
        regex::Error::Syntax(text) => text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        other => other.to_string(),
    })?;
    if cache.len() >= KEPT {
        cache.clear();
    }
    let compiled = Arc::new(compiled);
    cache.insert(pattern.to_owned(), compiled.clone());
    Ok(compiled)
}
