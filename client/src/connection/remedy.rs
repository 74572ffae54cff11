//! What to change when the central refuses an agency for who it is, or which draw it is of: what to set
//! depends on what is set.
//!
//! Knows no connection and no file; every other refusal's reason says by itself what is wrong.

use wire::{Agency, DrawName, ErrorCode};

/// How the agency is set up, as far as remedies depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    /// Its number, `CLI_ID`.
    pub(crate) id: Agency,
    /// Its draw, `CLI_DRAW`.
    pub(crate) draw: Option<DrawName>,
    /// Whether it speaks TLS.
    pub(crate) tls: bool,
    /// The URIs of its certificate; `None` when it shows none.
    pub(crate) uris: Option<&'a [String]>,
}

/// The end of the message about a refusal with this code; empty when its reason says enough.
pub(crate) fn of(code: ErrorCode, setup: &Setup<'_>) -> String {
    match code {
        ErrorCode::TlsRequired => {
            "; set CLI_TLS=on, and CLI_TLS_CA, CLI_TLS_CERT and CLI_TLS_KEY to the files that the \
             central's operator made for this agency"
                .to_owned()
        }
        // With TLS the central has said which settings are missing.
        ErrorCode::CertificateRequired if setup.tls => String::new(),
        ErrorCode::CertificateRequired => {
            "; set CLI_TLS=on, CLI_TLS_CA, and CLI_TLS_CERT and CLI_TLS_KEY to this agency's certificate \
             and its key"
                .to_owned()
        }
        ErrorCode::CertificateRevoked => {
            "; ask the central's operator for another certificate, and set CLI_TLS_CERT and \
             CLI_TLS_KEY to it and its key"
                .to_owned()
        }
        ErrorCode::WrongAgency => of_certificate(setup),
        ErrorCode::WrongAddress => {
            "; run this agency where the central expects it, or have the central's operator add the \
             address to SERVER_AGENCY_ADDRESSES; and look whether CLI_ID is right"
                .to_owned()
        }
        ErrorCode::WrongDraw => of_draw(setup.draw),
        // A central from before draws had names takes the name in HELLO for surplus bytes.
        ErrorCode::Malformed if setup.draw.is_some() => {
            "; if that central is of an earlier version, it knows no draws by name, and serves only \
             agencies without CLI_DRAW"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// The certificate isn't this agency's, or no agency's of the central's trust domain.
fn of_certificate(setup: &Setup<'_>) -> String {
    let id = setup.id;
    match setup.uris.map(named_agency) {
        Some(Some(named)) if named != id => format!(
            "; CLI_ID is {id}, and the certificate in CLI_TLS_CERT was made for agency {named}: set both \
             for the same agency"
        ),
        _ => format!(
            "; ask the central's operator for a certificate that names agency {id} alone, in the \
             central's trust domain (SERVER_TLS_TRUST_DOMAIN), and set CLI_TLS_CERT and \
             CLI_TLS_KEY to it and its key"
        ),
    }
}

/// The agency that a certificate's only URI names, whatever its trust domain.
fn named_agency(uris: &[String]) -> Option<Agency> {
    let [uri] = uris else { return None };
    let (_, number) = uri.strip_prefix("spiffe://")?.split_once("/agencia/")?;
    number.parse().ok()
}

/// The file may well be another day's.
fn of_draw(draw: Option<DrawName>) -> String {
    let set = draw.map_or("CLI_DRAW isn't set".to_owned(), |draw| format!("CLI_DRAW is {draw}"));
    format!(
        "; {set}: look first for which draw the file of bets is (CLI_DATA_PATH), then set CLI_DRAW, or call \
         that draw's central (CLI_SERVER_ADDRESS)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Setup<'static> = Setup { id: 7, draw: None, tls: false, uris: None };

    fn with_uris(code: ErrorCode, uris: &[&str]) -> String {
        let uris: Vec<_> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        of(code, &Setup { tls: true, uris: Some(&uris), ..PLAIN })
    }

    #[test]
    fn who_is_not_trusted_is_told_what_to_set() {
        for (code, settings) in [
            (ErrorCode::TlsRequired, ["CLI_TLS=on", "CLI_TLS_CERT"]),
            (ErrorCode::CertificateRequired, ["CLI_TLS=on", "CLI_TLS_CERT and CLI_TLS_KEY"]),
            (ErrorCode::CertificateRevoked, ["CLI_TLS_CERT", "CLI_TLS_KEY"]),
            (ErrorCode::WrongAddress, ["CLI_ID", "SERVER_AGENCY_ADDRESSES"]),
            (ErrorCode::WrongDraw, ["CLI_DRAW", "CLI_DATA_PATH"]),
        ] {
            let remedy = of(code, &PLAIN);
            assert!(remedy.starts_with("; "), "{remedy}");
            assert!(settings.iter().all(|setting| remedy.contains(setting)), "{remedy}");
        }
    }

    /// Its reason is: an agency shows its certificate: set `CLI_TLS_CERT` and `CLI_TLS_KEY`.
    #[test]
    fn what_the_central_has_said_and_what_is_set_is_not_asked_for() {
        let secured = Setup { tls: true, ..PLAIN };
        assert_eq!(of(ErrorCode::CertificateRequired, &secured), "");
    }

    #[test]
    fn the_certificate_of_another_agency_is_told_from_one_of_none() {
        let other = with_uris(ErrorCode::WrongAgency, &["spiffe://loteria/agencia/3"]);
        let expected = "; CLI_ID is 7, and the certificate in CLI_TLS_CERT was made for agency 3: set \
                        both for the same agency";
        assert_eq!(other, expected);
        let own = "spiffe://otra/agencia/7";
        for uris in
            [&[][..], &[own], &[own, own], &["https://loteria/agencia/3"], &["spiffe://a/b"]]
        {
            let none = with_uris(ErrorCode::WrongAgency, uris);
            assert!(!none.contains("CLI_ID"), "{uris:?}: {none}");
            for part in ["agency 7 alone", "SERVER_TLS_TRUST_DOMAIN", "CLI_TLS_CERT"] {
                assert!(none.contains(part), "{uris:?}: {none}");
            }
        }
    }

    #[test]
    fn another_draw_asks_to_look_at_the_file() {
        let named = Setup { draw: "2026-11-26".parse().ok(), ..PLAIN };
        let remedy = of(ErrorCode::WrongDraw, &named);
        assert!(remedy.starts_with("; CLI_DRAW is 2026-11-26: look first "), "{remedy}");
        let remedy = of(ErrorCode::WrongDraw, &PLAIN);
        assert!(remedy.starts_with("; CLI_DRAW isn't set: look first "), "{remedy}");
        assert!(of(ErrorCode::Malformed, &named).contains("earlier version"));
    }

    #[test]
    fn every_other_refusal_is_its_reason_alone() {
        for code in (1..ErrorCode::TlsRequired as u8).filter_map(|code| code.try_into().ok()) {
            assert_eq!(of(code, &PLAIN), "", "{code:?}");
        }
    }
}
