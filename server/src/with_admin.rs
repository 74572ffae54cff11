//! A central and its admin listener, as one handler of the loop: each event goes to whom it belongs.

use std::net::SocketAddr;
use std::time::SystemTime;

use reactor::{
    CloseReason, ConnectionId, Context, Handler, ListenerEvent, ListenerId, ShutdownCause, Signal,
    TimerId,
};
use wire::Agency;

use crate::admin_service::{self, AdminService};
use crate::central::{AdminUsage, Central, Sight, Times};
use crate::healthcheck;
use crate::store::{Store, StoreError};

/// See the [module](self).
#[derive(Debug)]
pub struct WithAdmin<S> {
    central: Central<S>,
    /// None: nobody looks.
    admin: Option<AdminService>,
    overview: Overview,
}

/// How the central is shown.
#[derive(Debug, Clone, Copy)]
pub struct Overview {
    /// When the process began.
    pub started: SystemTime,
    /// The system's clock, or a test's.
    pub clock: fn() -> SystemTime,
    /// Agencies that have metrics of their own.
    pub metrics_agencies: Agency,
}

impl<S: Store> WithAdmin<S> {
    /// The central, and who serves its admin listener if it has one.
    pub fn new(central: Central<S>, admin: Option<AdminService>, overview: Overview) -> Self {
        Self { central, admin, overview }
    }

    /// The central, when the loop has ended.
    pub fn into_central(self) -> Central<S> {
        self.central
    }
}

impl Overview {
    /// The central as it is in this turn.
    fn of<'a, S: Store>(
        self,
        central: &'a Central<S>,
        admin: &AdminService,
        cx: &impl Context,
    ) -> Sight<'a, S> {
        let times = Times { started: self.started, now: cx.now(), time: (self.clock)() };
        let usage = AdminUsage {
            responses: admin.responses(),
            streams: admin.streams(),
            connections: cx.gauges(admin.listener()).connections,
        };
        Sight::new(central, cx, times, self.metrics_agencies, usage)
    }
}

/// Whether a connection is the admin listener's.
fn of_admin(admin: &mut Option<AdminService>, id: ConnectionId) -> Option<&mut AdminService> {
    admin.as_mut().filter(|admin| admin.has(id))
}

impl<S: Store> Handler for WithAdmin<S> {
    type Fatal = StoreError;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.central.on_start(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, id: ConnectionId, peer: SocketAddr) {
        match &mut self.admin {
            Some(admin) if cx.listener(id) == Some(admin.listener()) => {
                // As when it asks for an echo: without its ledger a central isn't ready.
                if healthcheck::is_probe(peer.ip()) {
                    self.central.verify_ledger();
                }
                admin.on_open(cx, id, peer);
            }
            _ => self.central.on_open(cx, id, peer),
        }
    }

    fn before_read(&mut self, cx: &mut impl Context, id: ConnectionId) {
        if of_admin(&mut self.admin, id).is_none() {
            self.central.before_read(cx, id);
        }
    }

    fn on_data(&mut self, cx: &mut impl Context, id: ConnectionId, input: &[u8]) -> usize {
        let Some(admin) = of_admin(&mut self.admin, id) else {
            return self.central.on_data(cx, id, input);
        };
        let sight = self.overview.of(&self.central, admin, cx);
        admin.on_data(cx, id, input, &sight, &|| self.central.make_layer())
    }

    fn on_handshake(&mut self, cx: &mut impl Context, id: ConnectionId) {
        if of_admin(&mut self.admin, id).is_none() {
            self.central.on_handshake(cx, id);
        }
    }

    fn on_eof(&mut self, cx: &mut impl Context, id: ConnectionId, rest: &[u8]) {
        let Some(admin) = of_admin(&mut self.admin, id) else {
            return self.central.on_eof(cx, id, rest);
        };
        let sight = self.overview.of(&self.central, admin, cx);
        admin.on_eof(cx, id, rest, &sight);
    }

    fn on_writable(&mut self, cx: &mut impl Context, id: ConnectionId) {
        if of_admin(&mut self.admin, id).is_none() {
            self.central.on_writable(cx, id);
        }
    }

    fn on_deadline(&mut self, cx: &mut impl Context, id: ConnectionId) {
        match of_admin(&mut self.admin, id) {
            Some(admin) => admin.on_deadline(cx, id),
            None => self.central.on_deadline(cx, id),
        }
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match &mut self.admin {
            Some(admin) if matches!(timer, admin_service::TICK | admin_service::KEEP_ALIVE) => {
                let sight = self.overview.of(&self.central, admin, cx);
                admin.on_timer(cx, timer, &sight);
            }
            _ => self.central.on_timer(cx, timer),
        }
    }

    fn on_close(&mut self, cx: &mut impl Context, id: ConnectionId, reason: &CloseReason) {
        match of_admin(&mut self.admin, id) {
            Some(admin) => admin.on_close(id),
            None => self.central.on_close(cx, id, reason),
        }
    }

    fn is_trusted(&self, peer: SocketAddr) -> bool {
        self.central.is_trusted(peer)
    }

    fn on_listener_event(
        &mut self,
        cx: &mut impl Context,
        listener: ListenerId,
        event: &ListenerEvent,
    ) {
        match &self.admin {
            Some(admin) if admin.listener() == listener => admin_service::log_listener(event),
            _ => self.central.on_listener_event(cx, listener, event),
        }
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        self.central.on_signal(cx, signal);
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        self.central.on_shutdown(cx, cause);
        // The last that pages hear is that the central stops.
        if let Some(admin) = &mut self.admin {
            let sight = self.overview.of(&self.central, admin, cx);
            admin.tick(cx, &sight);
        }
    }

    fn is_idle(&self) -> bool {
        self.central.is_idle()
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), StoreError> {
        if let Some(admin) = &mut self.admin {
            admin.before_flush(cx);
        }
        self.central.before_flush(cx)
    }
}
