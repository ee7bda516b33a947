//! The worker's tasks, and what becomes of the whole when one of them ends.

use std::collections::HashMap;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::dispatch::DispatchEnd;
use super::error::WorkerError;
use super::intake::IntakeEnd;
use super::run::Leftover;
use crate::kafka::KafkaError;
use crate::telemetry::Condition;

/// How a task ended.
pub(super) enum Ended {
    Intake(Result<IntakeEnd, KafkaError>),
    Dispatch(Result<DispatchEnd, KafkaError>),
    /// What serves must not end before the loops do.
    Served(std::io::Result<()>),
    /// A task that may end when it likes.
    Aside,
}

/// The two loops, on which the worker's life hangs, and what is done beside them.
#[derive(Default)]
pub(super) struct Tasks {
    tasks: JoinSet<Ended>,
    /// Loops that have not ended. They are known by their task: one that panics leaves no other word of itself.
    loops: HashMap<Id, &'static str>,
}

impl Tasks {
    pub(super) fn beside(&mut self, task: impl Future<Output = Ended> + Send + 'static) {
        self.tasks.spawn(task);
    }

    pub(super) fn one_of_the_loops(&mut self, name: &'static str, task: impl Future<Output = Ended> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.loops.insert(id, name);
    }

    /// Waits until both loops have ended. When anything ends that should not, `word` is given, and the loops that remain
    /// finish what they hold: each has its own grace.
    ///
    /// # Errors
    /// What ended by itself.
    pub(super) async fn until_loops_end(
        &mut self,
        shutdown: &CancellationToken,
        word: &CancellationToken,
        not_draining: &Condition,
    ) -> Result<Leftover, WorkerError> {
        let mut leftover = Leftover::default();
        let mut failure = None;
        let mut draining = false;
        while !self.loops.is_empty() {
            let ended = tokio::select! {
                ended = self.tasks.join_next_with_id() => ended,
                () = shutdown.cancelled(), if !draining => {
                    draining = true;
                    not_draining.set(false);
                    continue;
                }
            };
            let Some(ended) = ended else { break };
            let Some((name, fault)) = self.fault(ended, word.is_cancelled(), &mut leftover) else { continue };
            tracing::error!(task = name, reason = fault, "A loop ended by itself; the worker stops.");
            failure.get_or_insert(WorkerError::LoopEnded(name, fault));
            word.cancel();
        }
        failure.map_or(Ok(leftover), Err)
    }

    /// What is wrong with the end of a task: its name and why; `None` when it was in order.
    fn fault(
        &mut self,
        ended: Result<(Id, Ended), JoinError>,
        told_to_stop: bool,
        leftover: &mut Leftover,
    ) -> Option<(&'static str, String)> {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(panic) => panic.id(),
        };
        let name = self.loops.remove(&id).unwrap_or("worker");
        let without_a_word = || "without a word".to_owned();
        match ended {
            Err(panic) => Some((name, panic.to_string())),
            Ok((_, Ended::Aside)) => None,
            Ok((_, Ended::Served(Ok(())))) => Some(("http", "it was closed".to_owned())),
            Ok((_, Ended::Served(Err(error)))) => Some(("http", error.to_string())),
            Ok((_, Ended::Intake(Ok(end)))) => {
                leftover.records = end.unfinished;
                (!told_to_stop).then(|| (name, without_a_word()))
            }
            Ok((_, Ended::Dispatch(Ok(end)))) => {
                leftover.calls = end.calls;
                (!told_to_stop).then(|| (name, without_a_word()))
            }
            Ok((_, Ended::Intake(Err(error)) | Ended::Dispatch(Err(error)))) => Some((name, error.to_string())),
        }
    }

    /// Ends what is left.
    pub(super) async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::telemetry::Readiness;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn dies() -> Ended {
        panic!("as if there were a bug");
    }

    /// Stops when it is told to, in its own time.
    async fn intake(word: CancellationToken) -> Ended {
        word.cancelled().await;
        tokio::task::yield_now().await;
        Ended::Intake(Ok(IntakeEnd { unfinished: 3 }))
    }

    async fn dispatch(word: CancellationToken) -> Ended {
        word.cancelled().await;
        tokio::task::yield_now().await;
        Ended::Dispatch(Ok(DispatchEnd { calls: 2 }))
    }

    struct Scene {
        tasks: Tasks,
        shutdown: CancellationToken,
        word: CancellationToken,
    }

    impl Scene {
        fn new() -> Self {
            let shutdown = CancellationToken::new();
            let mut tasks = Tasks::default();
            // What serves, and what waits for signals, never ends by itself.
            tasks.beside(pending());
            tasks.beside(async { Ended::Aside });
            Self { tasks, word: shutdown.child_token(), shutdown }
        }

        async fn end(mut self) -> Result<Leftover, WorkerError> {
            let not_draining = Readiness::default().condition("not draining", true);
            let ended = self.tasks.until_loops_end(&self.shutdown, &self.word, &not_draining);
            let ended = timeout(PATIENCE, ended).await.expect("the worker ends");
            self.tasks.shutdown().await;
            ended
        }
    }

    fn failed_loop(ended: Result<Leftover, WorkerError>) -> &'static str {
        match ended {
            Err(WorkerError::LoopEnded(name, _)) => name,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_loop_that_panics_ends_the_worker() {
        let mut scene = Scene::new();
        scene.tasks.one_of_the_loops("intake", dies());
        scene.tasks.one_of_the_loops("dispatch", dispatch(scene.word.clone()));
        assert_eq!(failed_loop(scene.end().await), "intake");

        let mut scene = Scene::new();
        scene.tasks.one_of_the_loops("intake", intake(scene.word.clone()));
        scene.tasks.one_of_the_loops("dispatch", dies());
        assert_eq!(failed_loop(scene.end().await), "dispatch");

        let mut scene = Scene::new();
        scene.tasks.one_of_the_loops("intake", dies());
        scene.tasks.one_of_the_loops("dispatch", dies());
        failed_loop(scene.end().await);
    }

    #[tokio::test]
    async fn a_loop_that_panics_while_it_drains_is_told_too() {
        let mut scene = Scene::new();
        let word = scene.word.clone();
        scene.tasks.one_of_the_loops("intake", async move {
            word.cancelled().await;
            dies().await
        });
        scene.tasks.one_of_the_loops("dispatch", dispatch(scene.word.clone()));
        scene.shutdown.cancel();
        assert_eq!(failed_loop(scene.end().await), "intake");
    }

    #[tokio::test]
    async fn what_dies_beside_the_loops_gives_them_their_grace() {
        let mut scene = Scene::new();
        scene.tasks.beside(dies());
        scene.tasks.one_of_the_loops("intake", intake(scene.word.clone()));
        scene.tasks.one_of_the_loops("dispatch", dispatch(scene.word.clone()));
        assert_eq!(failed_loop(scene.end().await), "worker");
    }

    #[tokio::test]
    async fn told_to_stop_it_says_what_is_left() {
        let mut scene = Scene::new();
        scene.tasks.one_of_the_loops("intake", intake(scene.word.clone()));
        scene.tasks.one_of_the_loops("dispatch", dispatch(scene.word.clone()));
        scene.shutdown.cancel();
        assert_eq!(scene.end().await.expect("in order"), Leftover { records: 3, calls: 2 });
    }
}
