//! The admin listener beside another handler, as one handler of the loop: each event goes to whom it
//! belongs. A service manager hears here how the other handler stands.

use std::net::SocketAddr;
use std::time::SystemTime;

use reactor::{
    CloseReason, ConnectionId, Context, Handler, ListenerEvent, ListenerId, ShutdownCause, Signal,
    TimerId,
};

use runtime::logging;
use runtime::service_manager::ServiceManager;

use crate::admin_service::{self, AdminService};
use crate::healthcheck;
use crate::observable::{Observable, ViewContext};
use crate::service_status::ServiceStatus;

/// See the [module](self).
#[derive(Debug)]
pub struct WithAdmin<H> {
    inner: H,
    /// None: there is no admin listener.
    admin: Option<AdminService>,
    view_context: ViewContext,
    /// The system's clock, or a test's.
    clock: fn() -> SystemTime,
    /// Have come before the loop began.
    signals: Vec<Signal>,
    service: ServiceManager,
    /// What it was told last.
    service_status: Option<ServiceStatus>,
}

impl<H: Observable> WithAdmin<H> {
    /// The handler of the main listener, and who serves the admin listener if there is one.
    pub fn new(
        inner: H,
        admin: Option<AdminService>,
        view_context: ViewContext,
        clock: fn() -> SystemTime,
    ) -> Self {
        Self {
            inner,
            admin,
            view_context,
            clock,
            signals: Vec::new(),
            service: ServiceManager::default(),
            service_status: None,
        }
    }

    /// The same, with signals that have come before the loop began.
    #[must_use]
    pub fn with_signals(self, signals: Vec<Signal>) -> Self {
        Self { signals, ..self }
    }

    /// The same, of which a service manager hears.
    #[must_use]
    pub fn managed_by(self, service: ServiceManager) -> Self {
        Self { service, ..self }
    }

    /// Both parts again.
    pub fn into_parts(self) -> (H, Option<AdminService>) {
        (self.inner, self.admin)
    }

    fn close_revoked(&self, cx: &mut impl Context) {
        for id in self.admin.iter().flat_map(AdminService::ids).collect::<Vec<_>>() {
            if self.inner.is_revoked(&cx.peer_certificates(id)) {
                cx.close(id);
            }
        }
    }

    fn tell_service_manager(&mut self) {
        if !self.service.is_present() {
            return;
        }
        let status = self.inner.service_status();
        if let Some(status) = status.filter(|_| status != self.service_status) {
            self.service_status = Some(status);
            self.service.status(&status);
        }
    }
}

/// How it is in this turn.
fn view<'a, H: Observable>(
    inner: &'a H,
    view_context: &mut ViewContext,
    clock: fn() -> SystemTime,
    admin: &mut AdminService,
    cx: &impl Context,
) -> H::View<'a> {
    let time = clock();
    admin.set_time(time);
    view_context.wall.follow(cx.now(), time);
    view_context.lost_lines.follow(cx.now(), logging::dropped_lines());
    inner.view(cx, *view_context, cx.gauges(admin.listener()).connections)
}

/// Whether a connection is the admin listener's.
fn of_admin(admin: &mut Option<AdminService>, id: ConnectionId) -> Option<&mut AdminService> {
    admin.as_mut().filter(|admin| admin.has(id))
}

impl<H: Observable> Handler for WithAdmin<H> {
    type Fatal = H::Fatal;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.inner.on_start(cx);
        for signal in std::mem::take(&mut self.signals) {
            self.on_signal(cx, signal);
        }
    }

    fn on_open(&mut self, cx: &mut impl Context, id: ConnectionId, peer: SocketAddr) {
        match &mut self.admin {
            Some(admin) if cx.listener(id) == Some(admin.listener()) => {
                let is_probe = healthcheck::is_probe(peer.ip());
                // As when it asks for an echo: without its ledger a central isn't ready.
                if is_probe {
                    self.inner.on_probe();
                }
                admin.on_open(cx, id, is_probe);
            }
            _ => self.inner.on_open(cx, id, peer),
        }
    }

    fn before_read(&mut self, cx: &mut impl Context, id: ConnectionId) {
        if of_admin(&mut self.admin, id).is_none() {
            self.inner.before_read(cx, id);
        }
    }

    fn on_data(&mut self, cx: &mut impl Context, id: ConnectionId, input: &[u8]) -> usize {
        let Some(admin) = of_admin(&mut self.admin, id) else {
            return self.inner.on_data(cx, id, input);
        };
        let view = view(&self.inner, &mut self.view_context, self.clock, admin, cx);
        admin.on_data(cx, id, input, &view, &|| self.inner.make_layer())
    }

    fn on_handshake(&mut self, cx: &mut impl Context, id: ConnectionId) {
        match of_admin(&mut self.admin, id) {
            // It may have begun before a reload that has revoked the certificate.
            Some(_) if self.inner.is_revoked(&cx.peer_certificates(id)) => cx.close(id),
            Some(admin) => admin.on_handshake(cx, id),
            None => self.inner.on_handshake(cx, id),
        }
    }

    fn on_eof(&mut self, cx: &mut impl Context, id: ConnectionId, rest: &[u8]) {
        let Some(admin) = of_admin(&mut self.admin, id) else {
            return self.inner.on_eof(cx, id, rest);
        };
        let view = view(&self.inner, &mut self.view_context, self.clock, admin, cx);
        admin.on_eof(cx, id, rest, &view);
    }

    fn on_writable(&mut self, cx: &mut impl Context, id: ConnectionId) {
        if of_admin(&mut self.admin, id).is_none() {
            self.inner.on_writable(cx, id);
        }
    }

    fn on_deadline(&mut self, cx: &mut impl Context, id: ConnectionId) {
        match of_admin(&mut self.admin, id) {
            Some(admin) => {
                admin.set_time((self.clock)());
                admin.on_deadline(cx, id);
            }
            None => self.inner.on_deadline(cx, id),
        }
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match &mut self.admin {
            Some(admin) if matches!(timer, admin_service::TICK | admin_service::KEEP_ALIVE) => {
                let view = view(&self.inner, &mut self.view_context, self.clock, admin, cx);
                admin.on_timer(cx, timer, &view);
            }
            _ => self.inner.on_timer(cx, timer),
        }
    }

    fn on_close(&mut self, cx: &mut impl Context, id: ConnectionId, reason: &CloseReason) {
        match of_admin(&mut self.admin, id) {
            Some(admin) => admin.on_close(id, reason),
            None => self.inner.on_close(cx, id, reason),
        }
    }

    fn is_trusted(&self, peer: SocketAddr) -> bool {
        self.inner.is_trusted(peer)
    }

    fn on_listener_event(
        &mut self,
        cx: &mut impl Context,
        listener: ListenerId,
        event: &ListenerEvent,
    ) {
        match &mut self.admin {
            Some(admin) if admin.listener() == listener => admin.on_listener_event(event),
            _ => self.inner.on_listener_event(cx, listener, event),
        }
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        if signal != Signal::Hangup {
            return self.inner.on_signal(cx, signal);
        }
        self.service.reloading();
        self.inner.on_signal(cx, signal);
        self.close_revoked(cx);
        self.service.ready();
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        self.inner.on_shutdown(cx, cause);
        // The last that pages hear is that the central stops.
        if let Some(admin) = &mut self.admin {
            let view = view(&self.inner, &mut self.view_context, self.clock, admin, cx);
            admin.tick(cx, &view);
        }
    }

    fn is_idle(&self) -> bool {
        self.inner.is_idle()
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), H::Fatal> {
        if let Some(admin) = &mut self.admin {
            admin.before_flush(cx);
        }
        self.inner.before_flush(cx)?;
        self.tell_service_manager();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
