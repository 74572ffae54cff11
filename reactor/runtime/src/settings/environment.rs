//! Names in the environment that look like ours and aren't. Names there are exact, as POSIX has them:
//! one that is meant for us and isn't read must not go unnoticed.

use super::nearest::nearest;
use super::setting::Table;
use super::warning::Warning;

/// The warning of a variable that no setting is called by; `None` when it isn't meant for us.
pub(super) fn warning_of(
    table: Table,
    prefixes: &[&str],
    name: &str,
    value: &str,
) -> Option<Warning> {
    let upper = name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_uppercase();
    let upper = upper.replace(['-', '.'], "_");
    let origin = format!("environment variable {name}");
    if table.iter().any(|setting| setting.declaration().names.key == upper) {
        let hint = Some(format!("names are exact here: {upper}"));
        return Some(Warning::Unknown { origin, hint });
    }
    let ours = prefixes.iter().any(|prefix| upper.starts_with(prefix));
    if !ours || is_of_a_service(&upper, value) {
        return None;
    }
    let hint = nearest(table, &upper).map(|names| format!("did you mean {}?", names.key));
    Some(Warning::Unknown { origin, hint })
}

/// Whether Kubernetes or Docker has made this variable, for a service or a link whose name begins as
/// our names do: `SERVER_SERVICE_HOST`, `SERVER_PORT_12345_TCP_ADDR`, `SERVER_ENV_PATH`, `SERVER_NAME`.
fn is_of_a_service(name: &str, value: &str) -> bool {
    let of_service = name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_");
    let of_link = name.contains("_ENV_") || name.ends_with("_NAME") && value.starts_with('/');
    of_service || of_link || names_a_port(name) || name.ends_with("_PORT") && is_url(value)
}

/// `..._PORT_12345_TCP`, and what may follow that.
fn names_a_port(name: &str) -> bool {
    name.split("_PORT_").skip(1).any(|part| {
        let mut words = part.split('_');
        let number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
        number && matches!(words.next(), Some("TCP" | "UDP" | "SCTP"))
    })
}

/// What a service's own `..._PORT` holds: `tcp://10.0.0.1:12345`.
pub(super) fn is_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(scheme, _)| matches!(scheme, "tcp" | "udp" | "sctp"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::setting::Names;

    crate::settings! {
        static TABLE;

        "One" {
            PORT: u16 = Names::new("SERVER_PORT", "SERVER_PORT", "port").number(1..=9);
        }
    }

    fn warning(name: &str, value: &str) -> Option<String> {
        let found = warning_of(TABLE, &["SERVER_", "LOGGING_"], name, value);
        found.map(|warning| warning.to_string())
    }

    #[test]
    fn a_name_that_is_almost_ours_is_reported() {
        for name in ["server_port", "Server_Port", "SERVER-PORT", "SERVER_PORT "] {
            let expected =
                format!("unknown: environment variable {name} (names are exact here: SERVER_PORT)");
            assert_eq!(warning(name, "1"), Some(expected));
        }
        assert!(
            warning("\u{feff}SERVER_PORT", "1").is_some_and(|text| text.contains("exact here"))
        );
        for name in ["SERVER_PROT", "SERVER_PORT_NUMBER"] {
            let expected =
                format!("unknown: environment variable {name} (did you mean SERVER_PORT?)");
            assert_eq!(warning(name, "1"), Some(expected));
        }
        let expected = "unknown: environment variable LOGGING_FORMAT".to_owned();
        assert_eq!(warning("LOGGING_FORMAT", "1"), Some(expected));
    }

    #[test]
    fn what_others_set_is_none_of_ours() {
        for (name, value) in [
            ("PATH", "/bin"),
            ("CLI_ID", "1"),
            ("SERVER_SERVICE_HOST", "10.0.0.1"),
            ("SERVER_SERVICE_PORT", "12345"),
            ("SERVER_SERVICE_PORT_ECHO", "12345"),
            ("SERVER_PORT_12345_TCP", "tcp://10.0.0.1:12345"),
            ("SERVER_PORT_12345_TCP_ADDR", "10.0.0.1"),
            ("SERVER_PORT_12345_TCP_PORT", "12345"),
            ("SERVER_PORT_12345_TCP_PROTO", "tcp"),
            ("SERVER_TWO_PORT_80_UDP", "udp://10.0.0.1:80"),
            ("SERVER_TWO_PORT", "tcp://10.0.0.1:80"),
            ("SERVER_ENV_PATH", "/bin"),
            ("SERVER_NAME", "/client1/server"),
        ] {
            assert_eq!(warning(name, value), None, "{name}");
        }
    }
}
