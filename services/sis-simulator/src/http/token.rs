//! `POST /auth`: an API key for a short-lived token, as Ethos Integration has it.

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::Error;
use crate::faults::Operation;
use crate::http::{Refusal, Shared, bearer, strike_before};
use crate::line::Grip;

#[derive(Deserialize, Serialize)]
struct Claims {
    sub: String,
    iat: i64,
    exp: i64,
}

/// Signs and checks tokens, under a secret of this process: a restart ends every token, as it may at a real site.
pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    minutes: u32,
}

impl Tokens {
    pub(crate) fn new(minutes: u32) -> Self {
        let mut secret = Vec::new();
        (0..4).for_each(|_| secret.extend_from_slice(Uuid::now_v7().as_bytes()));
        Self {
            encoding: EncodingKey::from_secret(&secret),
            decoding: DecodingKey::from_secret(&secret),
            minutes,
        }
    }

    fn issue(&self, clock: &Clock) -> Result<String, Error> {
        let iat = clock.now().as_second();
        let exp = iat + i64::from(self.minutes) * 60;
        let claims = Claims {
            sub: "library".to_owned(),
            iat,
            exp,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|error| Error::NotWritten(error.to_string()))
    }

    /// Whether a token is one of ours and still valid by the simulator's clock.
    pub(crate) fn check(&self, token: Option<&str>, clock: &Clock) -> Result<(), Refusal> {
        let mut rules = Validation::new(Algorithm::HS256);
        // Expiry goes by the simulator's clock, which may be moved.
        rules.validate_exp = false;
        let claims = token.and_then(|token| decode::<Claims>(token, &self.decoding, &rules).ok());
        if claims.is_some_and(|token| clock.now().as_second() < token.claims.exp) {
            return Ok(());
        }
        Err(unauthorized("the token is missing, expired or not ours"))
    }
}

fn unauthorized(text: &str) -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "Global.Unauthorized",
        "Unauthorized",
        text,
    )
}

/// Answers an API key with a token, as plain text.
pub(crate) async fn issue(
    State(simulator): Shared,
    ConnectInfo(grip): ConnectInfo<Grip>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    strike_before(&simulator, &grip, Operation::Auth).await?;
    if bearer(&headers) != Some(simulator.config.api_key.as_str()) {
        return Err(unauthorized("the API key is not known").into());
    }
    let token = simulator
        .tokens
        .issue(&simulator.clock)
        .map_err(Refusal::from)?;
    Ok(([(header::CONTENT_TYPE, "text/plain")], token).into_response())
}
