//! Connections to etcd's members on the loop: does what etcd's client asks for, and tells it what became
//! of it.
//!
//! Knows no request and no response; whoever drives the client has both.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use etcd::{Action, ConnectionNumber};
use reactor::{ConnectionId, Context, Layer, LayerError};

/// A member of etcd.
#[derive(Debug)]
pub struct Member {
    /// Where it is.
    pub address: SocketAddr,
    /// TLS towards it; none in plaintext.
    pub layer: Option<MakeLayer>,
}

/// Makes TLS for one connection.
pub struct MakeLayer(pub Box<dyn Fn() -> Result<Box<dyn Layer>, LayerError>>);

impl std::fmt::Debug for MakeLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MakeLayer")
    }
}

/// The connections that there are.
#[derive(Debug)]
pub struct EtcdLinks {
    /// By index of the endpoint.
    members: Vec<Member>,
    by_id: BTreeMap<ConnectionId, Link>,
    by_number: BTreeMap<ConnectionNumber, ConnectionId>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    number: ConnectionNumber,
    endpoint: usize,
}

impl EtcdLinks {
    /// None yet, to these members.
    pub fn new(members: Vec<Member>) -> Self {
        Self { members, by_id: BTreeMap::new(), by_number: BTreeMap::new() }
    }

    /// Whether a connection is one of these.
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.by_id.contains_key(&connection)
    }

    /// What etcd's client calls a connection.
    pub fn number(&self, connection: ConnectionId) -> Option<ConnectionNumber> {
        self.by_id.get(&connection).map(|link| link.number)
    }

    /// Does what the client asks for.
    pub fn act(&mut self, cx: &mut impl Context, action: &Action<'_>) {
        match *action {
            Action::Connect { connection: number, endpoint } => {
                let connection = cx.connect(self.members[endpoint].address);
                self.by_id.insert(connection, Link { number, endpoint });
                self.by_number.insert(number, connection);
            }
            Action::Send { connection, head, body } => {
                if let Some(connection) = self.by_number.get(&connection) {
                    cx.send(*connection, head);
                    cx.send(*connection, body);
                }
            }
            Action::Close { connection } => {
                if let Some(connection) = self.by_number.remove(&connection) {
                    self.by_id.remove(&connection);
                    cx.abort(connection);
                }
            }
        }
    }

    /// A connection is open. Returns the client's name of it once bytes can be sent; over TLS that is
    /// after the handshake.
    pub fn on_open(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
    ) -> Option<ConnectionNumber> {
        let Link { number, endpoint } = *self.by_id.get(&connection)?;
        let Some(MakeLayer(make)) = &self.members[endpoint].layer else { return Some(number) };
        match make() {
            Ok(layer) => cx.start_layer(connection, layer),
            // Its loss is reported like any other.
            Err(_) => cx.abort(connection),
        }
        None
    }

    /// A connection is gone: its name is no more.
    pub fn remove(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
    ) -> Option<ConnectionNumber> {
        let Link { number, .. } = self.by_id.remove(&connection)?;
        self.by_number.remove(&number);
        cx.abort(connection);
        Some(number)
    }
}
