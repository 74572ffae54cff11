//! What can be asked for, and the bytes that ask for it: bodies of etcd's JSON gateway, which reads the
//! names of the protocol's fields as they are (`range_end`).
//!
//! Keys and values are any bytes.

use crate::json::Object;

/// What is asked for, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Operations that depend on comparisons, at once.
    Txn(Txn<'a>),
    /// Keys and values.
    Range(Range<'a>),
}

/// A transaction: if all comparisons hold, `success`, else `failure`; all of it at one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Txn<'a> {
    /// What must hold.
    pub compare: &'a [Compare<'a>],
    /// What is done if it does.
    pub success: &'a [Op<'a>],
    /// What is done otherwise.
    pub failure: &'a [Op<'a>],
}

/// What must hold of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare<'a> {
    /// It is there, and has this value.
    Value {
        /// The key.
        key: &'a [u8],
        /// Its value.
        is: &'a [u8],
    },
    /// It is there, and was created at this revision, from 1 on.
    CreateRevision {
        /// The key.
        key: &'a [u8],
        /// The revision.
        is: i64,
    },
    /// It isn't there.
    Absent {
        /// The key.
        key: &'a [u8],
    },
}

/// An operation of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Gives a key a value.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Reads, what operations before it have written included.
    Range(Range<'a>),
}

/// Which keys are read. Every read is linearizable: it sees all that was acknowledged before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<'a> {
    /// The key, or the first one.
    pub key: &'a [u8],
    /// The key behind the last one, see [`prefix_end`]; empty for `key` alone.
    pub range_end: &'a [u8],
    /// How many are returned at most; 0 for all.
    pub limit: u32,
    /// The revision at which is read; 0 for the newest.
    pub revision: i64,
    /// Whether they are only counted. The limit doesn't bound the count.
    pub is_count_only: bool,
}

impl<'a> Range<'a> {
    /// One key, at the newest revision.
    pub fn of_key(key: &'a [u8]) -> Self {
        Self { key, range_end: &[], limit: 0, revision: 0, is_count_only: false }
    }

    /// All keys from `key` on before `range_end`, at the newest revision.
    pub fn between(key: &'a [u8], range_end: &'a [u8]) -> Self {
        Self { range_end, ..Self::of_key(key) }
    }

    /// The same keys, counted.
    #[must_use]
    pub fn counted(self) -> Self {
        Self { is_count_only: true, ..self }
    }
}

/// The key behind all keys that begin with `prefix`: for [`Range::between`].
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // To etcd: to the last key that there is.
    vec![0]
}

impl Request<'_> {
    /// Appends the body to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        match self {
            Self::Txn(txn) => txn.write(&mut object),
            Self::Range(range) => range.write(&mut object),
        }
        object.end();
    }
}

impl Txn<'_> {
    fn write(&self, object: &mut Object<'_>) {
        object
            .list("compare", self.compare, Compare::write)
            .list("success", self.success, Op::write)
            .list("failure", self.failure, Op::write);
    }
}

impl Compare<'_> {
    fn write(&self, object: &mut Object<'_>) {
        object.word("result", "EQUAL");
        match *self {
            Self::Value { key, is } => {
                object.word("target", "VALUE").bytes("key", key).bytes("value", is);
            }
            Self::CreateRevision { key, is } => created(object, key, is),
            Self::Absent { key } => created(object, key, 0),
        }
    }
}

fn created(object: &mut Object<'_>, key: &[u8], revision: i64) {
    object.word("target", "CREATE").bytes("key", key).number("create_revision", revision);
}

impl Op<'_> {
    fn write(&self, object: &mut Object<'_>) {
        match *self {
            Self::Put { key, value } => object.object("request_put", |put| {
                put.bytes("key", key).bytes("value", value);
            }),
            Self::Range(range) => object.object("request_range", |object| range.write(object)),
        };
    }
}

impl Range<'_> {
    fn write(&self, object: &mut Object<'_>) {
        object.bytes("key", self.key);
        if !self.range_end.is_empty() {
            object.bytes("range_end", self.range_end);
        }
        if self.limit > 0 {
            object.number("limit", self.limit.into());
        }
        if self.revision > 0 {
            object.number("revision", self.revision);
        }
        if self.is_count_only {
            object.is_true("count_only");
        }
    }
}

/// Appends the body that begins a watch of one key, or of all from `key` on before `range_end`.
pub(crate) fn write_watch(key: &[u8], range_end: &[u8], out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.object("create_request", |create| {
        create.bytes("key", key);
        if !range_end.is_empty() {
            create.bytes("range_end", range_end);
        }
    });
    object.end();
}

/// Appends the body that asks for a token.
pub(crate) fn write_authenticate(user: &str, password: &str, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.text("name", user).text("password", password);
    object.end();
}
