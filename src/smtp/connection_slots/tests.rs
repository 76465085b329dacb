use tokio::time::advance;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_longest_idle_connection_is_evicted() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let take = || connection_slots.take(3, [127, 0, 0, 1].into());
    let (busy, first, second) = (take().expect("1"), take().expect("2"), take().expect("3"));
    first.mark_waiting();
    advance(Duration::from_secs(1)).await;
    second.mark_waiting();
    assert!(take().is_none(), "no connection was idle for long");
    advance(Duration::from_secs(9)).await;

    let fourth = take().expect("the slot of the first");
    assert!(first.state.evicted.is_cancelled());
    assert!(!second.state.evicted.is_cancelled());
    assert!(
        take().is_none(),
        "the second was idle for nine seconds only"
    );
    second.mark_busy();
    advance(Duration::from_mins(10)).await;
    assert!(take().is_none(), "all are busy");
    assert!(!busy.state.evicted.is_cancelled());

    drop(first);
    assert!(take().is_none(), "its slot was reused");
    drop(fourth);
    assert!(take().is_some());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_evicted_in_the_order_of_their_idle_time() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let take = || connection_slots.take(3, [127, 0, 0, 1].into());
    let slots = [take(), take(), take()].map(|slot| slot.expect("a slot"));
    let order = [1, 2, 0];
    for place in order {
        slots[place].mark_waiting();
        advance(Duration::from_secs(1)).await;
    }
    advance(IDLE_LIMIT).await;
    let mut new = Vec::new();
    for place in order {
        new.push(take().expect("an idle connection is evicted"));
        let is_evicted = |slot: &&Slot| slot.state.evicted.is_cancelled();
        assert!(is_evicted(&&slots[place]), "{place}");
        assert_eq!(slots.iter().filter(is_evicted).count(), new.len());
    }
}

#[tokio::test(start_paused = true)]
async fn only_connections_with_memory_are_evicted_for_memory() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let take = || {
        connection_slots
            .take(10, [127, 0, 0, 1].into())
            .expect("a slot")
    };
    let (without, with, busy, waiting) = (take(), take(), take(), take());
    without.mark_waiting();
    with.set_memory(1);
    with.mark_waiting();
    busy.set_memory(1);
    let begin = Instant::now();
    let memory = tokio::time::timeout(Duration::from_mins(1), async {
        waiting.acquire_evicting(with.wait_for_eviction()).await;
    });
    memory.await.expect("the connection with memory is evicted");
    assert!(begin.elapsed() >= IDLE_LIMIT, "{:?}", begin.elapsed());
    assert!(begin.elapsed() < IDLE_LIMIT + 2 * EVICTION_INTERVAL);
    let starved = tokio::time::timeout(Duration::from_hours(1), async {
        waiting.acquire_evicting(std::future::pending()).await;
    });
    assert!(
        starved.await.is_err(),
        "no evictable connection holds memory"
    );
    assert!(!without.state.evicted.is_cancelled() && !busy.state.evicted.is_cancelled());
    assert_eq!(connection_slots.lock().by_id.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_trickle_keeps_no_memory_that_others_wait_for() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let take = || {
        connection_slots
            .take(100, [127, 0, 0, 1].into())
            .expect("a slot")
    };
    let trickling: Vec<_> = (0..40).map(|_| take()).collect();
    for slot in &trickling {
        slot.set_memory(8 << 20);
        slot.message_begins();
        slot.record(8 << 20);
        slot.mark_waiting();
    }
    let waiting = take();
    let gone = || {
        let connection_slots = trickling.iter();
        connection_slots
            .filter(|slot| slot.state.evicted.is_cancelled())
            .count()
    };
    let trickle = async {
        while gone() == 0 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            for slot in &trickling {
                slot.record(5000);
                slot.mark_busy();
                slot.mark_waiting();
            }
        }
    };
    let begin = Instant::now();
    waiting.acquire_evicting(trickle).await;
    assert!(begin.elapsed() <= 3 * IDLE_LIMIT, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_fast_peer_loses_memory_beyond_its_share() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let [greedy, modest] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
    let take = |peer| connection_slots.take(100, peer).expect("a slot");
    let fast: Vec<_> = (0..4).map(|_| take(greedy)).collect();
    for slot in &fast {
        slot.set_memory(8 << 20);
        slot.message_begins();
        slot.mark_waiting();
    }
    let gone = || fast.iter().any(|slot| slot.state.evicted.is_cancelled());
    let send = async |until: Duration| {
        let begin = Instant::now();
        while !gone() && begin.elapsed() < until {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for (rate, slot) in fast.iter().enumerate() {
                slot.record(100_000 * (rate + 1));
                slot.mark_waiting();
            }
        }
    };
    // Another connection of the same peer waits like everyone else.
    take(greedy)
        .acquire_evicting(send(Duration::from_mins(1)))
        .await;
    assert!(!gone());
    let begin = Instant::now();
    take(modest)
        .acquire_evicting(send(Duration::from_mins(1)))
        .await;
    assert!(
        fast[0].state.evicted.is_cancelled(),
        "the slowest is evicted"
    );
    let expected = IDLE_LIMIT..=IDLE_LIMIT + 2 * EVICTION_INTERVAL;
    assert!(expected.contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_fast_is_evicted_for_a_peer_that_has_its_share() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let [greedy, modest, small] = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]].map(IpAddr::from);
    let take = |peer| connection_slots.take(100, peer).expect("a slot");
    let (fast, waiting, other) = (take(greedy), take(modest), take(small));
    fast.set_memory(24 << 20);
    fast.message_begins();
    waiting.set_memory(20 << 20);
    other.set_memory(1 << 20);
    let send = async {
        for _ in 0..60 {
            fast.mark_waiting();
            tokio::time::sleep(Duration::from_secs(1)).await;
            fast.record(100_000);
        }
    };
    waiting.acquire_evicting(send).await;
    assert!(!fast.state.evicted.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn memory_comes_from_the_peer_that_holds_most_and_its_longest_idle_connection() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let [greedy, modest, small] = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]].map(IpAddr::from);
    let take = |peer| connection_slots.take(100, peer).expect("a slot");
    let (later, earlier, first, waiting) = (take(greedy), take(greedy), take(small), take(modest));
    for (slot, octets) in [(&first, 1 << 10), (&earlier, 1 << 20), (&later, 1 << 20)] {
        slot.set_memory(octets);
        slot.mark_waiting();
        advance(Duration::from_secs(1)).await;
    }
    advance(IDLE_LIMIT).await;
    for (place, slot) in [&earlier, &later, &first].into_iter().enumerate() {
        let memory = waiting.acquire_evicting(slot.wait_for_eviction());
        let evicted = tokio::time::timeout(Duration::from_mins(10), memory).await;
        evicted.expect("an idle connection with memory is evicted");
        let all = [&earlier, &later, &first].into_iter();
        let evicted = all.filter(|slot| slot.state.evicted.is_cancelled());
        assert_eq!(evicted.count(), place + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_memory_does_not_make_a_client_slow() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let slot = connection_slots.take(1, [127, 0, 0, 1].into());
    let slot = slot.expect("a slot");
    slot.message_begins();
    advance(Duration::from_secs(1)).await;
    slot.record(200_000);
    slot.acquire_evicting(tokio::time::sleep(Duration::from_mins(1)))
        .await;
    assert!(!slot.state.is_slow(Instant::now()));
    advance(Duration::from_secs(30)).await;
    assert!(slot.state.is_slow(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn occasional_commands_do_not_keep_a_slot() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let take = || connection_slots.take(2, [127, 0, 0, 1].into());
    let (talking, working) = (take().expect("1"), take().expect("2"));
    for second in 0..60 {
        advance(Duration::from_secs(1)).await;
        for slot in [&talking, &working] {
            slot.mark_busy();
            slot.mark_waiting();
        }
        if second % 10 == 0 {
            working.message_ends();
        }
        assert_eq!(take().is_some(), second == 59, "{second}");
    }
    assert!(talking.state.evicted.is_cancelled());
    assert!(!working.state.evicted.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_message_keeps_its_slot_while_it_is_fast() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let take = || connection_slots.take(2, [127, 0, 0, 1].into());
    let (sending, talking) = (take().expect("1"), take().expect("2"));
    sending.message_begins();
    let send = async |seconds: u64, octets: usize| {
        for _ in 0..seconds {
            advance(Duration::from_secs(1)).await;
            sending.record(octets);
            for slot in [&sending, &talking] {
                slot.mark_busy();
                slot.mark_waiting();
            }
        }
    };
    send(90, 100_000).await;
    let _new = take().expect("the slot of the one that sends no message");
    assert!(talking.state.evicted.is_cancelled());
    assert!(take().is_none(), "the other one is fast");
    send(20, 10).await;
    assert!(take().is_some());
    assert!(sending.state.evicted.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn one_peer_leaves_a_tenth_to_the_others() {
    let connection_slots = Arc::new(ConnectionSlots::new());
    let [greedy, modest] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
    let take = |peer| connection_slots.take(20, peer);
    let held: Vec<_> = std::iter::from_fn(|| take(greedy)).collect();
    assert_eq!(held.len(), 18);
    let first = take(modest).expect("a slot is kept");
    let second = take(modest).expect("and another");
    assert!(take(modest).is_none(), "all slots are taken");
    drop(first);
    assert!(take(greedy).is_none(), "not for a peer with many slots");
    let first = take(modest).expect("for a peer with few slots");

    // If the greedy peer insists, it loses one of its own connections, never another's.
    for slot in &held {
        slot.mark_waiting();
    }
    advance(Duration::from_secs(5)).await;
    first.mark_waiting();
    second.mark_waiting();
    advance(IDLE_LIMIT).await;
    let again = take(greedy).expect("evicts one of its own connections");
    assert!(!first.state.evicted.is_cancelled() && !second.state.evicted.is_cancelled());
    assert_eq!(connection_slots.lock().by_peer[&greedy], 18);
    drop((held, again, first, second));
    assert!(connection_slots.lock().by_peer.is_empty());
}
