//! What an operator reads when a central can't start: what is wrong, where, and what to do.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kit::frames::{batch, end, hello, responses};
use kit::log::run_error;
use kit::process::output;
use kit::programs::binary;
use kit::server::{Server, command};
use kit::strace;

const BETS: [(&str, &str); 1] = [("12345678", "7")];

/// The last line of a central that must not start; it ends with 1.
fn refusal(ledger: &Path, environment: &[(&str, &str)]) -> String {
    refusal_of(command(environment), ledger)
}

fn refusal_of(mut central: Command, ledger: &Path) -> String {
    central.env("SERVER_STORAGE_PATH", ledger);
    let output = output(&mut central);
    let log = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{log}");
    run_error(&log).to_owned()
}

/// A folder with the ledger of a lottery that two of three agencies have finished; the files' names.
fn stored() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let mut server = Server::start(&[("SERVER_AGENCIES", "3")]);
    for agency in [1, 2] {
        let mut stream = server.connect();
        let requests = [hello(agency), batch(0, &BETS), end(1)].concat();
        stream.write_all(&requests).expect("sent");
        stream.shutdown(Shutdown::Write).expect("half-closed");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("answered");
        assert_eq!(responses(&received).0.last().expect("an answer"), "finished 1 0");
    }
    let folder = server.take_folder();
    server.stop();
    let csv = folder.path().join("bets.csv");
    let wal = folder.path().join("bets.csv.wal");
    (folder, csv, wal)
}

const THREE: [(&str, &str); 1] = [("SERVER_AGENCIES", "3")];

/// A central that can't have the port leaves no files, and doesn't blame the ledger.
#[test]
fn a_port_that_is_taken_is_named_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("bets.csv");
    assert_eq!(
        refusal(&ledger, &[("SERVER_PORT", &port)]),
        format!(
            "can't listen at 127.0.0.1:{port}: Address already in use (os error 98): another process \
             listens at port {port} (ss -ltnp shows which): end it, or set another SERVER_PORT"
        )
    );
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    // The same when both would have the same ledger.
    let first = Server::start(&[]);
    let port = first.address().rsplit_once(':').expect("a port").1.to_owned();
    let error = refusal(&first.folder().join("bets.csv"), &[("SERVER_PORT", &port)]);
    assert!(error.starts_with("can't listen at "), "{error}");
}

#[test]
fn an_address_of_another_machine_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(
        refusal(&folder.path().join("bets.csv"), &[("SERVER_BIND", "192.0.2.1")]),
        "can't listen at 192.0.2.1:0: Cannot assign requested address (os error 99): SERVER_BIND must \
         be an address of this machine, or 0.0.0.0 for all of them"
    );
}

#[test]
fn a_folder_that_is_missing_or_none_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing/bets.csv");
    assert_eq!(
        refusal(&missing, &[]),
        format!(
            "ledger: {}: can't open it: No such file or directory (os error 2): its folder must \
             exist: make it, or set another SERVER_STORAGE_PATH",
            missing.display()
        )
    );
    fs::write(folder.path().join("file"), b"").expect("written");
    let below = folder.path().join("file/bets.csv");
    assert_eq!(
        refusal(&below, &[]),
        format!(
            "ledger: {}: can't open it: Not a directory (os error 20): a part of its path is no \
             folder: set another SERVER_STORAGE_PATH",
            below.display()
        )
    );
}

/// Root may do everything: as another user.
#[test]
fn who_may_not_read_or_write_the_ledger_is_named() {
    const NOBODY: u32 = 65_534;
    let (folder, csv, _) = stored();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("set");
    fs::set_permissions(&csv, Permissions::from_mode(0o400)).expect("set");
    // The binary too must be where that user may go. Copied by another process: a file that is open
    // for writing here while a test beside this one starts a process can't be run for a moment.
    let copied = Command::new("cp").arg(binary("server")).arg(folder.path()).status();
    assert!(copied.expect("it starts").success());
    let like = command(&THREE);
    let mut central = Command::new(folder.path().join("server"));
    central.env_clear().stdin(Stdio::null());
    central.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let user = if rustix::process::geteuid().is_root() {
        central.uid(NOBODY);
        NOBODY
    } else {
        rustix::process::geteuid().as_raw()
    };
    assert_eq!(
        refusal_of(central, &csv),
        format!(
            "ledger: {}: can't open it: Permission denied (os error 13): user {user}, as whom this \
             central runs, must be allowed to read and write it and its folder: change their owner \
             or mode, or set another SERVER_STORAGE_PATH",
            csv.display()
        )
    );
}

#[test]
fn another_number_of_agencies_says_which_it_is_for() {
    let (_folder, csv, wal) = stored();
    let (csv_name, wal_name) = (csv.display(), wal.display());
    assert_eq!(
        refusal(&csv, &[("SERVER_AGENCIES", "2")]),
        format!(
            "ledger: {csv_name}: it is for 3 agencies, found 2 configured: the draw would run without \
             the others: set SERVER_AGENCIES=3, or for another lottery remove {csv_name} and \
             {wal_name}, and start again"
        )
    );
}

#[test]
fn one_of_the_two_files_alone_is_refused() {
    let (_folder, csv, wal) = stored();
    let bytes = fs::metadata(&csv).expect("it is there").len();
    let (kept_csv, kept_wal) = (csv.with_extension("kept"), wal.with_extension("kept"));
    fs::rename(&wal, &kept_wal).expect("moved");
    assert_eq!(
        refusal(&csv, &THREE),
        format!(
            "ledger: {}: it holds {bytes} bytes, but its wal {} is missing or empty: put the wal \
             back; if the file isn't a ledger's, or for another lottery, move it away or set another \
             SERVER_STORAGE_PATH",
            csv.display(),
            wal.display()
        )
    );
    fs::rename(&kept_wal, &wal).expect("moved");
    fs::rename(&csv, &kept_csv).expect("moved");
    assert_eq!(
        refusal(&csv, &THREE),
        format!(
            "ledger: {0}: it is missing or empty, {bytes} bytes had been committed: put it back, as it \
             was together with {1}; or for another lottery remove {0} and {1}, and start again",
            csv.display(),
            wal.display()
        )
    );
    assert!(!csv.exists(), "nothing is made in its place");
    fs::rename(&kept_csv, &csv).expect("moved");
    let log = Server::start_command(central_at(&csv)).stop();
    assert!(log.contains("| state: clean | bets: 2\n"), "{log}");
}

/// More than the last run can have left: nothing is cut off.
fn assert_stays_as_it_is(csv: &Path, more: usize, most: u64) {
    let expected = fs::metadata(csv).expect("it is there").len();
    let foreign = [fs::read(csv).expect("read"), vec![b'x'; more]].concat();
    fs::write(csv, &foreign).expect("written");
    assert_eq!(
        refusal(csv, &THREE),
        format!(
            "ledger: {}: {expected} bytes had been committed, found {}: the last run can have left at \
             most {}. It isn't the file that belongs to the wal, or another program has appended to \
             it: restore both files of the ledger from the same copy; until then leave them as they \
             are; what was appended alone goes by truncate -s {expected}",
            csv.display(),
            foreign.len(),
            expected + most
        )
    );
    assert!(fs::read(csv).expect("read") == foreign, "it is as it was");
    OpenOptions::new().write(true).open(csv).expect("opened").set_len(expected).expect("cut");
}

#[test]
fn a_foreign_file_at_the_ledgers_path_stays_as_it_is() {
    let (_folder, csv, wal) = stored();
    // After a graceful end a byte is too much.
    assert_stays_as_it_is(&csv, 1, 0);
    // After a kill, even of one that has done nothing, it is what the wal has room for.
    drop(Server::start_command(central_at(&csv)));
    let halves = 2_usize << 20;
    let wal_len = fs::metadata(&wal).expect("it is there").len();
    assert_eq!(wal_len, halves as u64 + 4096, "two halves and a header");
    assert_stays_as_it_is(&csv, halves + 1, halves as u64);
    let log = Server::start_command(central_at(&csv)).stop();
    assert!(log.contains("| state: recovered | bets: 2\n"), "{log}");
    let log = Server::start_command(central_at(&csv)).stop();
    assert!(log.contains("| state: clean | bets: 2\n"), "{log}");
}

fn central_at(csv: &Path) -> Command {
    let mut central = command(&THREE);
    central.env("SERVER_STORAGE_PATH", csv);
    central
}

#[test]
fn damage_says_where_and_what_helps() {
    const RESTORE: &str =
        "restore both files of the ledger from the same copy; until then leave them as they are";
    let (_folder, csv, wal) = stored();
    let good = fs::read(&wal).expect("it is there");
    let write = |bytes: &[u8], at| {
        let file = OpenOptions::new().write(true).open(&wal).expect("opened");
        file.write_all_at(bytes, at).expect("written");
    };
    let name = wal.display();
    write(b"7", 25);
    let header = "damaged at byte 0: its header doesn't match its checksum";
    assert_eq!(refusal(&csv, &THREE), format!("ledger: {name}: {header}: {RESTORE}"));
    fs::write(&wal, &good).expect("written");
    write(b"2", 13);
    assert_eq!(
        refusal(&csv, &THREE),
        format!(
            "ledger: {name}: its header says that it is \"loteria wal v2\", the newest that this program knows is \
             \"loteria wal v1\": go on with the version that made it, or for another lottery remove \
             {} and {name}, and start again",
            csv.display()
        )
    );
    write(b"SQLite format 3", 0);
    assert_eq!(
        refusal(&csv, &THREE),
        format!(
            "ledger: {name}: expected the wal of a ledger, whose header begins with \
             \"loteria wal v1\", found another file: move it away if it is none of a ledger's, or \
             {RESTORE}"
        )
    );
    fs::write(&wal, &good).expect("written");
    let rows = fs::read(&csv).expect("it is there");
    fs::write(&csv, [b"9", &rows[1..]].concat()).expect("written");
    let error = refusal(&csv, &THREE);
    let checksum =
        format!("ledger: {}: the checksum of the first {} bytes is", csv.display(), rows.len());
    assert!(error.starts_with(&checksum), "{error}");
    assert!(
        error.ends_with(&format!("it isn't the file that belongs to the wal: {RESTORE}")),
        "{error}"
    );
}

#[test]
fn a_log_without_space_names_the_settings_and_gives_the_space_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("bets.csv");
    let error = refusal(&ledger, &[("SERVER_MIN_FREE_BYTES", "1000TiB")]);
    assert!(
        error.contains("bets.csv.wal: ") && error.contains("expected 2101248 for it and "),
        "{error}"
    );
    assert!(
        error.ends_with(
            "free some, or set a smaller SERVER_MIN_FREE_BYTES or SERVER_WAL_SEGMENT_SIZE"
        ),
        "{error}"
    );
    let plain = command(&[]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "ulimit -f 1000; exec \"$0\""]).arg(plain.get_program()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_eq!(
        refusal_of(shell, &ledger),
        format!(
            "ledger: {}.wal: can't fill it with its 2101248 bytes, twice SERVER_WAL_SEGMENT_SIZE and a \
             header: File too large (os error 27): raise the limit of a file's size (ulimit -f), or \
             set a smaller SERVER_WAL_SEGMENT_SIZE",
            ledger.display()
        )
    );
    assert_eq!(fs::metadata(folder.path().join("bets.csv.wal")).expect("it is there").len(), 0);
    // And it is made when there is space.
    let mut central = command(&[]);
    central.env("SERVER_STORAGE_PATH", &ledger);
    let log = Server::start_command(central).stop();
    assert!(log.contains("| state: new | bets: 0\n"), "{log}");
}

/// A recovery is no secret, a start in order needs none, and a new ledger is neither.
#[test]
fn a_start_says_whether_the_ledger_is_new_clean_or_recovered() {
    let mut server = Server::start(&THREE);
    let mut stream = server.connect();
    stream.write_all(&[hello(1), batch(0, &BETS), end(1)].concat()).expect("sent");
    stream.shutdown(Shutdown::Write).expect("half-closed");
    stream.read_to_end(&mut Vec::new()).expect("answered");
    let folder = server.take_folder();
    let csv = folder.path().join("bets.csv");
    // Killed.
    drop(server);
    let log = Server::start_command(central_at(&csv)).stop();
    let recovered = format!(
        " INFO     action: recover_ledger | result: success | path: {} | bytes_cut: 0 | \
         bytes_restored: 0 | torn_commit: false | commits: ",
        csv.display()
    );
    assert!(log.contains(&recovered), "{log}");
    let cause = " | rows: 1 | cause: the last run was killed or failed, or the power did: what was \
                 confirmed is there\n";
    assert!(log.contains(cause) && log.contains("| state: recovered | bets: 1\n"), "{log}");
    let log = Server::start_command(central_at(&csv)).stop();
    assert!(!log.contains("recover_ledger") && log.contains("| state: clean | bets: 1\n"), "{log}");
    // What a commit may have left that the wal doesn't know.
    drop(Server::start_command(central_at(&csv)));
    let mut rows = OpenOptions::new().append(true).open(&csv).expect("opened");
    rows.write_all(b"1,Ana").expect("written");
    let log = Server::start_command(central_at(&csv)).stop();
    assert!(log.contains("| bytes_cut: 5 | "), "{log}");
}

/// A start that fails when its ledger has been made already closes it in order.
#[test]
fn a_start_that_fails_behind_a_new_ledger_leaves_nothing_to_recover() {
    for (calls, error, expected) in [
        ("clone,clone3", "EAGAIN", "can't start the thread that waits for the disk: "),
        // Another one who had bound the port as well was quicker.
        ("listen", "EADDRINUSE", "can't listen at 127.0.0.1:0: Address already in use "),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let csv = folder.path().join("bets.csv");
        let failing = [format!("--trace={calls}"), format!("--inject={calls}:error={error}")];
        let central = strace::traced(&command(&THREE), &folder.path().join("trace"), &failing);
        let refusal = refusal_of(central, &csv);
        assert!(refusal.starts_with(expected), "{refusal}");
        let log = Server::start_command(central_at(&csv)).stop();
        assert!(!log.contains("recover_ledger"), "{log}");
        assert!(log.contains("| state: clean | bets: 0\n"), "{log}");
    }
}

#[test]
fn a_link_that_leads_nowhere_makes_the_ledger_there_or_says_why_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("bets.csv");
    symlink("missing/bets.csv", &link).expect("made");
    let error = refusal(&link, &[]);
    assert!(error.contains("its folder must exist"), "{error}");
}
