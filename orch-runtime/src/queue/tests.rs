use super::*;

const MS: Duration = Duration::from_millis(1);

fn queue() -> (Core<&'static str>, Instant) {
    (Core::new(Backoff::default()), Instant::now())
}

#[test]
fn a_key_added_twice_is_handed_out_once() {
    let (mut q, now) = queue();
    q.add("a", Priority::Normal, now);
    q.add("a", Priority::Normal, now);
    assert_eq!((q.pop(now), q.pop(now)), (Some("a"), None));
}

#[test]
fn a_key_added_while_it_is_worked_on_comes_back_when_done() {
    let (mut q, now) = queue();
    q.add("a", Priority::Normal, now);
    q.pop(now);
    q.add("a", Priority::Normal, now);
    assert_eq!(q.pop(now), None);
    q.done(&"a", now);
    assert_eq!(q.pop(now), Some("a"));
}

#[test]
fn spurious_events_cannot_bypass_the_backoff() {
    let (mut q, now) = queue();
    for n in 0..4 {
        q.add("a", Priority::Normal, now + n * 100 * MS);
        assert_eq!(q.pop(now + n * 100 * MS), Some("a"));
        assert_eq!(q.fail("a", now + n * 100 * MS), 5 * 2_u32.pow(n) * MS);
        q.done(&"a", now + n * 100 * MS);
    }
    let failed = now + 300 * MS;
    q.add("a", Priority::High, failed);
    assert_eq!(q.pop(failed + 39 * MS), None);
    assert_eq!(q.pop(failed + 40 * MS), Some("a"));
}

/// A key that has failed twelve times in a row, and when it did last.
fn often_failed() -> (Core<&'static str>, Instant) {
    let (mut q, mut now) = queue();
    q.add("a", Priority::Normal, now);
    let mut failed = now;
    for _ in 0..12 {
        q.pop(now);
        failed = now;
        now += q.fail("a", now);
        q.done(&"a", failed);
    }
    (q, failed)
}

#[test]
fn an_event_brings_back_a_key_that_waits_long() {
    let (mut q, failed) = often_failed();
    q.add("a", Priority::Normal, failed + 100 * MS);
    assert_eq!(q.pop(failed + 999 * MS), None);
    assert_eq!(q.pop(failed + 1000 * MS), Some("a"));
}

#[test]
fn a_key_that_waits_long_and_hears_of_nothing_comes_back_by_itself() {
    let (mut q, failed) = often_failed();
    assert_eq!((q.pop(failed + 5000 * MS), q.next_deadline()), (None, Some(failed + 5 * 2048 * MS)));
}

#[test]
fn an_event_that_came_during_the_failed_attempt_waits_too() {
    let (mut q, now) = queue();
    q.add("a", Priority::Normal, now);
    q.pop(now);
    q.add("a", Priority::Normal, now);
    q.fail("a", now);
    q.done(&"a", now);
    assert_eq!(q.pop(now), None);
    assert_eq!(q.pop(now + 5 * MS), Some("a"));
    q.done(&"a", now + 5 * MS);
    assert_eq!(q.pop(now + 5000 * MS), None);
}

#[test]
fn forgetting_a_failure_makes_the_key_ready() {
    let (mut q, now) = queue();
    q.add("a", Priority::Normal, now);
    q.pop(now);
    q.fail("a", now);
    q.done(&"a", now);
    q.forget(&"a", now);
    assert_eq!(q.pop(now), Some("a"));
}

#[test]
fn the_backoff_ends_at_a_thousand_seconds() {
    assert_eq!(Backoff::default().after(40), Duration::from_secs(1000));
}

#[test]
fn of_two_delays_the_earlier_wins() {
    let (mut q, now) = queue();
    q.add_at("a", now + 9 * MS, now);
    q.add_at("a", now + 3 * MS, now);
    q.add_at("a", now + 7 * MS, now);
    assert_eq!(q.next_deadline(), Some(now + 3 * MS));
    assert_eq!(q.pop(now + 3 * MS), Some("a"));
    q.done(&"a", now + 3 * MS);
    assert_eq!(q.pop(now + 99 * MS), None);
}

#[test]
fn priorities_overtake_but_nothing_starves() {
    let (mut q, now) = queue();
    q.add("low", Priority::Low, now);
    q.add("high", Priority::High, now + MS);
    assert_eq!(q.pop(now + MS), Some("high"));
    q.add("late", Priority::High, now + 21_000 * MS);
    assert_eq!(q.pop(now + 21_000 * MS), Some("low"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_wakes_when_a_delay_ends_and_when_the_queue_closes() {
    let q = Queue::new(Backoff::default());
    q.add_after("a", 50 * MS);
    let began = Instant::now();
    assert_eq!(q.next().await, Some("a"));
    assert_eq!(began.elapsed(), 50 * MS);
    q.close();
    assert_eq!(q.next().await, None);
    assert_eq!(q.next().await, None);
}
