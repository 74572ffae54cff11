//! A client over connections in memory, and what it asks for as text.

use std::time::{Duration, Instant};

use etcd::{
    Action, Client, Completion, Config, ConnectionNumber, Credentials, Event, Op, Range, Request,
    Ticket, Txn,
};

/// A client, the time, and what it has asked for.
pub(crate) struct Harness {
    pub(crate) client: Client,
    pub(crate) now: Instant,
}

/// An action, as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Connect(u64, usize),
    /// The resource, the token, and the body.
    Send(u64, String, Option<String>, String),
    Close(u64),
}

impl Harness {
    pub(crate) fn new(config: Config) -> Self {
        Self { client: Client::new(config).expect("a configuration"), now: Instant::now() }
    }

    pub(crate) fn acts(&mut self) -> Vec<Act> {
        std::iter::from_fn(|| self.client.poll_action().map(|action| act(&action))).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    pub(crate) fn get(&mut self, ticket: u64) {
        let request = Request::Range(Range::of_key(&[0; 3]));
        self.client.submit(&request, Ticket(ticket), self.now).expect("room");
    }

    pub(crate) fn put(&mut self, ticket: u64) {
        let success = [Op::Put { key: &[0; 3], value: &[0; 3] }];
        let request = Request::Txn(Txn { compare: &[], success: &success, failure: &[] });
        self.client.submit(&request, Ticket(ticket), self.now).expect("room");
    }

    pub(crate) fn connected(&mut self, number: u64) -> Vec<Act> {
        self.client.on_connected(ConnectionNumber(number), self.now);
        self.acts()
    }

    pub(crate) fn closed(&mut self, number: u64) -> Vec<Act> {
        self.client.on_closed(ConnectionNumber(number), self.now);
        self.acts()
    }

    pub(crate) fn respond(&mut self, number: u64, status: u16, body: &str) -> Vec<Act> {
        let text = response(status, body);
        let used = self.client.on_data(ConnectionNumber(number), text.as_bytes(), self.now);
        assert_eq!(used, text.len());
        self.acts()
    }

    /// A line of a watch, behind the head if it is the first.
    pub(crate) fn watch_line(&mut self, number: u64, is_first: bool, line: &str) -> Vec<Act> {
        let head = "HTTP/1.1 200 A\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = if is_first { head } else { "" };
        let text = format!("{head}{:x}\r\n{line}\n\r\n", line.len() + 1);
        self.client.on_data(ConnectionNumber(number), text.as_bytes(), self.now);
        self.acts()
    }

    pub(crate) fn pass(&mut self, wait: Duration) -> Vec<Act> {
        self.now += wait;
        self.client.on_time(self.now);
        self.acts()
    }

    /// Goes on to the next deadline.
    pub(crate) fn next(&mut self) -> Vec<Act> {
        let deadline = self.client.next_deadline().expect("something is waited for");
        assert!(deadline > self.now);
        self.pass(deadline - self.now)
    }
}

pub(crate) fn response(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} A\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn act(action: &Action<'_>) -> Act {
    match *action {
        Action::Connect { connection, endpoint } => Act::Connect(connection.0, endpoint),
        Action::Close { connection } => Act::Close(connection.0),
        Action::Send { connection, head, body } => {
            let head = std::str::from_utf8(head).expect("text");
            let resource = head.split(' ').nth(1).expect("a target").to_owned();
            let token =
                head.split("Authorization: ").nth(1).and_then(|rest| rest.split('\r').next());
            let body = String::from_utf8(body.to_vec()).expect("JSON");
            Act::Send(connection.0, resource, token.map(str::to_owned), body)
        }
    }
}

pub(crate) fn config() -> Config {
    Config::new(vec!["a:1".to_owned(), "b:1".to_owned(), "c:1".to_owned()])
}

pub(crate) fn with_user() -> Config {
    let credentials = Credentials { user: "u".to_owned(), password: "\"".to_owned() };
    Config { credentials: Some(credentials), ..config() }
}

pub(crate) fn sent(number: u64) -> Act {
    sent_with(number, None)
}

pub(crate) fn sent_with(number: u64, token: Option<&str>) -> Act {
    let (resource, body) = ("/v3/kv/range".to_owned(), r#"{"key":"AAAA"}"#.to_owned());
    Act::Send(number, resource, token.map(str::to_owned), body)
}

pub(crate) fn put_sent(number: u64) -> Act {
    let body = r#"{"success":[{"request_put":{"key":"AAAA","value":"AAAA"}}]}"#;
    Act::Send(number, "/v3/kv/txn".to_owned(), None, body.to_owned())
}

pub(crate) const DONE: &str = r#"{"header":{"cluster_id":"7","raft_term":"2"},"count":"1"}"#;
pub(crate) const NO_LEADER: &str = r#"{"code":14,"message":"etcdserver: no leader"}"#;

pub(crate) fn is_done(event: &Event, number: u64) -> bool {
    matches!(event, Event::Completed { ticket, completion: Completion::Done(_) }
        if *ticket == Ticket(number))
}
