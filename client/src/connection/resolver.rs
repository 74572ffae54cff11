//! Resolves names without blocking the loop.
//!
//! The system's resolver has only a blocking form, and a silent name server blocks it for many
//! seconds. So a thread calls it, which owns the name and one end of a pair of sockets, and nothing
//! else; the addresses arrive at the other end, as text, like any peer's bytes. Meanwhile the loop
//! handles signals and timers. The process exits without waiting for the thread.

use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use reactor::{ConnectionId, Context};

/// A blocking look-up of `HOST:PORT`.
pub(crate) type Resolve = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Most addresses of one name that are tried: the loop buffers the whole answer.
const ADDRESSES_MAX: usize = 64;

/// Prefix of an answer that is an error; any other is addresses, one a line.
const ERROR: &str = "error: ";

/// Resolves one name at a time: a look-up that begins while a thread is still blocked on the same name
/// waits for that thread, so there is never a second one for it. There are no more threads than names.
#[derive(Debug)]
pub(crate) struct Resolver {
    resolve: Resolve,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    /// The connection at which the thread's answer arrives.
    answer: ConnectionId,
    /// Whether the answer is used; it is dropped otherwise. At most one is.
    is_wanted: bool,
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self::with(|name| Ok(name.to_socket_addrs()?.collect()))
    }

    pub(crate) fn with(resolve: Resolve) -> Self {
        Self { resolve, running: Vec::new() }
    }

    /// Begins to resolve `name`, or waits for the thread that is still at it; no other answer is wanted.
    /// The answer arrives as the input of a connection that it [`owns`](Self::owns), whose deadline is
    /// `timeout`.
    pub(crate) fn begin(
        &mut self,
        cx: &mut impl Context,
        name: &str,
        timeout: Duration,
    ) -> io::Result<()> {
        self.cancel(cx);
        let index = match self.running.iter().position(|running| running.name == name) {
            Some(index) => index,
            None => self.start(cx, name)?,
        };
        let running = &mut self.running[index];
        running.is_wanted = true;
        cx.set_deadline(running.answer, Some(timeout));
        Ok(())
    }

    /// Starts a thread; returns its index.
    fn start(&mut self, cx: &mut impl Context, name: &str) -> io::Result<usize> {
        let (ours, theirs) = UnixStream::pair()?;
        let answer = cx.attach(ours)?;
        let (asked, resolve) = (name.to_owned(), self.resolve);
        let thread = std::thread::Builder::new().name("look-up".to_owned());
        let started = thread.spawn(move || report(theirs, &asked, resolve(&asked)));
        if let Err(error) = started {
            cx.abort(answer);
            return Err(error);
        }
        self.running.push(Running { name: name.to_owned(), answer, is_wanted: false });
        Ok(self.running.len() - 1)
    }

    pub(crate) fn owns(&self, connection: ConnectionId) -> bool {
        self.running.iter().any(|running| running.answer == connection)
    }

    /// The answer at a connection that it owns is complete, or was lost. Returns it, unless the look-up
    /// was cancelled.
    pub(crate) fn finish(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        text: &[u8],
    ) -> Option<io::Result<Vec<SocketAddr>>> {
        let index = self.running.iter().position(|running| running.answer == connection)?;
        let running = self.running.swap_remove(index);
        cx.close(running.answer);
        running.is_wanted.then(|| parse(text))
    }

    /// Drops the answer that is wanted, if any.
    pub(crate) fn cancel(&mut self, cx: &mut impl Context) {
        for running in self.running.iter_mut().filter(|running| running.is_wanted) {
            running.is_wanted = false;
            cx.set_deadline(running.answer, None);
        }
    }
}

/// What the thread does last: sends the answer.
fn report(mut to: UnixStream, name: &str, found: io::Result<Vec<SocketAddr>>) {
    let text = match found {
        Ok(addresses) => {
            let lines = addresses.iter().take(ADDRESSES_MAX).map(ToString::to_string);
            lines.collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("{ERROR}{error}{}", advice(name)),
    };
    // Fails when the loop has ended.
    let _ = to.write_all(text.as_bytes());
}

/// The shipped configuration names the central as Compose's networks do.
fn advice(name: &str) -> &'static str {
    if name.starts_with("server:") {
        return "; \"server\" is the central's name inside Compose's network, while its container runs: \
                elsewhere set CLI_SERVER_ADDRESS, as 127.0.0.1:12345";
    }
    ""
}

fn parse(text: &[u8]) -> io::Result<Vec<SocketAddr>> {
    let unusable = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("looking the name up: {error}"))
    };
    let text = std::str::from_utf8(text).map_err(|error| unusable(&error))?;
    if let Some(reason) = text.strip_prefix(ERROR) {
        return Err(io::Error::other(reason.to_owned()));
    }
    text.lines().map(|line| line.parse().map_err(|error| unusable(&error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;
    use reactor::testing::NoHandler;

    const TIMEOUT: Duration = Duration::from_secs(9);

    /// Begins a look-up, and waits for what its thread says.
    fn text_of(resolve: Resolve) -> (Resolver, World<NoHandler>, Vec<u8>) {
        let (mut resolver, mut world) = (Resolver::with(resolve), World::without_handler());
        resolver.begin(world.cx(), "central:12345", TIMEOUT).unwrap();
        let (_, text) = world.read_attached();
        (resolver, world, text)
    }

    /// The addresses that the thread behind the one connection has found, with this text.
    fn finish(
        resolver: &mut Resolver,
        world: &mut World<NoHandler>,
        text: &[u8],
    ) -> Option<io::Result<Vec<SocketAddr>>> {
        let connection = world.id();
        resolver.finish(world.cx(), connection, text)
    }

    fn answer_of(resolve: Resolve) -> io::Result<Vec<SocketAddr>> {
        let (mut resolver, mut world, text) = text_of(resolve);
        finish(&mut resolver, &mut world, &text).expect("it is wanted")
    }

    #[test]
    fn addresses_arrive_in_order_and_as_they_were() {
        let addresses = ["10.0.0.2:12345", "[2001:db8::1]:12345", "[fe80::1%2]:1", "10.0.0.1:1"];
        let found = answer_of(|name| {
            assert_eq!(name, "central:12345");
            let addresses =
                ["10.0.0.2:12345", "[2001:db8::1]:12345", "[fe80::1%2]:1", "10.0.0.1:1"];
            Ok(addresses.map(|address| address.parse().unwrap()).into())
        });
        let found: Vec<_> = found.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, addresses);
    }

    #[test]
    fn a_name_with_any_number_of_addresses_is_some_kilobytes() {
        let (mut resolver, mut world, text) =
            text_of(|_| Ok((0..u16::MAX).map(|port| ([10, 0, 0, 1], port).into()).collect()));
        assert!(text.len() < 4096, "{}", text.len());
        let found = finish(&mut resolver, &mut world, &text).unwrap().unwrap();
        assert_eq!(found.len(), ADDRESSES_MAX);
    }

    #[test]
    fn what_went_wrong_arrives_too() {
        let error = answer_of(|_| Err(io::Error::other("no such name"))).unwrap_err();
        assert_eq!(error.to_string(), "no such name");
        for (name, is_advised) in
            [("server:12345", true), ("server.example:1", false), ("h:1", false)]
        {
            assert_eq!(advice(name).contains("set CLI_SERVER_ADDRESS"), is_advised, "{name}");
        }
        assert!(answer_of(|_| Ok(Vec::new())).unwrap().is_empty());
        for nonsense in [&b"10.0.0.1"[..], b"\xff", b"10.0.0.1:1\n10."] {
            assert_eq!(parse(nonsense).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    /// However often it is asked again, one thread waits for the resolver; once it is not wanted,
    /// its answer is dropped, and the next look-up begins anew.
    #[test]
    fn a_stuck_thread_is_waited_for_and_not_joined_by_others() {
        let stuck: Resolve = |_| loop {
            std::thread::park();
        };
        let (mut resolver, mut world) = (Resolver::with(stuck), World::without_handler());
        resolver.begin(world.cx(), "central:12345", TIMEOUT).unwrap();
        let first = world.id();
        assert!(resolver.owns(first));
        assert_eq!(world.deadline(first), Some(TIMEOUT));
        for _ in 0..10 {
            resolver.cancel(world.cx());
            assert_eq!(world.deadline(first), None);
            resolver.begin(world.cx(), "central:12345", TIMEOUT).unwrap();
            assert_eq!(world.ids(), [first]);
            assert_eq!(world.deadline(first), Some(TIMEOUT));
        }
        let found = resolver.finish(world.cx(), first, b"10.0.0.1:1\n").unwrap().unwrap();
        assert_eq!(found, [([10, 0, 0, 1], 1).into()]);
        assert!(!resolver.owns(first));
        assert!(resolver.finish(world.cx(), first, b"10.0.0.1:1\n").is_none(), "it was finished");
        world.drop_connections();
        resolver.begin(world.cx(), "central:12345", TIMEOUT).unwrap();
        resolver.cancel(world.cx());
        assert!(finish(&mut resolver, &mut world, b"10.0.0.1:1\n").is_none());
    }

    /// A name server that is silent about one central says nothing of the others, and the addresses of one
    /// aren't taken for those of another.
    #[test]
    fn each_name_has_a_thread_and_an_answer_of_its_own() {
        let stuck: Resolve = |_| loop {
            std::thread::park();
        };
        let (mut resolver, mut world) = (Resolver::with(stuck), World::without_handler());
        resolver.begin(world.cx(), "first:1", TIMEOUT).unwrap();
        let first = world.id();
        resolver.begin(world.cx(), "second:2", TIMEOUT).unwrap();
        let second = *world.ids().iter().find(|id| **id != first).expect("another thread's");
        assert_eq!([first, second].map(|id| world.deadline(id)), [None, Some(TIMEOUT)]);
        assert!(resolver.owns(first) && resolver.owns(second));
        assert!(
            resolver.finish(world.cx(), first, b"10.0.0.1:1\n").is_none(),
            "it isn't wanted now"
        );
        let found = resolver.finish(world.cx(), second, b"10.0.0.2:2\n").unwrap().unwrap();
        assert_eq!(found, [([10, 0, 0, 2], 2).into()]);
    }
}
