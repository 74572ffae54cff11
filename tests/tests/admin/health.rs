//! `server healthcheck` of a central that is ready, and of one that isn't, for each reason that `/readyz`
//! has.

use std::process::Command;

use kit::certificates::Certificates;
use kit::frames::batch;
use kit::process::{free_port, output};
use kit::server::{Server, command};

use crate::world::{Central, finish, wait_until};

/// Settings of a central whose health is asked for, with an admin listener at a port that is known.
struct Configured {
    settings: Vec<(&'static str, String)>,
}

impl Configured {
    fn new(host: &str, settings: &[(&'static str, &str)]) -> Self {
        let own = [
            ("SERVER_AGENCIES", "1".to_owned()),
            ("SERVER_PORT", free_port().to_string()),
            ("SERVER_ADMIN_ADDRESS", format!("{host}:{}", free_port())),
        ];
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Self { settings: own.into_iter().chain(settings).collect() }
    }

    fn command(&self) -> Command {
        let mut command = command(&[]);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    fn start(&self) -> Central {
        Central::of(Server::start_command(self.command()))
    }

    /// The exit code of a health check with the same settings, and what it says.
    fn check(&self) -> (Option<i32>, String) {
        let ended = output(self.command().arg("healthcheck"));
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8(said).expect("text"))
    }

    fn assert_healthy(&self) {
        assert_eq!(self.check(), (Some(0), "healthy\n".to_owned()));
    }

    fn assert_not_ready(&self, reason: &str) {
        let (code, said) = self.check();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with("error: 127.0.0.1:"), "{said}");
        assert!(said.ends_with(&format!(": not ready: {reason}\n")), "{said}");
    }
}

/// Wherever it listens: at an address, at a name, and with HTTPS.
#[test]
fn a_ready_central_is_healthy() {
    let certificates = Certificates::new(1);
    let of_tls = certificates.server_settings("required");
    let mut https: Vec<_> = of_tls.iter().map(|(name, value)| (*name, &**value)).collect();
    https.push(("SERVER_ADMIN_TLS", "true"));
    for (host, settings) in [("127.0.0.1", &[][..]), ("localhost", &[]), ("127.0.0.1", &https[..])]
    {
        let configured = Configured::new(host, settings);
        let central = configured.start();
        for _ in 0..3 {
            configured.assert_healthy();
        }
        let log = central.server.stop();
        assert!(!log.contains("127.0.0.72"), "a check leaves no line: {log}");
    }
}

#[test]
fn a_central_with_a_full_ledger_is_not_and_says_so() {
    let certificates = Certificates::new(1);
    let of_tls = certificates.server_settings("optional");
    let mut https: Vec<_> = of_tls.iter().map(|(name, value)| (*name, &**value)).collect();
    https.push(("SERVER_ADMIN_TLS", "true"));
    for more in [&[][..], &https[..]] {
        let full = [("SERVER_MAX_LEDGER_SIZE", "64KiB")];
        let configured = Configured::new("127.0.0.1", &[&full[..], more].concat());
        let central = configured.start();
        configured.assert_healthy();
        let stored = central.send_until_refused(1);
        configured.assert_not_ready("ledger full: it has reached its limit");
        finish(&mut central.agency(1), stored);
        // Behind the draw there is nothing to be stored.
        wait_until("the draw", || configured.check().0 == Some(0));
        central.server.stop();
    }
}

#[test]
fn a_central_with_a_full_disk_is_not_until_there_is_room() {
    let configured = Configured::new("127.0.0.1", &[("SERVER_COMMIT_RETRY_DELAY", "1ms")]);
    let central = configured.start();
    central.fill_disk();
    let stored = central.send_until_refused(1);
    configured.assert_not_ready("storage failing: commits fail and are tried again");
    central.make_room();
    let bet = batch(stored, &[("12345678", "7")]);
    let expected = format!("stored {}", stored + 1);
    wait_until("a bet stored", || central.agency(1).ask(&bet) == expected);
    configured.assert_healthy();
    central.server.stop();
}

/// What is asked, and what the error names, where nothing answers.
#[test]
fn a_central_that_does_not_run_is_not() {
    for host in ["127.0.0.1", "localhost"] {
        let (code, said) = Configured::new(host, &[]).check();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("has another SERVER_ADMIN_ADDRESS than this check"), "{said}");
    }
}
