//! The resources: which one a request is for, and what is there. Knows no connection.
//!
//! They are a closed set of paths, compared byte by byte: nothing is decoded, no folder is walked, so
//! there is no second way to write one.

use http1::{Response, StatusCode};

use crate::exposition::{self, Exposition};
use crate::page::{self, Language};
use crate::view::View;

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// The live page.
    Page(Language),
    Metrics,
    /// Whether the loop turns.
    Health,
    /// Whether bets are taken.
    Readiness,
    Status,
    /// The stream of events.
    Events,
}

/// A response and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<'static>,
    pub(crate) body: Vec<u8>,
}

impl Resource {
    /// The resource with this path, if there is one.
    pub(crate) fn find(path: &str, query: Option<&str>) -> Option<Self> {
        Some(match path {
            "/" => Self::Page(language(query.unwrap_or_default())),
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/status.json" => Self::Status,
            "/events" => Self::Events,
            _ => return None,
        })
    }

    /// What is there now; instead of a stream, that there are too many.
    pub(crate) fn answer(self, view: &dyn View) -> Answer {
        match self {
            Self::Page(language) => {
                let body = page::render(&view.status(), language).into_bytes();
                let response = Response::new(StatusCode::Ok, "text/html; charset=utf-8")
                    .content_security_policy(page::CONTENT_SECURITY_POLICY);
                Answer { response, body }
            }
            Self::Metrics => {
                let mut exposition = Exposition::new();
                view.metrics(&mut exposition);
                Answer::ok(exposition::CONTENT_TYPE, exposition.as_str().as_bytes().to_vec())
            }
            Self::Health => Answer::text(StatusCode::Ok, "ok"),
            Self::Readiness => match view.readiness() {
                Ok(()) => Answer::text(StatusCode::Ok, "ready"),
                Err(why) => Answer::text(StatusCode::ServiceUnavailable, &why.to_string()),
            },
            Self::Status => Answer::ok("application/json", view.status().to_json()),
            Self::Events => Answer::too_many_streams(),
        }
    }
}

/// The type of the stream of events.
pub(crate) const EVENTS_TYPE: &str = "text/event-stream";

/// After how many seconds a client whose stream was refused is asked to try again.
const RETRY_AFTER: u32 = 5;

impl Answer {
    fn ok(content_type: &'static str, body: Vec<u8>) -> Self {
        Self { response: Response::new(StatusCode::Ok, content_type), body }
    }

    /// One line.
    pub(crate) fn text(status_code: StatusCode, line: &str) -> Self {
        let body = format!("{line}\n").into_bytes();
        Self { response: Response::text(status_code), body }
    }

    fn too_many_streams() -> Self {
        let text = "expected fewer streams of events at a time: SERVER_ADMIN_STREAMS is reached";
        let answer = Self::text(StatusCode::ServiceUnavailable, text);
        Self { response: answer.response.retry_after(RETRY_AFTER), ..answer }
    }
}

/// The language that the query asks for: the last one, if it is there more than once. What else it
/// asks for has no meaning here.
fn language(query: &str) -> Language {
    let asked = query.split('&').filter_map(|pair| pair.strip_prefix("lang=")).next_back();
    match asked {
        Some("en") => Language::English,
        _ => Language::Spanish,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_found_by_their_exact_path() {
        let spanish = Some(Resource::Page(Language::Spanish));
        assert_eq!(Resource::find("/", None), spanish);
        assert_eq!(Resource::find("/metrics", Some("a=b")), Some(Resource::Metrics));
        assert_eq!(Resource::find("/healthz", None), Some(Resource::Health));
        assert_eq!(Resource::find("/readyz", None), Some(Resource::Readiness));
        assert_eq!(Resource::find("/status.json", None), Some(Resource::Status));
        assert_eq!(Resource::find("/events", None), Some(Resource::Events));
    }

    #[test]
    fn nothing_else_is_one() {
        for path in [
            "//",
            "/index.html",
            "/metrics/",
            "/Metrics",
            "/./metrics",
            "/a/../metrics",
            "/..",
            "/../etc/passwd",
            "/%6detrics",
            "/%2e%2e/",
            "/metrics%00",
            "/metrics;a",
            "/status",
            "/events/1",
            "/favicon.ico",
            "//metrics",
            "/healthz.",
            "/\\metrics",
        ] {
            assert_eq!(Resource::find(path, None), None, "{path}");
        }
    }

    #[test]
    fn the_page_is_in_spanish_unless_english_is_asked_for() {
        for query in [
            "",
            "lang=es",
            "lang=de",
            "lang=",
            "lang",
            "LANG=en",
            "lang=EN",
            "xlang=en",
            "lang=en&lang=es",
        ] {
            assert_eq!(language(query), Language::Spanish, "{query}");
        }
        for query in ["lang=en", "a=b&lang=en", "lang=es&lang=en", "lang=en&", "&&lang=en"] {
            assert_eq!(language(query), Language::English, "{query}");
        }
    }
}
