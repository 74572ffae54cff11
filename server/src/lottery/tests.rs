//! The two states of a lottery, and what moves what is staged from one to the other.

use proptest::prelude::*;
use wire::{BatchBuilder, Bet, Phase, Push};

use super::*;

fn batch_of(numbers: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for number in numbers {
        let fields = ["Ana", "Paz", "1", "2000-01-01", number].map(str::as_bytes);
        assert_eq!(builder.push(&Bet::from_fields(fields)), Ok(Push::Added));
    }
    builder
}

fn lottery(agencies: Agency) -> Lottery {
    Lottery::new(agencies, State::default(), 0, WinnerIndex::default())
}

#[test]
fn requests_see_what_is_pending_and_the_draw_is_reported_when_durable() {
    let mut lottery = lottery(1);
    let batch = batch_of(&["7574", "5"]);
    assert!(matches!(lottery.take(1, &batch.batch(0)), Ok(BatchOutcome::Stored)));
    assert!(matches!(lottery.take(1, &batch.batch(0)), Ok(BatchOutcome::Duplicate)));
    lottery.end(1, 2).expect("the right total");
    assert_eq!(lottery.agency_standing(1).phase, Phase::Drawn, "pending");
    assert_eq!(*lottery.committed(), State::default());
    lottery.appended(Lsn(3));
    assert!(lottery.staged().is_empty());
    lottery.commit(Lsn(2));
    assert!(!lottery.is_drawn(), "it isn't durable");
    lottery.commit(Lsn(3));
    assert!(lottery.is_drawn());
    assert_eq!(lottery.committed().account(1).stored, 2);
    assert_eq!(lottery.winning_rows(1), WinningRows { count: 1, first: 0 });
}

#[test]
fn a_draw_that_had_no_effect_is_staged_again() {
    let mut lottery = lottery(1);
    lottery.end(1, 0).expect("the right total");
    lottery.appended(Lsn(1));
    lottery.commit(Lsn(1));
    assert!(lottery.is_drawn());
    let state = lottery.into_appended();
    // The end alone is durable: a crash took the rest.
    let mut ended = State::default();
    ended.apply(&Entry::Finished { agency: 1 });
    let mut lottery = Lottery::new(1, ended, 0, WinnerIndex::default());
    lottery.draw_when_all_finished();
    assert_eq!(lottery.staged().entries(), [Entry::Drawn]);
    lottery.roll_back();
    assert!(lottery.staged().is_empty() && lottery.awaits_draw());
    lottery.draw_when_all_finished();
    lottery.appended(Lsn(2));
    assert_eq!(lottery.into_appended(), state);
}

#[derive(Debug, Clone)]
enum Step {
    /// A batch of an agency with so many bets, all valid or not.
    Batch(Agency, usize, bool),
    End(Agency),
    Appended,
    RolledBack,
    /// What was appended becomes durable, but for the last so many commits.
    Durable(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..4_u32, 1..5_usize, prop::bool::weighted(0.8))
            .prop_map(|(agency, bets, good)| Step::Batch(agency, bets, good)),
        1 => (1..4_u32).prop_map(Step::End),
        3 => Just(Step::Appended),
        2 => Just(Step::RolledBack),
        2 => (0..3_u64).prop_map(Step::Durable),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever is taken, handed over, rolled back and made durable in whatever order: pending is
    /// committed with what is in flight and staged, and rows and winners are those of what was
    /// handed over.
    #[test]
    fn each_entry_is_applied_once_to_each_state(steps in steps()) {
        let mut lottery = lottery(3);
        let (mut appended, mut rows, mut lsn) = (vec![State::default()], Vec::new(), 0);
        for step in steps {
            match step {
                Step::Batch(agency, bets, good) => {
                    let builder = batch_of(&vec![if good { "7574" } else { "x" }; bets]);
                    let position = lottery.agency_standing(agency).consumed;
                    let _ = lottery.take(agency, &builder.batch(position));
                }
                Step::End(agency) => {
                    let total = lottery.agency_standing(agency).consumed;
                    let _ = lottery.end(agency, total);
                }
                Step::Appended => {
                    lsn += 1;
                    rows.extend_from_slice(lottery.staged().rows());
                    lottery.appended(Lsn(lsn));
                    appended.push(lottery.pending.clone());
                }
                Step::RolledBack => {
                    lottery.roll_back();
                    prop_assert_eq!(&lottery.pending, &appended[appended.len() - 1]);
                }
                Step::Durable(behind) => {
                    let durable = lsn.saturating_sub(behind);
                    lottery.commit(Lsn(durable));
                    let durable = usize::try_from(durable).unwrap();
                    // What was durable stays so.
                    prop_assert!(appended[durable..].contains(lottery.committed()));
                }
            }
            let finished = (1..=3).filter(|agency| lottery.pending.account(*agency).finished);
            prop_assert_eq!(finished.count(), lottery.finished as usize);
        }
        let (won, first): (Vec<_>, Vec<_>) = (1..=3)
            .map(|agency| lottery.winners.by_agency.of(agency))
            .map(|rows| (rows.count, rows.first))
            .unzip();
        let mut index = WinnerIndex::default();
        crate::row::load_bets(&rows[..], |stored| index.visit(stored)).expect("rows");
        for (agency, (count, first)) in (1..).zip(won.into_iter().zip(first)) {
            prop_assert_eq!(index.by_agency.of(agency), WinningRows { count, first });
        }
        prop_assert_eq!(lottery.rows_len, rows.len() as u64);
        prop_assert_eq!(&lottery.into_appended(), &appended[appended.len() - 1]);
    }
}
