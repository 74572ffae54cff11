//! What goes between centrals and etcd in a world.

use kit::memory_etcd::http::{self, HttpRequest};
use kit::memory_etcd::request;

use crate::central::Asked;
use crate::mutations::Mutation;
use crate::network::{self, FAULTS, Fate, Line};
use crate::world::{Happening, World};

impl World {
    /// What a central asks for is on its way.
    pub(crate) fn ask(&mut self, central: usize, asked: Asked) {
        let line = |number| Line { central, life: self.centrals[central].life, number };
        match asked {
            Asked::Connect(number, member) => {
                let line = line(number);
                self.after(100, Happening::Connected(line, member));
            }
            Asked::Close(number) => {
                let line = line(number);
                self.members.remove(&line);
                self.watches.remove(&line);
            }
            Asked::Send(number, bytes) => {
                let (line, request) = (line(number), network::parse(&bytes));
                if request.resource == "/v3/watch" {
                    self.begin_watch(line, &request);
                } else {
                    self.send(line, &request);
                }
            }
        }
    }

    fn begin_watch(&mut self, line: Line, asked: &HttpRequest) {
        let (created, revision) = self.etcd.watch();
        let bytes = [http::chunked_head(200), http::chunk(&created)].concat();
        self.after(500, Happening::Deliver(line, bytes));
        if self.has_faults() && self.random.u8(0..100) < self.fault_percent {
            self.counted("silent watch");
        } else {
            self.watches.insert(line, (request::watched_key(&asked.body), revision));
        }
    }

    fn send(&mut self, line: Line, request: &HttpRequest) {
        if self.mutation == Some(Mutation::ReadsAfterUnknown) && self.is_settled(line, request) {
            return;
        }
        let is_faulty = self.has_faults() && self.random.u8(0..100) < self.fault_percent;
        let fate =
            if is_faulty { FAULTS[self.random.usize(0..FAULTS.len())] } else { Fate::Normal };
        if is_faulty {
            self.counted(fate.name());
        }
        let course = fate.course(&mut self.random);
        if let Some((at, is_answered)) = course.done {
            let back = Some(line).filter(|_| is_answered);
            self.after(at, Happening::Done(back, request.clone(), course.again));
        }
        if let Some(at) = course.lost {
            self.after(at, Happening::Lose(line));
        }
        if let Some((at, response)) = course.refusal {
            self.after(at, Happening::Deliver(line, response));
        }
    }

    /// Whether a write was tried before, and is settled by reading instead of being tried again.
    fn is_settled(&mut self, line: Line, request: &HttpRequest) -> bool {
        if !network::is_write(request) || self.tried.insert(request.body.clone()) {
            return false;
        }
        self.tried.remove(&request.body);
        let (status, body) = self.etcd.fail(&request.body);
        self.after(500, Happening::Deliver(line, http::response(status, &body)));
        true
    }

    /// etcd does a request.
    pub(crate) fn done(
        &mut self,
        line: Option<Line>,
        request: HttpRequest,
        again: Option<u64>,
    ) -> Result<(), String> {
        let revision = self.etcd.history.changes().len();
        let (is_done, response) = network::call(&mut self.etcd, &request);
        if let Some(delay) = again.filter(|_| is_done) {
            self.after(delay, Happening::Done(None, request, None));
        }
        if let Some(line) = line {
            let delay = self.random.u64(100..2_000);
            self.after(delay, Happening::Deliver(line, response));
        }
        if self.etcd.history.changes().len() > revision {
            self.report_changes();
        }
        self.oracle.check(&self.etcd, &self.agencies)?;
        self.centrals.iter().try_for_each(|central| self.oracle.check_fence(central))
    }

    fn report_changes(&mut self) {
        let mut news = Vec::new();
        for (line, (key, behind)) in &mut self.watches {
            let lines = self.etcd.history.lines(key, *behind, self.etcd.cluster_id);
            if !lines.is_empty() {
                *behind = i64::MAX;
                news.push((*line, lines.iter().flat_map(|line| http::chunk(line)).collect()));
            }
        }
        for (line, bytes) in news {
            let delay = self.random.u64(1_000..20_000);
            self.after(delay, Happening::Deliver(line, bytes));
        }
    }
}
