//! What goes wrong in a world besides single requests.

use crate::world::{CENTRALS, Happening, MEMBERS, World};

impl World {
    /// It goes elsewhere; its central may not know.
    pub(crate) fn agency_leaves(&mut self, index: usize) -> Result<(), String> {
        let now = self.instant();
        let agency = &mut self.agencies[index];
        let (number, at) = (agency.number, agency.at);
        agency.disconnect();
        let Some(at) = at else { return Ok(()) };
        if self.random.bool() && self.centrals[at].frozen_until <= self.now {
            self.counted("left");
            self.centrals[at].leave(number, now);
            return self.act(at);
        }
        self.counted("left unnoticed");
        Ok(())
    }

    pub(crate) fn fault(&mut self) -> Result<(), String> {
        if !self.has_faults() {
            return Ok(());
        }
        let (delay, duration) =
            (self.random.u64(50_000..600_000), self.random.u64(50_000..1_500_000));
        self.after(delay, Happening::Fault);
        match self.random.u8(0..4) {
            0 => {
                self.counted("frozen");
                let central = self.random.usize(0..CENTRALS);
                self.centrals[central].frozen_until = self.now + duration;
                Ok(())
            }
            1 => {
                let central = self.random.usize(0..CENTRALS);
                self.restart(central)
            }
            2 => {
                self.counted("no space");
                self.etcd.is_full = true;
                self.after(duration, Happening::HasSpace);
                Ok(())
            }
            _ => {
                let member = self.random.usize(0..MEMBERS);
                self.take_down(member, duration);
                Ok(())
            }
        }
    }

    fn restart(&mut self, index: usize) -> Result<(), String> {
        self.counted("restarted");
        let life = self.centrals[index].life + 1;
        self.members.retain(|line, _| line.central != index);
        self.watches.retain(|line, _| line.central != index);
        for agency in self.agencies.iter_mut().filter(|agency| agency.at == Some(index)) {
            agency.disconnect();
        }
        self.centrals[index] = self.central(index, life);
        self.act(index)
    }

    fn take_down(&mut self, member: usize, duration: u64) {
        self.counted("member down");
        self.is_down[member] = true;
        self.after(duration, Happening::Up(member));
        let lines = self.members.iter().filter(|(_, at)| **at == member).map(|(line, _)| *line);
        for line in lines.collect::<Vec<_>>() {
            self.after(0, Happening::Lose(line));
        }
    }
}
