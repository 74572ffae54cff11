//! Every limit of the server: what it bounds, what happens when it is reached, and why it is there.
//!
//! How they are parsed is [`config`]'s, the loop's own are enforced in [`reactor::Limits`], the
//! central's in [`ProtocolConfig`](crate::central::ProtocolConfig). The table in docs/configuration.md is this one, and
//! a test keeps it so.
//!
//! Limits that can't be set, because both ends must agree on them:
//!
//! | limit | value | when it is reached | why |
//! |---|---|---|---|
//! | [`wire::FRAME_MAX`] | 8 KiB | error 2, the connection ends | the exercise's packet |
//! | [`FIELD_MAX`](wire::field::FIELD_MAX) | 255 bytes | can't be encoded | its length travels in a byte |
//! | [`REASON_MAX`](wire::response::REASON_MAX) | 1 KiB | cut at a character | an error must fit into a frame |
//! | [`DOCUMENT_DIGITS_MAX`](wire::bet::DOCUMENT_DIGITS_MAX) | 20 | the batch is rejected | twice as many as any DNI has |
//! | [`NUMBER_DIGITS_MAX`](wire::bet::NUMBER_DIGITS_MAX) | 10, at most 4,294,967,295 | the batch is rejected | 32 bits |
//!
//! And those of [the log](runtime::logging), which no installation needs to differ in:
//!
//! | limit | value | when it is reached |
//! |---|---|---|
//! | a value | 1 KiB | cut, and says how many bytes it has |
//! | a line | 16 KiB | the same |
//! | lines that wait | 1 MiB | a turn waits up to 20 ms; then they are dropped and counted |
//!
//! Batches under way have no limit of their own: those that have arrived and aren't answered are what
//! one turn reads (`SERVER_READ_BUDGET` of each connection, `SERVER_TURN_BUDGET` of all), because
//! every turn ends with their answers, and a peer that takes no answers is read no more
//! (`SERVER_WRITE_BUFFER_HIGH`).

use runtime::settings::Setting;

use crate::config;

/// One limit.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Name, default and what can be set.
    pub setting: &'static Setting,
    /// What happens when it is reached.
    pub reached: &'static str,
    /// Why it is there.
    pub reason: &'static str,
}

const fn limit(setting: &'static Setting, reached: &'static str, reason: &'static str) -> Limit {
    Limit { setting, reached, reason }
}

/// All limits that can be set.
pub static LIMITS: &[Limit] = &[
    // How many.
    limit(
        &config::CONNECTIONS,
        "the connection that has been silent longest is closed for each that comes, agencies' never; if there is none, accepting pauses",
        "memory and descriptors; lowered to what RLIMIT_NOFILE allows less 32 for everything else",
    ),
    limit(
        &config::RESERVED,
        "anybody else gets an evicted connection's place, or is closed at once",
        "the health check and known agencies get in however many others there are; at most a quarter of all",
    ),
    limit(
        &config::EVICTION_DELAY,
        "at the limit of connections, one that has been silent for longer is closed for each that comes",
        "silent peers don't lock everybody out; whoever comes has this long to speak",
    ),
    limit(
        &config::PER_ADDRESS,
        "further connections of this address are closed at once",
        "one address doesn't take all places; an IPv6 host has a whole /64, which counts as one",
    ),
    limit(
        &config::CONNECTS,
        "the same, until the second is over",
        "to make and drop connections doesn't keep the loop from serving",
    ),
    limit(
        &config::BACKLOG,
        "further SYNs are dropped; clients retransmit after about 1 s",
        "5 is the original's, and in the shipped file; where hundreds connect at once, most wait for a retransmission with it",
    ),
    limit(
        &config::AGENCIES,
        "a higher number is refused with error 5; the draw waits for all of them; with 0 the central is an echo server",
        "their accounts stay in memory, and all must fit into one checkpoint",
    ),
    limit(
        &config::ACCEPTS,
        "the rest is accepted in the next turn",
        "a storm of connects doesn't starve those who are in",
    ),
    // How much.
    limit(
        &config::READ,
        "the rest is read in the next turn",
        "a quick peer doesn't starve the others; bounds what a turn stages",
    ),
    limit(
        &config::TURN_BYTES,
        "the other connections are served in the next turn, before those that were",
        "bounds how long a turn takes; so do 1 MiB of log lines, after which it serves nobody else",
    ),
    limit(
        &config::MAX_BUFFERED,
        "nothing more is read in this turn; then the connections that hold the most are closed, until seven eighths are held",
        "a thousand peers that each stay within their limits are too much together",
    ),
    limit(
        &config::SOCKET_BUFFER,
        "the peer's TCP waits, or the server's output does",
        "bounds the kernel's share: twice this in each direction, at most twice `net.core.rmem_max` and `net.core.wmem_max`; all sockets together, `net.ipv4.tcp_mem`",
    ),
    limit(
        &config::MAX_LINE,
        "an error line, then the connection ends",
        "a line without end would be kept for ever",
    ),
    limit(
        &config::HIGH_WATER,
        "the peer is read no more, and told no more winners",
        "a peer that asks and doesn't take the answers costs this much and no more",
    ),
    limit(
        &config::LOW_WATER,
        "a peer that was read no more is read again below it",
        "well below the high one, so that reading doesn't stop and go at every packet",
    ),
    limit(
        &config::WINNERS_BUDGET,
        "the rest is read in the next turn",
        "winners are read from the ledger for all who ask at once, and nobody else waits for that",
    ),
    limit(
        &config::COMMIT_MAX,
        "what is staged is written into the log in the middle of the turn; a quarter of a smaller log",
        "the disk begins while the turn goes on; more falls out of the processor's cache",
    ),
    limit(
        &config::PENDING_REPLIES,
        "agencies are read no more until the disk has caught up",
        "a slow disk makes answers wait, and each holds memory",
    ),
    limit(
        &config::MAX_LEDGER,
        "bets are answered with UNAVAILABLE, ends and the draw go on; a larger ledger still starts",
        "an agency may send for ever; whoever raises it needs no other change",
    ),
    limit(
        &config::MIN_FREE,
        "bets are answered with UNAVAILABLE, ends and the draw go on; a new log isn't made",
        "a full file system harms more than the central; looked at with each MiB and after a failure",
    ),
    limit(
        &config::LOG_SIZE,
        "a checkpoint begins the other half",
        "bounds the log on disk, and what a start takes of memory, up to twice as much",
    ),
    // How long.
    limit(
        &config::COMMIT_RETRY,
        "a commit is tried again; until then bets are answered with UNAVAILABLE, and the disk isn't asked",
        "a full disk costs no more than the answers; doubled with each failure in a row, up to 5 s",
    ),
    limit(
        &config::FIRST_BYTE,
        "the connection is closed",
        "a connection that never speaks holds a place",
    ),
    limit(
        &config::WHOLE_FRAME,
        "error 15 or an error line, then the connection ends",
        "half a frame, or a byte a minute, holds memory",
    ),
    limit(
        &config::IDLE,
        "the connection is closed; an agency may wait for the draw for ever",
        "an echo connection that was forgotten holds a place",
    ),
    limit(
        &config::KEEPALIVE,
        "TCP asks three times, ten seconds apart, then the connection fails",
        "a dead peer is told from an agency that waits by nothing else",
    ),
    limit(
        &config::WRITE_STALL,
        "the connection is closed",
        "output that nobody takes holds memory",
    ),
    limit(
        &config::LINGER,
        "what the peer still sends is dropped with the connection",
        "closing with unread input would reset the connection and lose the last answer",
    ),
    limit(
        &config::DRAIN,
        "connections that haven't ended are dropped",
        "a shutdown ends within the second that `docker stop -t 1` gives",
    ),
    limit(
        &config::ACCEPT_PAUSE,
        "accepting is tried again",
        "after EMFILE the kernel doesn't tell when descriptors are free again",
    ),
    limit(
        &config::REPORT_PERIOD,
        "what was refused meanwhile is told as a count",
        "ten thousand hostile peers are a line, not ten thousand",
    ),
    limit(
        &config::WAITING_PERIOD,
        "it is logged again whom the draw waits for",
        "a lottery that waits says so, and isn't heard of more often than somebody reads",
    ),
    limit(
        &config::MAX_LOG_LINES,
        "a warning; more lines of this kind are counted, and the counts logged as for refusals",
        "nobody can fill the log; five agencies with 100,000 batches each are logged to the line",
    ),
    limit(
        &config::LOG_INTERVAL,
        "as many lines of each kind are logged again",
        "bounds the lines of a kind in a day: 72 million",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings that bound nothing.
    const OTHERS: [&str; 8] = [
        "SERVER_PORT",
        "LOGGING_LEVEL",
        "SERVER_IP",
        "SERVER_BIND",
        "SERVER_STORAGE_PATH",
        "SERVER_SYNC",
        "SERVER_ECHO_KEEP_ALIVE",
        "SERVER_UNLIMITED_ADDRESSES",
    ];

    #[test]
    fn every_setting_is_a_limit_or_bounds_nothing() {
        let limits = LIMITS.iter().map(|limit| limit.setting.key);
        let mut listed: Vec<_> = limits.chain(OTHERS).collect();
        let mut all: Vec<_> = config::TABLE.iter().map(|setting| setting.key).collect();
        listed.sort_unstable();
        all.sort_unstable();
        assert_eq!(listed, all);
    }

    #[test]
    fn the_documentation_has_this_table() {
        let page = include_str!("../../docs/configuration.md");
        for Limit { setting, reached, reason } in LIMITS {
            let default = setting.default.expect("every limit has one");
            let row = format!("| `{}` | {default} | {reached} | {reason} |\n", setting.key);
            assert!(page.contains(&row), "docs/configuration.md lacks: {row}");
        }
    }
}
