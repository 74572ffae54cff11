//! The forms of a target that a server understands which is no proxy: `/PATH?QUERY`, and
//! `http://HOST/PATH?QUERY`, whose host replaces the Host header's.
//!
//! Knows no resource, and decodes no percent-encoding.

/// A target, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Host and port, when the target has them.
    pub(crate) authority: Option<&'a str>,
    /// From its `/` on.
    pub(crate) path: &'a str,
    /// What stands behind `?`.
    pub(crate) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// `None` when it has neither form.
    pub(crate) fn parse(target: &'a str) -> Option<Self> {
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return None;
        }
        if target.starts_with('/') {
            return Some(Self::resource(None, target));
        }
        let rest = without_scheme(target)?;
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let is_host = !authority.is_empty() && is_authority(authority);
        is_host.then(|| Self::resource(Some(authority), resource))
    }

    fn resource(authority: Option<&'a str>, resource: &'a str) -> Self {
        let (path, query) = match resource.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (resource, None),
        };
        Self { authority, path: if path.is_empty() { "/" } else { path }, query }
    }
}

fn without_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_http.then_some(rest)
}

/// Whether `text` has only what a host and a port consist of: above all no `/`, which would end it,
/// and no `@`, before which something else would stand.
pub(crate) fn is_authority(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(target: &str) -> Option<(Option<&str>, &str, Option<&str>)> {
        Target::parse(target).map(|found| (found.authority, found.path, found.query))
    }

    #[test]
    fn both_forms_are_taken_apart() {
        assert_eq!(parsed("/"), Some((None, "/", None)));
        assert_eq!(parsed("/a/b?c=d?e"), Some((None, "/a/b", Some("c=d?e"))));
        assert_eq!(parsed("//a"), Some((None, "//a", None)));
        assert_eq!(parsed("/?"), Some((None, "/", Some(""))));
        assert_eq!(parsed("http://a:1/b"), Some((Some("a:1"), "/b", None)));
        assert_eq!(parsed("HTTPS://[::1]:1"), Some((Some("[::1]:1"), "/", None)));
        assert_eq!(parsed("http://a?b"), Some((Some("a"), "/", Some("b"))));
    }

    #[test]
    fn nothing_else_is_a_target() {
        for target in [
            "*",
            "a",
            "a:80",
            "http:/a",
            "http://",
            "http:///a",
            "http://u@a/",
            "ftp://a/",
            "://a/",
            "/a#b",
            "/ñ",
            "/a\u{7f}",
            "/a b",
            "/a\t",
            "http://a\\b/",
            "",
        ] {
            assert_eq!(parsed(target), None, "{target}");
        }
    }
}
