//! Slots that plugins take turns at.
//!
//! **Problem.** Whoever waits in one line for the host's few slots waits for everybody before:
//! a plugin with a hundred calls in it holds up the one call of another by all of them.
//!
//! **Design.** Each plugin that waits has a line of its own, and a slot that is given back goes
//! to the lines in turn. So a plugin's first call waits for at most one call of each other
//! plugin that waits, once every slot is taken; its further ones share with them. Within a
//! line the first to come is the first to go.
//!
//! **Limits.** Turns are counted, not weighed: a plugin whose calls are longer holds its slots
//! longer. Nothing is taken from a call that goes on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// So many slots.
#[derive(Debug)]
pub(crate) struct FairSlots(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    free: usize,
    /// Those who wait, by plugin; no line is empty.
    waiting: HashMap<Arc<str>, VecDeque<Waiter>>,
    /// The plugins that wait, the one whose turn is next first.
    turns: VecDeque<Arc<str>>,
    /// The number of the next who waits.
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    slot: oneshot::Sender<Slot>,
}

/// A slot; dropping it gives it to the next.
#[derive(Debug)]
pub(crate) struct Slot(Arc<FairSlots>);

/// A place in a plugin's line, which is left when the wait is given up.
struct Place<'a> {
    slots: &'a FairSlots,
    plugin: Arc<str>,
    number: u64,
}

impl FairSlots {
    /// As many slots.
    pub(crate) fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Lines {
            free: slots,
            ..Lines::default()
        })))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot for a call of `plugin`.
    pub(crate) async fn enter(self: &Arc<Self>, plugin: &str) -> Slot {
        let (place, receiver) = {
            let mut lines = self.lines();
            // Nobody waits while a slot is free.
            if let Some(left) = lines.free.checked_sub(1) {
                lines.free = left;
                return Slot(Arc::clone(self));
            }
            let (sender, receiver) = oneshot::channel();
            let (plugin, number) = lines.stand(plugin, sender);
            let place = Place {
                slots: self,
                plugin,
                number,
            };
            (place, receiver)
        };
        let slot = receiver.await;
        drop(place);
        match slot {
            Ok(slot) => slot,
            // The sender is in the lines, which live as long as `self`, until it has sent.
            Err(_) => std::future::pending().await,
        }
    }

    /// How many wait.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.lines().waiting.values().map(VecDeque::len).sum()
    }
}

impl Lines {
    fn stand(&mut self, plugin: &str, slot: oneshot::Sender<Slot>) -> (Arc<str>, u64) {
        let number = self.next;
        self.next = number.wrapping_add(1);
        let waiter = Waiter { number, slot };
        let known = self.waiting.get_key_value(plugin);
        let plugin = known.map_or_else(|| Arc::from(plugin), |(known, _)| Arc::clone(known));
        let line = self.waiting.entry(Arc::clone(&plugin)).or_default();
        if line.is_empty() {
            self.turns.push_back(Arc::clone(&plugin));
        }
        line.push_back(waiter);
        (plugin, number)
    }

    /// Who gets the slot that is given back; where nobody waits it is free.
    fn next(&mut self) -> Option<Waiter> {
        let Some(plugin) = self.turns.pop_front() else {
            self.free = self.free.saturating_add(1);
            return None;
        };
        let line = self.waiting.get_mut(&plugin)?;
        let waiter = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&plugin);
        } else {
            self.turns.push_back(plugin);
        }
        waiter
    }

    fn leave(&mut self, plugin: &str, number: u64) {
        let Some(line) = self.waiting.get_mut(plugin) else {
            return;
        };
        line.retain(|waiter| waiter.number != number);
        if line.is_empty() {
            self.waiting.remove(plugin);
            self.turns.retain(|other| **other != *plugin);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let next = self.0.lines().next();
        if let Some(waiter) = next {
            // Where it gave up in this moment the slot comes back and is dropped, which
            // gives it to the one after.
            drop(waiter.slot.send(Slot(Arc::clone(&self.0))));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.slots.lines().leave(&self.plugin, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    type Entering = Pin<Box<dyn Future<Output = Slot>>>;

    /// A call of `plugin` that waits; nothing goes on that is not polled here.
    fn waits(slots: &Arc<FairSlots>, plugin: &'static str) -> Entering {
        let slots = Arc::clone(slots);
        let mut entering: Entering = Box::pin(async move { slots.enter(plugin).await });
        assert!(poll(&mut entering).is_none(), "{plugin} has to wait");
        entering
    }

    fn poll(entering: &mut Entering) -> Option<Slot> {
        match entering
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(slot) => Some(slot),
            Poll::Pending => None,
        }
    }

    /// Gives slots back one after the other; says whose calls got them, in order.
    fn served(mut held: Slot, mut waiting: Vec<(&'static str, Entering)>) -> Vec<&'static str> {
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(held);
            let mut got = None;
            for (index, (_, entering)) in waiting.iter_mut().enumerate() {
                if let Some(slot) = poll(entering) {
                    assert!(got.is_none(), "one slot went to two");
                    got = Some((index, slot));
                }
            }
            let (index, slot) = got.expect("a slot that was given back is somebody's");
            order.push(waiting.remove(index).0);
            held = slot;
        }
        order
    }

    async fn only(slots: &Arc<FairSlots>) -> Slot {
        slots.enter("first").await
    }

    #[tokio::test]
    async fn a_flood_holds_up_another_plugins_first_call_by_at_most_one() {
        let slots = FairSlots::new(1);
        let held = only(&slots).await;
        let mut waiting: Vec<_> = (0..100)
            .map(|_| ("flood", waits(&slots, "flood")))
            .collect();
        waiting.push(("late", waits(&slots, "late")));
        let order = served(held, waiting);
        let late = order.iter().position(|plugin| *plugin == "late");
        assert!(late.unwrap() <= 1, "{late:?}");
        assert_eq!(order.len(), 101);
        assert_eq!(slots.lines().free, 1);
    }

    #[tokio::test]
    async fn plugins_that_wait_take_turns_and_each_keeps_its_order() {
        let slots = FairSlots::new(1);
        let held = only(&slots).await;
        let names = ["a", "a", "a", "b", "b", "c"];
        let waiting = names.map(|name| (name, waits(&slots, name))).into();
        assert_eq!(served(held, waiting), ["a", "b", "c", "a", "b", "a"]);

        let held = only(&slots).await;
        let mut first = waits(&slots, "a");
        let mut second = waits(&slots, "a");
        drop(held);
        assert!(poll(&mut second).is_none(), "it came later");
        let slot = poll(&mut first).unwrap();
        drop(slot);
        assert!(poll(&mut second).is_some());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_no_place_and_loses_no_slot() {
        let slots = FairSlots::new(2);
        let (one, two) = (only(&slots).await, only(&slots).await);
        let given_up = waits(&slots, "a");
        let mut stays = waits(&slots, "b");
        drop(given_up);
        assert_eq!(slots.waiting(), 1);
        // Given a slot, and gone before it took it.
        let gone = waits(&slots, "c");
        drop(one);
        let slot = poll(&mut stays).unwrap();
        drop(two);
        drop(gone);
        assert_eq!((slots.waiting(), slots.lines().free), (0, 1));
        drop(slot);
        assert_eq!(slots.lines().free, 2);
        assert!(slots.lines().turns.is_empty());
    }
}
