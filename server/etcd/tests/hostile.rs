//! A client over a network in memory in which everything goes wrong: responses come in pieces, late, torn,
//! twice or never; members end, hang, have no leader, or respond with the errors of either version.
//!
//! Whatever happens: each ticket gets one final event, a request that is tried again has the same bytes,
//! no member has more connections than may be, nothing is retried that was completed, no refusal ends what
//! may be done yet, and while one member is well everything is completed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcd::{
    Action, Client, Completion, Config, ConnectionNumber, Credentials, Event, Op, OpResponse,
    Request, Response, Ticket, Txn,
};
use kit::memory_etcd::http;
use proptest::prelude::*;

const MEMBERS: usize = 3;
const CONNECTIONS: usize = 4;
const REQUESTS: usize = 12;

/// How a member responds. In the end the first one is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Refuses,
    Ends,
    Hangs,
    Leaderless,
    TimesOut,
    Garbled,
    Torn,
    Forgetful,
    Full,
}

const MOODS: [Mood; 10] = [
    Mood::Well,
    Mood::Refuses,
    Mood::Ends,
    Mood::Hangs,
    Mood::Leaderless,
    Mood::TimesOut,
    Mood::Garbled,
    Mood::Torn,
    Mood::Forgetful,
    Mood::Full,
];

#[derive(Debug, Clone)]
enum Step {
    Submit,
    Cancel(prop::sample::Index),
    Mood(usize, Mood),
    /// All members at once.
    MoodOfAll(Mood),
    /// So many milliseconds pass.
    Pass(u64),
    /// A connection gets its next bytes, so many.
    Deliver(prop::sample::Index, usize),
    /// A connection is lost.
    Lose(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Submit),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        2 => (0..MEMBERS, prop::sample::select(&MOODS[..])).prop_map(|(member, mood)| Step::Mood(member, mood)),
        1 => prop::sample::select(&MOODS[..]).prop_map(Step::MoodOfAll),
        3 => (1..400_u64).prop_map(Step::Pass),
        8 => (any::<prop::sample::Index>(), 1..300_usize).prop_map(|(at, count)| Step::Deliver(at, count)),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
    ]
}

struct Peer {
    member: usize,
    is_watch: bool,
    /// On its way to the client, none of it given yet.
    coming: Vec<u8>,
    /// Given and not consumed.
    held: Vec<u8>,
    /// Ends behind what is coming.
    ends: bool,
}

struct World {
    client: Client,
    now: Instant,
    moods: [Mood; MEMBERS],
    peers: BTreeMap<ConnectionNumber, Peer>,
    next_ticket: u64,
    open: BTreeSet<Ticket>,
    /// The body that was sent for each ticket.
    bodies: BTreeMap<String, Vec<u8>>,
    /// Keys of transactions of which a try has no clear outcome.
    unclear: BTreeSet<String>,
    tokens: u64,
    completed: u64,
}

impl World {
    fn new(has_user: bool, has_watch: bool) -> Self {
        let credentials = has_user.then(|| Credentials { user: "u".into(), password: "p".into() });
        let endpoints = (0..MEMBERS).map(|member| format!("m{member}:2379")).collect();
        let config = Config {
            credentials,
            connections_per_member: CONNECTIONS,
            max_requests: REQUESTS,
            max_response_bytes: 4096,
            ..Config::new(endpoints)
        };
        let mut world = Self {
            client: Client::new(config).expect("a configuration"),
            now: Instant::now(),
            moods: [Mood::Well; MEMBERS],
            peers: BTreeMap::new(),
            next_ticket: 0,
            open: BTreeSet::new(),
            bodies: BTreeMap::new(),
            unclear: BTreeSet::new(),
            tokens: 0,
            completed: 0,
        };
        if has_watch {
            world.client.watch(b"closed", b"", world.now);
        }
        world.act();
        world
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Submit => self.submit(),
            Step::Cancel(at) => {
                let open: Vec<_> = self.open.iter().copied().collect();
                if !open.is_empty() {
                    let ticket = *at.get(&open);
                    self.client.cancel(ticket, self.now);
                    self.open.remove(&ticket);
                }
            }
            Step::MoodOfAll(mood) => self.moods = [*mood; MEMBERS],
            Step::Mood(member, mood) => self.moods[*member] = *mood,
            Step::Pass(millis) => self.pass(Duration::from_millis(*millis)),
            Step::Deliver(at, count) => {
                if let Some(number) = self.any(*at) {
                    self.deliver(number, *count);
                }
            }
            Step::Lose(at) => {
                if let Some(number) = self.any(*at) {
                    self.peers.remove(&number);
                    self.client.on_closed(number, self.now);
                }
            }
        }
        self.act();
    }

    fn any(&self, at: prop::sample::Index) -> Option<ConnectionNumber> {
        let numbers: Vec<_> = self.peers.keys().copied().collect();
        (!numbers.is_empty()).then(|| *at.get(&numbers))
    }

    fn submit(&mut self) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let key = key_of(ticket);
        let success = [Op::Put { key: key.as_bytes(), value: &[7; 100] }];
        let request = Request::Txn(Txn { compare: &[], success: &success, failure: &[] });
        match self.client.submit(&request, ticket, self.now) {
            Ok(()) => assert!(self.open.insert(ticket)),
            Err(_) => assert_eq!(self.open.len(), REQUESTS, "there was room"),
        }
    }

    /// Time passes, and the client is told no later than it wants.
    fn pass(&mut self, wait: Duration) {
        let until = self.now + wait;
        for turn in 0.. {
            assert!(turn < 10_000, "it spins");
            let Some(deadline) = self.client.next_deadline().filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(deadline);
            self.client.on_time(self.now);
            self.act();
            let next = self.client.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that has passed");
        }
        self.now = until;
    }

    fn deliver(&mut self, number: ConnectionNumber, count: usize) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        let rest = peer.coming.split_off(count.min(peer.coming.len()));
        peer.held.append(&mut peer.coming);
        peer.coming = rest;
        let used = self.client.on_data(number, &peer.held, self.now);
        peer.held.drain(..used);
        assert!(peer.held.len() <= etcd::client::connections::MAX_HEAD);
        if peer.coming.is_empty() && peer.ends {
            self.peers.remove(&number);
            self.client.on_closed(number, self.now);
        }
    }

    /// Does what the client asks for, and takes its events.
    fn act(&mut self) {
        loop {
            match self.client.poll_action() {
                Some(Action::Connect { connection, endpoint }) => {
                    self.connect(connection, endpoint);
                }
                Some(Action::Close { connection }) => drop(self.peers.remove(&connection)),
                Some(Action::Send { connection, head, body }) => {
                    let (head, body) = (head.to_vec(), body.to_vec());
                    self.respond(connection, &String::from_utf8(head).expect("text"), &body);
                }
                None => break,
            }
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Completed { ticket, completion } => {
                    check_response(ticket, &completion);
                    let is_done = matches!(completion, Completion::Done(_));
                    let is_unclear = self.unclear.contains(&STANDARD.encode(key_of(ticket)));
                    assert!(is_done || !is_unclear, "{ticket:?} may be done yet: {completion:?}");
                    assert!(
                        self.open.remove(&ticket),
                        "{ticket:?} was completed or cancelled before"
                    );
                    self.completed += 1;
                }
                Event::WatchStarted(_) | Event::Changed(..) => {}
                Event::OtherCluster { .. } => panic!("there is one cluster"),
            }
        }
        assert_eq!(self.client.requests(), self.open.len());
    }

    fn connect(&mut self, number: ConnectionNumber, member: usize) {
        let peer =
            Peer { member, is_watch: false, coming: Vec::new(), held: Vec::new(), ends: false };
        assert!(self.peers.insert(number, peer).is_none(), "a number is named once");
        let count = self.peers.values().filter(|peer| peer.member == member).count();
        assert!(count <= CONNECTIONS + 1, "{count} connections to a member");
        match self.moods[member] {
            Mood::Refuses => {
                self.peers.remove(&number);
                self.client.on_closed(number, self.now);
            }
            _ => self.client.on_connected(number, self.now),
        }
    }

    /// A member responds as it pleases; what it does with a request it may have done before.
    fn respond(&mut self, number: ConnectionNumber, head: &str, body: &[u8]) {
        assert!(head.contains("\r\nGrpc-Metadata-hasleader: true\r\n"));
        assert!(head.ends_with(&format!("\r\nContent-Length: {}\r\n\r\n", body.len())));
        let Some(peer) = self.peers.get_mut(&number) else { return };
        assert!(peer.coming.is_empty() && peer.held.is_empty(), "one thing at a time");
        let resource = head.split(' ').nth(1).expect("a target");
        peer.is_watch |= resource == "/v3/watch";
        let text = std::str::from_utf8(body).expect("JSON");
        let key = text.split("\"key\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let key = key.unwrap_or_default();
        if resource == "/v3/kv/txn" {
            let first = self.bodies.entry(key.to_owned()).or_insert_with(|| body.to_owned());
            assert_eq!(*first, body, "the same bytes in every try");
            if !matches!(self.moods[peer.member], Mood::Well | Mood::Forgetful | Mood::Full) {
                self.unclear.insert(key.to_owned());
            }
        }
        let done = match resource {
            "/v3/auth/authenticate" => {
                self.tokens += 1;
                format!(r#"{{"header":{{"cluster_id":"7"}},"token":"t.{}"}}"#, self.tokens)
            }
            "/v3/watch" => {
                r#"{"result":{"header":{"cluster_id":"7"},"created":true}}"#.to_owned() + "\n"
            }
            _ => format!(
                r#"{{"header":{{"cluster_id":"7"}},"responses":[{{"response_range":{{"kvs":[{{"key":"{key}"}}]}}}}]}}"#
            ),
        };
        let (response, ends) = match self.moods[peer.member] {
            Mood::Hangs | Mood::Refuses => return,
            Mood::Ends => (Vec::new(), true),
            Mood::Well if resource == "/v3/watch" => {
                ([http::chunked_head(200), http::chunk(&done)].concat(), false)
            }
            Mood::Well => (http::response(200, &done), false),
            Mood::Leaderless => (
                chunked(503, r#"{"error":"m","code":14,"message":"etcdserver: no leader"}"#),
                false,
            ),
            Mood::TimesOut => {
                (http::response(504, r#"{"error":"m", "message":"m", "code":4}"#), false)
            }
            Mood::Garbled => (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<htm>".to_vec(), false),
            Mood::Torn => (http::response(200, &done)[..60].to_vec(), true),
            Mood::Forgetful => (
                http::response(401, r#"{"error":"invalid auth token","code":16,"message":"m"}"#),
                false,
            ),
            Mood::Full => (
                http::response(
                    429,
                    r#"{"error":"m","code":8,"message":"database space exceeded"}"#,
                ),
                false,
            ),
        };
        (peer.coming, peer.ends) = (response, ends);
    }

    /// One member becomes well, and everything comes to an end. That there is no space, or no valid
    /// token, is the cluster's matter, and ends with it.
    fn recover(&mut self, well: usize) {
        for mood in &mut self.moods {
            if matches!(mood, Mood::Full | Mood::Forgetful) {
                *mood = Mood::Well;
            }
        }
        self.moods[well] = Mood::Well;
        for turn in 0.. {
            assert!(turn < 10_000, "{} open: {:?}", self.open.len(), self.client);
            if self.open.is_empty() {
                break;
            }
            let numbers: Vec<_> = self.peers.keys().copied().collect();
            for number in numbers {
                self.deliver(number, usize::MAX);
                self.act();
            }
            self.pass(Duration::from_millis(5));
        }
    }
}

fn key_of(ticket: Ticket) -> String {
    format!("key-{}", ticket.0)
}

/// A response is one to this request, not to another.
fn check_response(ticket: Ticket, completion: &Completion) {
    let Completion::Done(Response::Txn(response)) = completion else { return };
    let [OpResponse::Range(range)] = &response.responses[..] else { panic!("{response:?}") };
    assert_eq!(range.kvs[0].key, key_of(ticket).as_bytes());
}

fn chunked(status: u16, body: &str) -> Vec<u8> {
    [http::chunked_head(status), http::chunk(body), http::last_chunk()].concat()
}

proptest! {
    #[test]
    fn whatever_goes_wrong_each_request_is_completed_once(
        has_user in any::<bool>(),
        has_watch in any::<bool>(),
        steps in prop::collection::vec(step(), 0..150),
        well in 0..MEMBERS,
    ) {
        let mut world = World::new(has_user, has_watch);
        for step in &steps {
            world.step(step);
        }
        world.recover(well);
    }
}
