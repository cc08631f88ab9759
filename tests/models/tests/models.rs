//! Goal: the ledger and the doorbell keep their promises in every interleaving. Method: loom; each test runs one model of this
//! crate, where its goal, its actors and what would break it are written down.
//!
//! Tests that end in `is_found_out` run a model with its steps in a wrong order: they show that the model can fail.

use ndpool_models::bell::{self, Order as Ringing};
use ndpool_models::crash::{Order, Refill};
use ndpool_models::event::News;
use ndpool_models::lease::Release;
use ndpool_models::lock::{Newcomer, Settling, Writing};
use ndpool_models::space::Certain;
use ndpool_models::sweep::Afterwards;
use ndpool_models::versions::{Bytes, Clearing, Copy, LetGo, Takeover};
use ndpool_models::wake::WakerDies;
use ndpool_models::{claim, condemn, crash, event, lease, lock, reuse, space, sweep, versions, wake};

#[test]
fn each_block_runs_once_and_its_result_is_seen() {
    claim::each_block_runs_once_and_its_result_is_seen();
}

#[test]
fn a_block_given_back_carries_over_what_was_written() {
    claim::a_block_given_back_carries_over_what_was_written();
}

#[test]
fn a_condemned_worker_commits_nothing() {
    condemn::a_condemned_worker_commits_nothing();
}

#[test]
fn a_condemnation_in_the_middle_of_a_sweep_is_swept() {
    condemn::a_condemnation_in_the_middle_of_a_sweep_is_swept();
}

#[test]
fn a_death_after_any_step_counts_once() {
    crash::a_death_after_any_step_counts_once(1, 2, Order::WaitThenSweep);
}

#[test]
fn a_death_in_any_step_of_two_blocks_counts_once() {
    crash::a_death_after_any_step_counts_once(2, 1, Order::WaitThenSweep);
}

#[test]
#[should_panic]
fn a_sweep_before_the_wait_is_found_out() {
    crash::a_death_after_any_step_counts_once(1, 2, Order::SweepThenWait);
}

#[test]
fn two_deaths_count_once() {
    crash::two_deaths_count_once();
}

#[test]
fn everything_ends_whoever_comes_first() {
    sweep::everything_ends_whoever_comes_first(Afterwards::CancelFreed);
}

#[test]
#[should_panic(expected = "assertion")]
fn a_freed_block_of_a_cancelled_job_is_found_out() {
    sweep::everything_ends_whoever_comes_first(Afterwards::LeaveFreed);
}

#[test]
fn a_freed_block_carries_over_what_the_sweeper_did() {
    sweep::a_freed_block_carries_over_what_the_sweeper_did();
}

#[test]
fn a_paused_worker_does_no_harm_to_a_larger_job() {
    reuse::a_paused_worker_does_no_harm_to_the_next_job(3);
}

#[test]
fn a_paused_worker_does_no_harm_to_a_smaller_job() {
    reuse::a_paused_worker_does_no_harm_to_the_next_job(1);
}

#[test]
fn a_waiter_does_not_miss_the_last_commit() {
    wake::no_waiter_misses_the_last_commit(1);
}

#[test]
fn two_waiters_do_not_miss_the_last_commit() {
    wake::no_waiter_misses_the_last_commit(2);
}

#[test]
fn no_worker_sleeps_through_a_publication() {
    wake::no_worker_sleeps_through_a_publication();
}

#[test]
fn no_worker_sleeps_through_the_wish_that_it_end() {
    wake::no_worker_sleeps_through_the_wish_that_it_end();
}

#[test]
fn no_wake_up_is_spent_on_a_swept_worker() {
    wake::no_wake_up_is_spent_on_a_swept_worker();
}

#[test]
fn a_wake_up_spent_on_a_dead_worker_is_repeated() {
    wake::a_wake_up_spent_on_a_dead_worker_is_repeated();
}

#[test]
fn a_slot_that_dies_twice_counts_once() {
    crash::a_slot_that_dies_twice_counts_once(Refill::AfterTheSweep);
}

#[test]
#[should_panic]
fn a_slot_that_is_filled_before_the_sweep_is_found_out() {
    crash::a_slot_that_dies_twice_counts_once(Refill::BeforeTheSweep);
}

#[test]
fn a_death_under_condemnation_counts_once() {
    condemn::a_death_under_condemnation_counts_once();
}

#[test]
fn a_death_in_the_old_job_does_no_harm_to_the_next() {
    reuse::a_death_in_the_old_job_does_no_harm_to_the_next();
}

#[test]
fn a_forgotten_job_keeps_its_rows() {
    lease::a_forgotten_job_keeps_its_rows(Release::WhenAllEnded);
}

#[test]
#[should_panic]
fn leases_that_go_with_the_handle_are_found_out() {
    lease::a_forgotten_job_keeps_its_rows(Release::WithTheHandle);
}

#[test]
fn a_writing_job_waits_for_all_that_read() {
    lease::a_writing_job_waits_for_all_that_read();
}

#[test]
fn a_release_wakes_whom_it_concerns() {
    lease::a_release_wakes_whom_it_concerns();
}

#[test]
fn a_waker_may_die_at_any_step() {
    for dies in [WakerDies::BeforeTheFlag, WakerDies::BeforeTheCall, WakerDies::AfterTheCall] {
        wake::a_waker_may_die_at_any_step(dies);
    }
}

#[test]
fn a_commit_whose_worker_dies_is_heard_of() {
    wake::a_commit_whose_worker_dies_is_heard_of();
}

#[test]
fn the_result_that_fits_is_kept() {
    space::the_result_that_fits_is_kept(Certain::AloneAndNothingFreed);
}

#[test]
#[should_panic(expected = "the first result fits")]
fn certainty_without_having_been_alone_is_found_out() {
    space::the_result_that_fits_is_kept(Certain::AtOnce);
}

#[test]
fn a_copy_of_a_version_is_whole() {
    versions::a_copy_is_whole(Bytes::AfterTheStamp, Copy::Checked);
}

#[test]
#[should_panic(expected = "a mixture")]
fn bytes_before_their_stamp_are_found_out() {
    versions::a_copy_is_whole(Bytes::BeforeTheStamp, Copy::Checked);
}

#[test]
#[should_panic(expected = "a mixture")]
fn bytes_after_their_commit_are_found_out() {
    versions::a_copy_is_whole(Bytes::AfterTheCommit, Copy::Checked);
}

#[test]
#[should_panic(expected = "a mixture")]
fn a_copy_that_is_not_checked_is_found_out() {
    versions::a_copy_is_whole(Bytes::AfterTheStamp, Copy::Unchecked);
}

#[test]
#[should_panic(expected = "a mixture")]
fn a_copy_that_is_checked_too_early_is_found_out() {
    versions::a_copy_is_whole(Bytes::AfterTheStamp, Copy::CheckedTooEarly);
}

#[test]
#[should_panic(expected = "a mixture")]
fn two_plain_buffers_are_found_out() {
    versions::two_plain_buffers();
}

#[test]
fn an_old_buffer_is_not_taken_for_the_last() {
    versions::an_old_buffer_is_not_taken_for_the_last();
}

#[test]
fn a_floor_of_versions_does_not_fall() {
    versions::a_floor_does_not_fall();
}

#[test]
fn a_floor_of_versions_outlives_its_writer() {
    versions::a_floor_outlives_its_writer();
}

#[test]
fn columns_are_of_one_version() {
    versions::columns_are_of_one_version(Bytes::AfterTheStamp);
}

#[test]
#[should_panic(expected = "of 3")]
fn a_commit_before_all_columns_is_found_out() {
    versions::columns_are_of_one_version(Bytes::AfterTheCommit);
}

#[test]
fn what_is_held_stays() {
    versions::what_is_held_stays(1, 3, LetGo::AfterReading);
}

#[test]
fn what_one_of_two_holds_stays() {
    versions::what_is_held_stays(2, 2, LetGo::AfterReading);
}

#[test]
#[should_panic]
fn letting_go_before_reading_is_found_out() {
    versions::what_is_held_stays(1, 3, LetGo::BeforeReading);
}

#[test]
fn a_writer_of_versions_may_die_at_any_step() {
    versions::a_writer_may_die_at_any_step(Takeover::WithTheLock);
}

#[test]
#[should_panic]
fn two_writers_of_versions_are_found_out() {
    versions::a_writer_may_die_at_any_step(Takeover::WithoutTheLock);
}

#[test]
fn a_successor_of_versions_may_die_too() {
    versions::a_successor_may_die_too();
}

#[test]
fn writers_of_versions_may_die_while_somebody_reads() {
    versions::writers_may_die_while_somebody_reads();
}

#[test]
fn a_reader_of_versions_may_die_at_any_step() {
    versions::a_reader_may_die_at_any_step();
}

#[test]
fn pins_of_the_dead_are_cleared() {
    versions::pins_of_the_dead_are_cleared(1, Clearing::UnderTheSeat);
}

#[test]
#[should_panic]
fn clearing_pins_after_a_look_is_found_out() {
    versions::pins_of_the_dead_are_cleared(2, Clearing::AfterALook);
}

#[test]
fn no_waiter_misses_a_version() {
    for n_waiters in [1, 2] {
        versions::no_waiter_misses_a_version(n_waiters);
    }
}

#[test]
fn a_ring_wakes_all_who_sleep() {
    for order in [Ringing::Right, Ringing::FlagAfterLook] {
        bell::a_ring_wakes_all_who_sleep(order);
    }
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn one_bump_instead_of_two_is_found_out() {
    bell::a_ring_wakes_all_who_sleep(Ringing::OneBump);
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn a_flag_that_is_taken_down_last_is_found_out() {
    bell::a_ring_wakes_all_who_sleep(Ringing::FlagDownLast);
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn a_look_for_news_before_the_sequence_is_found_out() {
    bell::a_ring_wakes_all_who_sleep(Ringing::NewsBeforeSequence);
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn a_ring_before_the_news_is_found_out() {
    bell::a_ring_wakes_all_who_sleep(Ringing::RingBeforeNews);
}

#[test]
fn a_ringer_may_die_at_any_step() {
    for n_steps in 0..=bell::N_STEPS {
        bell::a_ringer_may_die_at_any_step(n_steps);
    }
}

#[test]
fn who_leaves_no_flag_is_woken() {
    bell::who_leaves_no_flag_is_woken(true);
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn calls_for_flags_alone_are_found_out() {
    bell::who_leaves_no_flag_is_woken(false);
}

#[test]
fn owners_of_a_lock_come_one_after_the_other() {
    for is_long in [false, true] {
        lock::owners_come_one_after_the_other(2, 4, is_long, Writing::Before);
    }
}

#[test]
fn three_owners_of_a_lock_come_one_after_the_other() {
    for is_long in [false, true] {
        lock::owners_come_one_after_the_other(3, 2, is_long, Writing::Before);
    }
}

#[test]
#[should_panic]
fn an_owner_that_writes_too_late_is_found_out() {
    lock::owners_come_one_after_the_other(2, 4, false, Writing::After);
}

#[test]
fn who_gives_up_a_lock_takes_no_wake_up_along() {
    for n_naps in [0, 1] {
        lock::who_gives_up_takes_no_wake_up_along(n_naps);
    }
}

#[test]
fn a_death_at_any_step_leaves_the_lock_usable() {
    lock::a_death_at_any_step_leaves_the_lock_usable(1);
}

#[test]
fn a_death_among_three_leaves_the_lock_usable() {
    lock::a_death_at_any_step_leaves_the_lock_usable(2);
}

#[test]
fn a_settler_may_die_too() {
    lock::a_settler_may_die_too();
}

#[test]
fn a_seat_passes_from_the_dead_to_the_living() {
    lock::a_seat_passes_from_the_dead_to_the_living(Settling::UnderTheSeat, Newcomer::SettlesFirst);
}

#[test]
#[should_panic]
fn a_settlement_without_the_seat_is_found_out() {
    lock::a_seat_passes_from_the_dead_to_the_living(Settling::AfterALook, Newcomer::SettlesFirst);
}

#[test]
#[should_panic(expected = "the lock is to be had")]
fn a_newcomer_that_does_not_settle_first_is_found_out() {
    lock::a_seat_passes_from_the_dead_to_the_living(Settling::UnderTheSeat, Newcomer::SettlesLast);
}

#[test]
fn waiters_for_an_event_are_released_and_see_the_news() {
    for n_waiters in [1, 2] {
        event::waiters_are_released_and_see_the_news(n_waiters, News::Before);
    }
}

#[test]
#[should_panic]
fn news_after_the_event_is_found_out() {
    event::waiters_are_released_and_see_the_news(1, News::After);
}

#[test]
fn a_set_that_is_cleared_at_once_releases() {
    for n_times in [1, 2] {
        event::a_set_that_is_cleared_at_once_releases(n_times);
    }
}

#[test]
fn a_setter_may_die_at_any_step() {
    for n_steps in 0..4 {
        for is_restless in [false, true] {
            event::a_setter_may_die_at_any_step(n_steps, is_restless);
        }
    }
}
