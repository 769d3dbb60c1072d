//! Waiting for a condition, with a deadline instead of a sleep.

use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Asks until the answer is `Some`, and returns it.
///
/// # Panics
/// When `limit` has passed, also where the condition itself never ends: the message says what was awaited
/// and where.
#[track_caller]
pub fn eventually<T>(
    awaited: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        let mut asked = 0_u32;
        loop {
            match timeout_at(deadline, condition()).await {
                Ok(Some(answer)) => return answer,
                Ok(None) if Instant::now() < deadline => asked += 1,
                Ok(None) => panic!(
                    "not within {limit:?}: {awaited} (awaited at {place}, asked {} times)",
                    asked + 1
                ),
                Err(_) => panic!(
                    "not within {limit:?}: {awaited} (awaited at {place}; the last question got no answer)"
                ),
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_becomes_true_is_returned() {
        let mut questions = 0;
        let answer = eventually("the third answer", Duration::from_secs(5), async || {
            questions += 1;
            (questions == 3).then_some("here")
        });
        assert_eq!(answer.await, "here");
    }

    #[tokio::test]
    #[should_panic(expected = "not within 30ms: a loan that nobody makes (awaited at")]
    async fn what_never_becomes_true_is_named() {
        eventually(
            "a loan that nobody makes",
            Duration::from_millis(30),
            async || None::<()>,
        )
        .await;
    }

    #[tokio::test]
    #[should_panic(expected = "the last question got no answer")]
    async fn a_question_without_an_answer_does_not_hang_the_test() {
        eventually("an answer", Duration::from_millis(30), async || {
            std::future::pending::<Option<()>>().await
        })
        .await;
    }
}
