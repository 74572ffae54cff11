//! A service manager that the test plays, at a socket of its own.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use tempfile::TempDir;

use super::*;

/// What the program sends arrives at once.
struct Played {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Played {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, folder }
    }

    fn managed(&self, watchdog: Option<&str>, now: Instant) -> ServiceManager {
        let path = self.folder.path().join("notify").into_os_string();
        ServiceManager::of(
            |name| match name {
                "NOTIFY_SOCKET" => Some(path.clone()),
                "WATCHDOG_USEC" => watchdog.map(Into::into),
                _ => None,
            },
            now,
        )
    }

    fn heard(&self) -> Vec<String> {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    return heard;
                }
            }
        }
    }

    /// Sends until there is no room.
    fn fill(&self) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.set_nonblocking(true).unwrap();
        while socket.send_to(b"noise", self.folder.path().join("notify")).is_ok() {}
    }
}

fn link(service: &ServiceManager) -> std::cell::RefMut<'_, Link> {
    service.0.as_ref().unwrap().borrow_mut()
}

#[test]
fn nobody_is_told_where_nobody_manages() {
    for name in [None, Some("")] {
        let service = ServiceManager::of(|_| name.map(Into::into), Instant::now());
        assert!(!service.is_present());
        service.ready();
        assert!(!service.on_turn_end());
        assert_eq!(service.longest_wait(), None);
    }
    let unusable = ServiceManager::of(|_| Some("vsock:2".into()), Instant::now());
    assert!(!unusable.is_present());
}

#[test]
fn it_hears_of_a_whole_life() {
    let played = Played::new();
    let service = played.managed(None, Instant::now());
    assert!(service.is_present());
    service.extend_timeout(Duration::from_mins(1));
    service.status(&"reads 10 %");
    service.reloading();
    service.ready();
    service.reloading();
    service.ready();
    service.stopping();
    service.reloading();
    let heard = played.heard();
    let [extend, status, ready, reloading, again, stopping] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!([extend, status], ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=reads 10 %"]);
    assert_eq!([ready, again], ["READY=1\n", "READY=1\n"]);
    let since_boot = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(since_boot.parse::<i64>().unwrap() <= monotonic_micros());
    assert_eq!(stopping, "STOPPING=1\n");
}

#[test]
fn a_turn_feeds_the_watchdog_when_it_is_due_and_the_loop_wakes_for_it() {
    let (played, begin) = (Played::new(), Instant::now());
    let service = played.managed(Some("2000000"), begin);
    let mut link = link(&service);
    assert_eq!(link.longest_wait(begin), Some(Duration::ZERO));
    assert!(link.on_turn_end(begin));
    let second = Duration::from_secs(1);
    assert_eq!(link.longest_wait(begin), Some(second));
    assert!(!link.on_turn_end(begin + second / 2));
    assert_eq!(played.heard(), ["WATCHDOG=1"]);
    assert!(link.on_turn_end(begin + 3 * second));
    assert_eq!(link.longest_wait(begin + 3 * second), Some(second), "counted from there");
    assert_eq!(played.heard(), ["WATCHDOG=1"]);
}

#[test]
fn what_finds_no_room_is_told_in_a_later_turn() {
    let (played, begin) = (Played::new(), Instant::now());
    let service = played.managed(Some("2000000"), begin);
    played.fill();
    service.ready();
    service.status(&"first");
    service.status(&"second");
    let mut link = link(&service);
    assert!(link.on_turn_end(begin));
    assert_eq!(link.longest_wait(begin), Some(Duration::ZERO), "the watchdog is due still");
    played.heard();
    assert!(link.on_turn_end(begin));
    assert_eq!(played.heard(), ["READY=1\nSTATUS=second", "WATCHDOG=1"]);
    assert!(!link.on_turn_end(begin));
}

#[test]
fn news_that_waits_wakes_the_loop() {
    let (played, begin) = (Played::new(), Instant::now());
    let service = played.managed(None, begin);
    played.fill();
    service.ready();
    assert_eq!(link(&service).longest_wait(begin), Some(RETRY));
}

#[test]
fn a_service_manager_that_is_gone_is_no_reason_to_wake() {
    let played = Played::new();
    let service = played.managed(None, Instant::now());
    drop(played);
    service.ready();
    assert!(link(&service).has_failed);
    assert_eq!(service.longest_wait(), None);
    assert!(!service.on_turn_end());
}
