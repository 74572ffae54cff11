//! Openings, and files that aren't what they were.

use super::*;

/// Opens, and stops at the report with this number; `None` when there are fewer.
fn open_until(
    machine: &Rc<RefCell<Machine>>,
    options: Options,
    last_report: usize,
) -> Option<Error> {
    let mut reports = 0;
    let watch = |_| {
        reports += 1;
        if reports > last_report { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    open_watched(machine, options, watch).err()
}

#[test]
fn an_opening_that_is_stopped_at_any_report_changes_nothing_and_can_be_made_again() {
    let (machine, expected) = killed(&[commit(1, 20), commit(2, 20)]);
    let (rows, wal) = (machine.rows.live, machine.wal.live);
    let cut = &rows[..rows.len() - 9];
    for last_report in 0.. {
        let machine = Rc::new(RefCell::new(Machine::with_files(cut, &wal)));
        let Some(error) = open_until(&machine, OPTIONS, last_report) else {
            assert!(last_report > 3, "each step is reported");
            break;
        };
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        let restored = machine.borrow().rows.live != cut;
        assert_eq!(restored, last_report > 2, "reading comes first");
        reopened(&machine, std::slice::from_ref(&expected));
    }
}

#[test]
fn a_new_wal_reports_every_mebibyte_and_an_unfinished_one_is_begun_anew() {
    let options = Options { segment_size: 3 << 20, ..OPTIONS };
    for last_report in 0..=6 {
        let machine = new_machine();
        let error = open_until(&machine, options, last_report).expect("6 MiB are more than that");
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        let opened = open(&machine).expect("nothing was ever confirmed");
        assert!(opened.recovery.created);
        assert_eq!(opened.known, Known::default());
    }
}

#[test]
fn files_that_are_not_what_they_were_end_every_commit_and_the_close() {
    type Tampering = fn(&mut Machine);
    let tamperings: [Tampering; 4] = [
        |machine| machine.gone = Some(SyncTarget::Rows),
        |machine| machine.gone = Some(SyncTarget::Wal),
        |machine| machine.rows.live.truncate(1),
        |machine| machine.wal.live.truncate(5000),
    ];
    for tamper in tamperings {
        let machine = new_machine();
        let mut opened = open(&machine).expect("a new one");
        opened.commit_durably(&commit(1, 3));
        tamper(&mut machine.borrow_mut());
        for commit in [commit(1, 3), commit(1, 0)] {
            let error = opened.append(&commit).expect_err("it would be lost");
            assert!(matches!(error, AppendError::Fatal(_)), "{error}");
        }
        assert!(matches!(opened.ledger.verify(), Err(AppendError::Fatal(_))));
        opened.close().expect_err("this is no graceful end");
    }
}

/// What a user refuses stays as it is.
#[test]
fn a_refusal_changes_nothing() {
    /// Refuses in one of three places.
    struct Refuses(&'static str);

    impl Replay for Refuses {
        type Error = &'static str;

        fn snapshot(&mut self, _: Snapshot<'_>) -> Result<(), Malformed> {
            if self.0 == "snapshot" { Err(Malformed) } else { Ok(()) }
        }

        fn commit(&mut self, _: &[u8]) -> Result<(), Malformed> {
            if self.0 == "commit" { Err(Malformed) } else { Ok(()) }
        }

        fn check(&mut self, _: &Paths) -> Result<(), &'static str> {
            if self.0 == "check" { Err(self.0) } else { Ok(()) }
        }

        fn rows(&mut self, _: &mut RowReader<'_>) -> Result<(), &'static str> {
            if self.0 == "rows" { Err(self.0) } else { Ok(()) }
        }
    }

    let (machine, expected) = killed(&[commit(1, 20), commit(2, 20)]);
    let (rows, wal) = (machine.rows.live, machine.wal.live);
    let cut = &rows[..rows.len() - 9];
    let machine = Rc::new(RefCell::new(Machine::with_files(cut, &wal)));
    let open_as = |user: &'static str| {
        let (rows, wal) = MemoryStorage::files(&machine);
        let (path, initial) = (Path::new("bets.csv"), Snapshot { format: 0, bytes: &[] });
        let goes_on = |_| ControlFlow::Continue(());
        Ledger::with_storage(rows, wal, path, OPTIONS, initial, &mut Refuses(user), goes_on)
    };
    let restore = "restore both files of the ledger from the same copy; until then leave them as \
                   they are";
    for (user, text) in [
        (
            "snapshot",
            format!("bets.csv.wal: damaged at byte 4096: a checkpoint can't be read: {restore}"),
        ),
        (
            "commit",
            format!("bets.csv.wal: damaged at byte 4288: a commit out of its order: {restore}"),
        ),
        ("check", "check".to_owned()),
        ("rows", "rows".to_owned()),
    ] {
        assert_eq!(open_as(user).expect_err("refused").to_string(), text);
        let machine = machine.borrow();
        assert!(machine.rows.live == cut && machine.wal.live == wal, "{user}");
    }
    assert!(open_as("nothing").is_ok(), "whether its user reads all rows or not");
    reopened(&machine, &[expected]);
}

fn open_files(path: &Path) -> Result<(Ledger<std::fs::File>, Known, Recovery), Error> {
    let mut known = Known::default();
    let initial = known.encoded();
    let initial = snapshot(&initial);
    let goes_on = |_| ControlFlow::Continue(());
    let opened = Ledger::open(path, OPTIONS, initial, &mut known, goes_on);
    let (ledger, recovery) = opened.map_err(ledger_error)?;
    Ok((ledger, known, recovery))
}

#[test]
fn real_files_are_locked_kept_and_named_when_they_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bets.csv");
    let (mut ledger, known, recovery) = open_files(&path).expect("a new one");
    assert!(recovery.created);
    let commit = commit(1, 3);
    ledger.append(&commit.meta, &commit.rows).expect("there is space");
    assert!(matches!(open_files(&path), Err(Error::Locked { .. })));
    let known = known.with(&commit);
    assert!(ledger.close(snapshot(&known.encoded())).expect("closed"));
    let (ledger, found, recovery) = open_files(&path).expect("the same");
    assert_eq!((recovery.clean, recovery.created, found == known), (true, false, true));
    drop(ledger);

    let wal = folder.path().join("bets.csv.wal");
    std::fs::write(&wal, b"something else").expect("written");
    assert!(matches!(open_files(&path), Err(Error::ForeignWal { .. })));
    std::fs::remove_file(&wal).expect("removed");
    assert!(matches!(open_files(&path), Err(Error::WalMissing { .. })));
    assert!(!wal.exists(), "nothing is changed");

    let bad = folder.path().join("missing/bets.csv");
    let error = open_files(&bad).expect_err("it can't be opened");
    assert!(matches!(error, Error::Io { doing: "open it", .. }), "{error}");
    assert!(error.to_string().starts_with(bad.to_str().expect("plain")), "{error}");
}
