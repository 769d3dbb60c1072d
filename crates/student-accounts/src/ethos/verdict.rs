//! What an answer proves. The heart of never posting twice and never losing a charge.
//!
//! | what happened to a create | what is known |
//! |---|---|
//! | 200 or 201 with an id | accepted |
//! | 400, 413, 422 | rejected: the SIS looked at the posting and refused it |
//! | held back by the rate limit or the circuit breaker | not sent |
//! | no token could be had | not sent |
//! | name, connection or TLS failed, also by the connect deadline | not sent |
//! | 401 after a renewed token, 403 | not sent: refused before the posting was looked at |
//! | 404, 405, 406, 415 | not sent: resource or version not served, a mistake in the configuration |
//! | 429 | not sent: refused by the rate limit, which stands before the resource |
//! | 200 or 201 without a readable id, another 2xx | unknown |
//! | 3xx, 408, 409 and other 4xx | unknown: undocumented, some are sent by proxies |
//! | 5xx, also 503 with Retry-After | unknown: proxies answer 502, 503 or 504 when the SIS's answer is lost after it committed |
//! | connected, then no answer in time or a broken connection | unknown |
//!
//! Where only the body of an answer is lost, its status still counts: a 400 without its reasons is a rejection, a 200
//! without its id is unknown.

use serde::Deserialize;
use uuid::Uuid;

use crate::error::Error;
use crate::ethos::channel::{Answer, Failure, Lost};
use crate::ethos::token::TokenFailure;
use crate::ethos::wire;
use crate::outcome::{NotSentCause, PostOutcome, SisError, UnknownCause};

/// What is known after a create.
pub(super) fn of_create(sent: Result<Answer, Failure>) -> PostOutcome {
    let answer = match sent {
        Ok(answer) => answer,
        Err(Failure::Token(failure)) => {
            return PostOutcome::NotSent {
                cause: failure.into(),
            };
        }
        Err(Failure::Held) => {
            return PostOutcome::NotSent {
                cause: NotSentCause::Held,
            };
        }
        Err(Failure::Lost(Lost::Unreachable(text))) => {
            return PostOutcome::NotSent {
                cause: NotSentCause::Unreachable(text),
            };
        }
        Err(Failure::Lost(Lost::Timeout)) => return unknown(UnknownCause::Timeout),
        Err(Failure::Lost(Lost::Broken(text))) => {
            return unknown(UnknownCause::ConnectionLost(text));
        }
    };
    let status = answer.status;
    match status {
        200 | 201 => of_success(answer.body),
        400 | 413 | 422 => PostOutcome::Rejected {
            errors: errors(status, answer.body.as_deref().unwrap_or_default()),
        },
        401 | 403 => PostOutcome::NotSent {
            cause: NotSentCause::NotAuthorised { status },
        },
        404 | 405 | 406 | 415 => PostOutcome::NotSent {
            cause: NotSentCause::Misdirected { status },
        },
        429 => PostOutcome::NotSent {
            cause: NotSentCause::Throttled {
                retry_after: answer.retry_after,
            },
        },
        _ => unknown(UnknownCause::Status(status)),
    }
}

fn of_success(body: Result<Vec<u8>, Lost>) -> PostOutcome {
    let body = match body {
        Ok(body) => body,
        Err(Lost::Timeout) => return unknown(UnknownCause::Timeout),
        Err(Lost::Broken(text) | Lost::Unreachable(text)) => {
            return unknown(UnknownCause::ConnectionLost(text));
        }
    };
    match serde_json::from_slice::<wire::Created>(&body) {
        Ok(created) if is_id(&created.id) => PostOutcome::Accepted { sis_id: created.id },
        Ok(_) => unknown(UnknownCause::Unreadable("the charge has no id".to_owned())),
        Err(error) => unknown(UnknownCause::Unreadable(error.to_string())),
    }
}

fn unknown(cause: UnknownCause) -> PostOutcome {
    PostOutcome::Unknown { cause }
}

/// An echo of the nil GUID that a create carries is no id.
fn is_id(text: &str) -> bool {
    text.parse::<Uuid>().is_ok_and(|id| !id.is_nil())
}

/// A query's answer with its body, where it is a success.
pub(super) fn of_query(answer: Answer) -> Result<QueryAnswer, Error> {
    let status = answer.status;
    match status {
        200 => Ok(QueryAnswer {
            body: answer.body.map_err(Error::from)?,
            total: answer.total,
        }),
        401 | 403 => Err(Error::NotAuthorised { status }),
        400 | 404 | 405 | 406 | 415 | 422 => Err(Error::Refused {
            status,
            errors: errors(status, answer.body.as_deref().unwrap_or_default()),
        }),
        _ => Err(Error::Unavailable(format!("status {status}"))),
    }
}

/// A query's success.
pub(super) struct QueryAnswer {
    pub(super) body: Vec<u8>,
    pub(super) total: Option<usize>,
}

impl From<TokenFailure> for NotSentCause {
    fn from(failure: TokenFailure) -> Self {
        match failure {
            TokenFailure::Lost(Lost::Unreachable(text)) => Self::Unreachable(text),
            TokenFailure::Lost(Lost::Timeout) => Self::NoToken("no answer in time".to_owned()),
            TokenFailure::Lost(Lost::Broken(text)) => Self::NoToken(text),
            TokenFailure::Status(status @ (400 | 401 | 403)) => Self::NotAuthorised { status },
            TokenFailure::Status(404 | 405) => Self::NoToken("there is no /auth".to_owned()),
            TokenFailure::Status(429) => Self::Throttled { retry_after: None },
            TokenFailure::Status(status) => Self::NoToken(format!("status {status}")),
            TokenFailure::Unreadable => Self::NoToken("the answer is no token".to_owned()),
        }
    }
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Unreachable(text) | Lost::Broken(text) => Self::Unavailable(text),
            Lost::Timeout => Self::Unavailable("no answer in time".to_owned()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(lost) => lost.into(),
            Failure::Held => Self::Unavailable(NotSentCause::Held.to_string()),
            Failure::Token(failure) => match NotSentCause::from(failure) {
                NotSentCause::NotAuthorised { status } => Self::NotAuthorised { status },
                cause => Self::Unavailable(cause.to_string()),
            },
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ErrorEntry {
    code: String,
    title: String,
    description: String,
    /// Some services of Ellucian write this in place of the description.
    message: String,
}

/// All reasons of an Ethos answer; at least one, whatever the body is.
fn errors(status: u16, body: &[u8]) -> Vec<SisError> {
    let read = serde_json::from_slice::<ErrorBody>(body)
        .map(|body| body.errors)
        .unwrap_or_default();
    let errors = read.into_iter().map(|entry| SisError {
        description: if entry.description.is_empty() {
            entry.message
        } else {
            entry.description
        },
        code: entry.code,
        title: entry.title,
    });
    let mut errors = errors.collect::<Vec<_>>();
    if errors.is_empty() {
        let description = "the answer gives no reason".to_owned();
        errors.push(SisError {
            code: format!("http.{status}"),
            title: String::new(),
            description,
        });
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee";

    fn answered(status: u16, body: &str) -> PostOutcome {
        let body = Ok(body.as_bytes().to_vec());
        of_create(Ok(Answer {
            status,
            total: None,
            retry_after: None,
            body,
        }))
    }

    #[test]
    fn only_a_charge_with_an_id_is_accepted() {
        let created = format!(r#"{{"id": "{ID}", "somethingNew": 1}}"#);
        for status in [200, 201] {
            assert_eq!(
                answered(status, &created),
                PostOutcome::Accepted {
                    sis_id: ID.to_owned()
                }
            );
        }
        let nil = r#"{"id": "00000000-0000-0000-0000-000000000000"}"#;
        for (status, body) in [
            (200, ""),
            (200, "<html>"),
            (200, "{}"),
            (200, nil),
            (202, &created),
            (204, ""),
        ] {
            assert!(
                matches!(answered(status, body), PostOutcome::Unknown { .. }),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn every_status_is_sorted_to_the_cautious_side() {
        for status in 100..=599 {
            let outcome = answered(status, "");
            match status {
                400 | 413 | 422 => {
                    assert!(matches!(outcome, PostOutcome::Rejected { .. }), "{status}")
                }
                401 | 403 | 404 | 405 | 406 | 415 | 429 => {
                    assert!(matches!(outcome, PostOutcome::NotSent { .. }), "{status}");
                }
                _ => assert!(matches!(outcome, PostOutcome::Unknown { .. }), "{status}"),
            }
        }
    }

    #[test]
    fn a_rejection_keeps_every_reason_and_survives_the_loss_of_its_body() {
        let body =
            r#"{"errors": [{"code": "A", "description": "one"}, {"code": "B", "message": "two"}]}"#;
        let PostOutcome::Rejected { errors } = answered(400, body) else {
            panic!("not rejected")
        };
        assert_eq!(SisError::join(&errors), "A: one; B: two");

        let lost = Answer {
            status: 400,
            total: None,
            retry_after: None,
            body: Err(Lost::Timeout),
        };
        let PostOutcome::Rejected { errors } = of_create(Ok(lost)) else {
            panic!("not rejected")
        };
        assert_eq!(
            SisError::join(&errors),
            "http.400: the answer gives no reason"
        );
    }
}
