//! A disk that fills up, and limits on what is written.

use super::*;

/// Why a commit had no effect, for want of space.
fn full(opened: &mut Opened, commit: &Commit) -> String {
    let before = (opened.ledger.durable_lsn(), opened.known.clone(), opened.ledger.rows_len());
    let Err(AppendError::Unavailable(error)) = opened.append(commit) else { panic!("no space") };
    assert!(error.is_full(), "{error}");
    // That nothing of it is left must be durable too.
    opened.sync().expect("nothing fails");
    let after = (opened.ledger.durable_lsn(), opened.known.clone(), opened.ledger.rows_len());
    assert_eq!(after, before);
    error.to_string()
}

#[test]
fn a_full_disk_changes_nothing_and_passes() {
    let machine = new_machine();
    let mut opened = open(&machine).expect("a new one");
    let (first, second) = (commit(1, 3), commit(1, 4));
    opened.commit_durably(&first);
    machine.borrow_mut().full = true;
    let before = (machine.borrow().rows.live.clone(), opened.ledger.durable_lsn());
    for _ in 0..3 {
        let error = opened.append(&second).expect_err("there is no space");
        assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
        let ledger = &opened.ledger;
        assert!(ledger.durable_lsn() < ledger.appended_lsn(), "not reported before it is durable");
        opened.sync().expect("nothing fails");
        let after = (machine.borrow().rows.live.clone(), opened.ledger.durable_lsn());
        assert_eq!(after, before);
    }
    machine.borrow_mut().full = false;
    opened.commit_durably(&second);
    drop(opened);
    reopened(&machine, &[Known::default().with(&first).with(&second)]);
}

#[test]
fn a_ledger_of_its_largest_size_takes_commits_without_rows_and_opens() {
    let machine = new_machine();
    let rows = commit(1, 3).rows.len() as u64;
    let options = Options { max_size: 2 * rows, ..OPTIONS };
    let mut opened = open_with(&machine, options).expect("a new one");
    opened.commit_durably(&commit(1, 3));
    let text = full(&mut opened, &commit(1, 4));
    assert_eq!(text, format!("the ledger is full: {rows} of at most {} bytes", 2 * rows));
    opened.commit_durably(&commit(1, 3));
    full(&mut opened, &commit(2, 1));
    drop(opened);
    let options = Options { max_size: rows, ..OPTIONS };
    let mut opened = open_with(&machine, options).expect("though it is larger");
    full(&mut opened, &commit(2, 1));
    opened.commit_durably(&commit(2, 0));
}

#[test]
fn free_space_is_looked_at_before_it_is_needed() {
    let machine = Rc::new(RefCell::new(Machine { free: Some(9999), ..Machine::default() }));
    let options = Options { min_free: 4000, ..OPTIONS };
    // Two segments, a header and what stays free.
    let text = open_with(&machine, options).expect_err("no room for a wal").to_string();
    let needed = 3 * 4096 + 4000;
    assert_eq!(
        text,
        "bets.csv.wal: 9999 bytes are free on its file system, expected 12288 for it and 4000 that \
         stay free"
    );
    assert!(machine.borrow().wal.live.is_empty(), "nothing was written");
    machine.borrow_mut().free = Some(needed);
    let mut opened = open_with(&machine, options).expect("room");
    let rows = commit(1, 3);
    let rows_len = rows.rows.len() as u64;
    machine.borrow_mut().free = Some(4000 + rows_len - 1);
    assert!(full(&mut opened, &rows).starts_with("bets.csv: "));
    opened.commit_durably(&commit(2, 0));
    machine.borrow_mut().free = Some(4000 + rows_len);
    opened.commit_durably(&rows);
    // Until a MiB is full it isn't asked for again, unless something has failed.
    machine.borrow_mut().free = Some(0);
    opened.commit_durably(&rows);
    machine.borrow_mut().full = true;
    full(&mut opened, &rows);
    machine.borrow_mut().full = false;
    assert!(full(&mut opened, &rows).contains("0 bytes are free"));
    machine.borrow_mut().free = None;
    while opened.ledger.rows_len() + rows_len < 1 << 20 {
        opened.commit_durably(&rows);
    }
    machine.borrow_mut().free = Some(0);
    assert!(full(&mut opened, &rows).contains("0 bytes are free"), "another MiB begins");
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let machine = new_machine();
    let mut opened = open(&machine).expect("a new one");
    let commit_of_rows = commit(1, 20);
    let rows_len = commit_of_rows.rows.len();
    opened.commit_durably(&commit_of_rows);
    machine.borrow_mut().quota = Some(rows_len * 3 / 2);
    for _ in 0..3 {
        full(&mut opened, &commit_of_rows);
        assert_eq!(machine.borrow().rows.live.len(), rows_len, "half a row is taken back");
    }
    opened.commit_durably(&commit(1, 0));
    machine.borrow_mut().quota = None;
    opened.commit_durably(&commit_of_rows);
    assert_eq!(machine.borrow().rows.live.len(), 2 * rows_len);
}
