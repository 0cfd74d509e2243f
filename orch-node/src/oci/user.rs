//! Who a container runs as: the pod's wish, the image's user, and the image's own lists of users.

use orch_runtime::node::container::Security;
use std::{fs, path::Path};

/// Numbers for the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// Resolves `user` (the image's, as `name`, `name:group` or numbers) and the pod's wishes against the
/// texts of the image's `/etc/passwd` and `/etc/group`.
pub(super) fn resolve(user: &str, security: &Security, passwd: &str, group: &str) -> Result<Identity, String> {
    let (image_user, image_group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    let wanted = security.run_as_user.map(|uid| uid.to_string());
    let name = wanted.as_deref().unwrap_or(image_user);
    let entry = lookup(passwd, name);
    let (uid, primary) = match (&entry, name) {
        (Some(fields), _) => (number(fields.get(2))?, number(fields.get(3))?),
        (None, "") => (0, 0),
        (None, name) => {
            let uid =
                name.parse().map_err(|_| format!("unable to find user {name}: no matching entries in passwd file"))?;
            (uid, 0)
        }
    };
    let gid = match (security.run_as_group, image_group.filter(|_| wanted.is_none())) {
        (Some(gid), _) => u32::try_from(gid).map_err(|_| format!("bad group {gid}"))?,
        (None, Some(name)) => match lookup(group, name) {
            Some(fields) => number(fields.get(2))?,
            None => {
                name.parse().map_err(|_| format!("unable to find group {name}: no matching entries in group file"))?
            }
        },
        (None, None) => primary,
    };
    let mut groups = vec![gid];
    let login = entry.as_ref().and_then(|fields| fields.first().copied());
    groups.extend(member_of(group, login));
    for gid in &security.supplemental_groups {
        groups.push(u32::try_from(*gid).map_err(|_| format!("bad group {gid}"))?);
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(Identity { uid, gid, groups })
}

/// Reads a file of an image from its layers (the topmost first) without mounting them. Links are not
/// followed: an image must not make us read the node's files.
pub(super) fn read_from_layers(lower_dirs: &[impl AsRef<Path>], name: &str) -> String {
    for dir in lower_dirs {
        let (parent, path) = (dir.as_ref().join("etc"), dir.as_ref().join("etc").join(name));
        if !fs::symlink_metadata(&parent).is_ok_and(|meta| meta.is_dir()) {
            continue;
        }
        if let Ok(meta) = fs::symlink_metadata(&path) {
            let small_file = meta.is_file() && meta.len() < 16 << 20;
            return if small_file { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        }
    }
    String::new()
}

/// The line whose name or number is `key`, in fields; names first.
fn lookup<'a>(text: &'a str, key: &str) -> Option<Vec<&'a str>> {
    let lines = || text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let by = |at: usize| lines().find(|fields| !key.is_empty() && fields.get(at) == Some(&key));
    by(0).or_else(|| by(2))
}

fn member_of(group: &str, login: Option<&str>) -> Vec<u32> {
    let Some(login) = login else { return Vec::new() };
    let lines = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mine = lines.filter(|fields| fields.get(3).is_some_and(|members| members.split(',').any(|name| name == login)));
    mine.filter_map(|fields| fields.get(2)?.parse().ok()).collect()
}

fn number(field: Option<&&str>) -> Result<u32, String> {
    field.and_then(|text| text.parse().ok()).ok_or_else(|| "malformed passwd or group file in the image".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:www:/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nlogs:x:50:other,web\n";

    fn check(user: &str, security: Security, expected: Result<(u32, u32, &[u32]), &str>) {
        let found = resolve(user, &security, PASSWD, GROUP);
        let expected = expected
            .map(|(uid, gid, groups)| Identity { uid, gid, groups: groups.to_vec() })
            .map_err(ToOwned::to_owned);
        assert_eq!(found, expected, "{user:?}");
    }

    #[test]
    fn the_image_names_its_user_and_the_files_its_groups() {
        check("", Security::default(), Ok((0, 0, &[0])));
        check("web", Security::default(), Ok((33, 34, &[34, 50])));
        check("33", Security::default(), Ok((33, 34, &[34, 50])));
        check("web:logs", Security::default(), Ok((33, 50, &[50])));
        check("1234:5", Security::default(), Ok((1234, 5, &[5])));
        check("ghost", Security::default(), Err("unable to find user ghost: no matching entries in passwd file"));
    }

    #[test]
    fn the_pod_decides_over_the_image() {
        let security = Security {
            run_as_user: Some(1000),
            run_as_group: Some(2000),
            supplemental_groups: vec![3000],
            ..Default::default()
        };
        check("web:logs", security, Ok((1000, 2000, &[2000, 3000])));
        check("web:logs", Security { run_as_user: Some(1000), ..Default::default() }, Ok((1000, 0, &[0])));
    }
}
