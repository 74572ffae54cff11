//! What a program has loaded, as its log says it.

use runtime::logging::{Line, Pairs};

use crate::certificate::Certificate;
use crate::revocation_list::RevocationList;

/// What a program has loaded.
#[derive(Debug)]
pub struct InForce<'a> {
    pub(crate) own: Option<&'a Certificate>,
    pub(crate) authorities: &'a [Certificate],
    pub(crate) lists: &'a [RevocationList],
}

impl Pairs for InForce<'_> {
    fn add_to(&self, line: Line) -> Line {
        let line = match self.own {
            Some(own) => line
                .with_bytes("name", own.subject())
                .with("serial", own.serial())
                .with("expires", own.not_after()),
            None => line.with("serial", "none"),
        };
        let line = line.with("authorities", self.authorities.len());
        if self.lists.is_empty() {
            return line.with("lists", "none, revoked certificates are taken");
        }
        let lists = self.lists.iter().map(|list| {
            format!("{} {}, {} revoked", list.issuer(), list.version(), list.revoked())
        });
        line.with_bytes("lists", lists.collect::<Vec<_>>().join("; "))
    }
}
