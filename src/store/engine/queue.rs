//! The queue of operations for the writer thread.

use tokio::sync::{mpsc, oneshot};

use crate::store::engine::job::Job;

/// Maximum number of queued operations; further callers wait for room.
const CAPACITY: usize = 1024;
/// Maximum number of operations in one transaction, and of octets of their captured data.
pub(super) const MAX_OPERATIONS: usize = 512;
const MAX_OCTETS: usize = 32 * 1024 * 1024;

/// Messages to the writer thread.
pub(super) enum Message {
    Run(Box<dyn Job>),
    /// Take a step in extending the log, if nothing else is to be done. Answered with true if another is useful.
    ExtendLog(oneshot::Sender<bool>),
    /// Run the queued operations and end. Answered when the database is closed.
    Close(oneshot::Sender<()>),
}

/// The writer thread's side of the queue.
pub(super) struct Queue {
    messages: mpsc::Receiver<Message>,
    /// Callers that wait until the database is closed.
    closing: Vec<oneshot::Sender<()>>,
}

impl Queue {
    pub(super) fn new() -> (mpsc::Sender<Message>, Self) {
        let (sender, messages) = mpsc::channel(CAPACITY);
        let queue = Self {
            messages,
            closing: Vec::new(),
        };
        (sender, queue)
    }

    /// Waits for the next operation; None once the queue is closed and empty. Meanwhile, takes steps in extending the
    /// log.
    pub(super) fn wait(&mut self, mut extend_log: impl FnMut() -> bool) -> Option<Box<dyn Job>> {
        loop {
            match self.messages.blocking_recv()? {
                // The daemon is stopping, and the log will be deleted.
                Message::ExtendLog(reply) if reply.is_closed() => {}
                Message::ExtendLog(reply) => drop(reply.send(extend_log())),
                message => {
                    if let Some(job) = self.job(message) {
                        return Some(job);
                    }
                }
            }
        }
    }

    /// Moves the waiting operations into a batch, within its limits.
    pub(super) fn move_into(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let mut octets: usize = batch.iter().map(|job| job.weight()).sum();
        while batch.len() < MAX_OPERATIONS
            && octets < MAX_OCTETS
            && let Ok(message) = self.messages.try_recv()
        {
            if let Some(job) = self.job(message) {
                octets += job.weight();
                batch.push(job);
            }
        }
    }

    fn job(&mut self, message: Message) -> Option<Box<dyn Job>> {
        match message {
            Message::Run(job) => Some(job),
            // There is something else to be done.
            Message::ExtendLog(_) => None,
            Message::Close(reply) => {
                self.messages.close();
                self.closing.push(reply);
                None
            }
        }
    }

    /// Answers the callers that wait until the database is closed.
    pub(super) fn answer_closing(self) {
        for reply in self.closing {
            let _ = reply.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Result;
    use crate::store::engine::job::{Operation, Work, job};

    /// An operation that does nothing.
    struct Nothing;

    impl Operation<()> for Nothing {
        fn run(&mut self, _: &mut Work) -> Result<()> {
            Ok(())
        }
    }

    fn send(sender: &mpsc::Sender<Message>, weight: usize) {
        let (job, _) = job::<_, ()>(weight, Nothing);
        assert!(sender.try_send(Message::Run(job)).is_ok(), "it has room");
    }

    #[test]
    fn a_batch_grows_to_its_limits_however_often_it_takes_more() {
        for (weight, limit) in [(0, MAX_OPERATIONS), (MAX_OCTETS / 4, 4)] {
            let (sender, mut queue) = Queue::new();
            for _ in 0..=MAX_OPERATIONS {
                send(&sender, weight);
            }
            let mut batch: Vec<_> = queue.wait(|| false).into_iter().collect();
            for _ in 0..2 {
                queue.move_into(&mut batch);
                assert_eq!(batch.len(), limit);
            }
        }
    }

    #[test]
    fn the_log_is_extended_only_while_the_caller_waits() {
        let (sender, mut queue) = Queue::new();
        let (reply, mut answer) = oneshot::channel();
        let (abandoned, _) = oneshot::channel();
        for reply in [abandoned, reply] {
            assert!(sender.try_send(Message::ExtendLog(reply)).is_ok());
        }
        send(&sender, 0);
        let mut steps = 0;
        let first = queue.wait(|| {
            steps += 1;
            true
        });
        assert!(first.is_some());
        assert_eq!((steps, answer.try_recv()), (1, Ok(true)));
    }

    #[test]
    fn operations_that_are_queued_at_the_end_are_taken_before_it_is_answered() {
        let (sender, mut queue) = Queue::new();
        let (reply, mut closed) = oneshot::channel();
        send(&sender, 0);
        assert!(sender.try_send(Message::Close(reply)).is_ok());
        send(&sender, 0);
        let mut batch = Vec::new();
        queue.move_into(&mut batch);
        assert_eq!(batch.len(), 2);
        assert!(sender.is_closed(), "it takes no more");
        assert!(queue.wait(|| false).is_none());
        assert!(closed.try_recv().is_err(), "not answered yet");
        queue.answer_closing();
        assert_eq!(closed.try_recv(), Ok(()));
    }
}
