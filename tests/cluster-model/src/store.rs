//! etcd, as far as the scheme sees it: one linearizable store that applies a transaction as a
//! whole or not at all.
//!
//! It must not know what the keys are for; which requests reach it, how often, and whether their
//! answers come back is up to [`crate::state`].

use std::collections::BTreeMap;

/// An agency, from 0.
pub type AgencyId = usize;
/// A central, from 0.
pub type CentralId = usize;
/// How many bets of an agency's input come before.
pub type Position = u8;
/// A revision number of the store.
pub type Revision = u8;
/// What an account is fenced by; unique within an agency, unless a mutation reuses it.
pub type Session = u8;

/// A key below the draw's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `meta`
    Meta,
    /// `acct/<agency>`
    Account(AgencyId),
    /// `bets/<agency>/<first position>`
    Bets(AgencyId, Position),
    /// `win/<agency>/<first position>`
    Winners(AgencyId, Position),
    /// `fin/<agency>`
    Finished(AgencyId),
    /// `closed`
    Closed,
}

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Of `meta`; all agencies and centrals of the model are configured alike.
    Configuration,
    /// Of `acct/`.
    Account(Account),
    /// Of `bets/` and `win/`: a bet is known by its position in the agency's input.
    Bets(Vec<Position>),
    /// Of `fin/`.
    Empty,
    /// Of `closed`: who closed it.
    By(CentralId),
}

/// What the store knows of an agency. Its checksum is left out: it follows from `consumed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Account {
    /// Whose commits are taken.
    pub session: Session,
    /// Bets stored or rejected.
    pub consumed: Position,
    /// Bets stored.
    pub stored: u8,
    /// Bets rejected.
    pub rejected: u8,
    /// Winning bets among those stored.
    pub winners: u8,
    /// The agency's END was taken.
    pub is_finished: bool,
}

/// A value and the revisions at which it was created and last put.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// etcd's `create_revision`.
    pub created: Revision,
    /// etcd's `mod_revision`.
    pub modified: Revision,
}

/// A condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compare {
    /// There is no such key.
    Absent(Key),
    /// The key has this value.
    Value(Key, Value),
    /// The key was last put at this revision.
    Modified(Key, Revision),
    /// The key was created at this revision.
    Created(Key, Revision),
}

/// An operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Put a value.
    Put(Key, Value),
    /// Return an entry.
    Get(Key),
    /// Return how many keys there are below `fin/`.
    CountFinished,
}

/// A transaction: `success` if all of `compare` hold, else `failure`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txn {
    /// All of these must hold.
    pub compare: Vec<Compare>,
    /// What is done then.
    pub success: Vec<Op>,
    /// What is done otherwise.
    pub failure: Vec<Op>,
}

/// What a transaction came to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer {
    /// Whether all conditions held.
    pub succeeded: bool,
    /// The store's revision afterwards.
    pub revision: Revision,
    /// What was asked for by [`Op::Get`].
    pub found: Vec<(Key, Option<Entry>)>,
    /// What was asked for by [`Op::CountFinished`].
    pub finished: Option<usize>,
}

impl Answer {
    /// What [`Op::Get`] returned: `None` if it wasn't asked for.
    pub fn get(&self, key: Key) -> Option<Option<&Entry>> {
        let (_, entry) = self.found.iter().find(|(asked, _)| *asked == key)?;
        Some(entry.as_ref())
    }
}

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Store {
    /// Of the last change.
    pub revision: Revision,
    /// Whether each change counts. If nothing compares revisions, they would only make states
    /// differ that are the same to everybody; then they count changes of `meta` alone.
    counts_changes: bool,
    keys: BTreeMap<Key, Entry>,
}

impl Store {
    /// A store that holds nothing but `meta`.
    pub fn new(counts_changes: bool) -> Self {
        let mut store = Self { revision: 0, counts_changes, keys: BTreeMap::new() };
        store.put(Key::Meta, Value::Configuration);
        store
    }

    /// A linearizable read.
    pub fn get(&self, key: Key) -> Option<&Entry> {
        self.keys.get(&key)
    }

    /// The account of an agency that has said HELLO before.
    pub fn account(&self, agency: AgencyId) -> Option<Account> {
        match self.get(Key::Account(agency)).map(|entry| &entry.value) {
            Some(Value::Account(account)) => Some(*account),
            _ => None,
        }
    }

    /// Who closed the draw.
    pub fn closed(&self) -> Option<CentralId> {
        match self.get(Key::Closed).map(|entry| &entry.value) {
            Some(Value::By(central)) => Some(*central),
            _ => None,
        }
    }

    /// Keys below `fin/`.
    pub fn count_finished(&self) -> usize {
        self.keys.keys().filter(|key| matches!(key, Key::Finished(_))).count()
    }

    /// The values below `bets/<agency>/`, in the order of their keys.
    pub fn bets(&self, agency: AgencyId) -> Vec<Position> {
        self.positions(|key| matches!(key, Key::Bets(of, _) if *of == agency))
    }

    /// The values below `win/<agency>/`, in the order of their keys.
    pub fn winners(&self, agency: AgencyId) -> Vec<Position> {
        self.positions(|key| matches!(key, Key::Winners(of, _) if *of == agency))
    }

    fn positions(&self, is_wanted: impl Fn(&Key) -> bool) -> Vec<Position> {
        let entries = self.keys.iter().filter(|(key, _)| is_wanted(key));
        let values = entries.filter_map(|(_, entry)| match &entry.value {
            Value::Bets(positions) => Some(positions),
            _ => None,
        });
        values.flatten().copied().collect()
    }

    /// Whether nothing is left of the draw.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Deletes the draw, as an operator does: everything below its prefix.
    pub fn delete_all(&mut self) {
        self.keys.clear();
        self.revision += 1;
    }

    /// Puts `meta` if it is absent, as a central does that starts.
    pub fn create_meta(&mut self) -> Revision {
        if self.get(Key::Meta).is_none() {
            self.revision += 1;
            self.put(Key::Meta, Value::Configuration);
        }
        self.keys[&Key::Meta].created
    }

    /// Applies a transaction.
    pub fn apply(&mut self, txn: &Txn) -> Answer {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        // All puts of a transaction have one revision.
        if self.counts_changes && ops.iter().any(|op| matches!(op, Op::Put(..))) {
            self.revision += 1;
        }
        let (mut found, mut finished) = (Vec::new(), None);
        for op in ops {
            match op {
                Op::Put(key, value) => self.put(*key, value.clone()),
                Op::Get(key) => found.push((*key, self.get(*key).cloned())),
                Op::CountFinished => finished = Some(self.count_finished()),
            }
        }
        Answer { succeeded, revision: self.revision, found, finished }
    }

    fn holds(&self, compare: &Compare) -> bool {
        match compare {
            Compare::Absent(key) => self.get(*key).is_none(),
            Compare::Value(key, value) => self.get(*key).is_some_and(|e| e.value == *value),
            Compare::Modified(key, at) => self.get(*key).is_some_and(|e| e.modified == *at),
            Compare::Created(key, at) => self.get(*key).is_some_and(|e| e.created == *at),
        }
    }

    fn put(&mut self, key: Key, value: Value) {
        let created = self.get(key).map_or(self.revision, |entry| entry.created);
        self.keys.insert(key, Entry { value, created, modified: self.revision });
    }
}
