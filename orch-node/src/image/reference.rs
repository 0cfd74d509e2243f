use super::ImageError;
use oci_client::Reference;

/// The full form of a reference: `nginx` is `docker.io/library/nginx:latest`.
///
/// An image id (`sha256:` and 64 hexadecimal digits) stays as it is.
pub fn normalize(reference: &str) -> Result<String, ImageError> {
    if is_digest(reference) {
        return Ok(reference.to_owned());
    }
    Ok(whole(&parse(reference)?))
}

/// Parses a reference with the errors that the kubelet shows.
pub(crate) fn parse(reference: &str) -> Result<Reference, ImageError> {
    Reference::try_from(reference).map_err(|_| ImageError::Reference {
        reference: reference.to_owned(),
        why: if reference.is_empty() {
            "repository name must have at least one component".into()
        } else if reference.chars().any(|c| c.is_ascii_uppercase()) && !reference.contains('@') {
            "invalid reference format: repository name must be lowercase".into()
        } else {
            "invalid reference format".into()
        },
    })
}

/// Registry, repository and tag or digest; a tag beside a digest is dropped, as the digest decides.
pub(crate) fn whole(reference: &Reference) -> String {
    let name = repository(reference);
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("{name}@{digest}"),
        (None, tag) => format!("{name}:{}", tag.unwrap_or("latest")),
    }
}

/// Registry and repository.
pub(crate) fn repository(reference: &Reference) -> String {
    format!("{}/{}", reference.registry(), reference.repository())
}

/// Whether this is `sha256:` and 64 lower-case hexadecimal digits.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_get_registry_repository_and_tag() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("me/app", "docker.io/me/app:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("orch.local/toolbox", "orch.local/toolbox:latest"),
        ] {
            assert_eq!(normalize(short).unwrap(), full);
        }
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(normalize(&digest).unwrap(), digest);
        assert_eq!(normalize(&format!("nginx@{digest}")).unwrap(), format!("docker.io/library/nginx@{digest}"));
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_kubelets_words() {
        let error = normalize("a b").unwrap_err().to_string();
        assert_eq!(error, "couldn't parse image name \"a b\": invalid reference format");
        assert!(normalize("Nginx").unwrap_err().to_string().contains("must be lowercase"));
    }
}
