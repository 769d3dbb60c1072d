//! The token that an API key is exchanged for, kept until most of its life has passed.

use std::time::{Duration, Instant};

use reqwest::{Client, Url};
use tokio::sync::Mutex;

use crate::ethos::channel::{self, Lost};

/// The token of one site.
pub(super) struct Tokens {
    url: Url,
    api_key: String,
    lifetime: Duration,
    /// Locked while a token is fetched, so that many postings ask for one token.
    cached: Mutex<Option<Token>>,
}

struct Token {
    text: String,
    asked_at: Instant,
}

/// Why there is no token. Nothing else was sent.
#[derive(Debug)]
pub(super) enum TokenFailure {
    Lost(Lost),
    Status(u16),
    Unreadable,
}

impl Tokens {
    pub(super) fn new(url: Url, api_key: String, lifetime: Duration) -> Self {
        Self {
            url,
            api_key,
            lifetime,
            cached: Mutex::new(None),
        }
    }

    /// A token that is still good for a request.
    pub(super) async fn get(&self, client: &Client) -> Result<String, TokenFailure> {
        let mut cached = self.cached.lock().await;
        if let Some(token) = cached
            .as_ref()
            .filter(|token| token.is_fresh(self.lifetime, Instant::now()))
        {
            return Ok(token.text.clone());
        }
        // Counted from before the request, when the SIS had not yet begun to count.
        let asked_at = Instant::now();
        let text = self.fetch(client).await?;
        *cached = Some(Token {
            text: text.clone(),
            asked_at,
        });
        Ok(text)
    }

    /// Forgets a token that was refused, unless another one has taken its place.
    pub(super) async fn forget(&self, refused: &str) {
        let mut cached = self.cached.lock().await;
        if cached.as_ref().is_some_and(|token| token.text == refused) {
            *cached = None;
        }
    }

    async fn fetch(&self, client: &Client) -> Result<String, TokenFailure> {
        let request = client.post(self.url.clone()).bearer_auth(&self.api_key);
        let response = request
            .send()
            .await
            .map_err(|error| TokenFailure::Lost(Lost::of(&error)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(TokenFailure::Status(status.as_u16()));
        }
        let body = channel::body(response).await.map_err(TokenFailure::Lost)?;
        let text = String::from_utf8(body)
            .map_err(|_| TokenFailure::Unreadable)?
            .trim()
            .to_owned();
        let is_token = |c: char| c.is_ascii_alphanumeric() || "-_.=+/".contains(c);
        // A page of HTML with status 200 is not a token, and would not fit a header.
        if text.is_empty() || !text.chars().all(is_token) {
            return Err(TokenFailure::Unreadable);
        }
        Ok(text)
    }
}

impl Token {
    /// Whether at most four fifths of its life have passed.
    fn is_fresh(&self, lifetime: Duration, now: Instant) -> bool {
        now.duration_since(self.asked_at) < lifetime * 4 / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_a_minute_before_its_five_are_over() {
        let asked_at = Instant::now();
        let token = Token {
            text: "t".to_owned(),
            asked_at,
        };
        let lifetime = Duration::from_secs(300);
        assert!(token.is_fresh(lifetime, asked_at + Duration::from_secs(239)));
        assert!(!token.is_fresh(lifetime, asked_at + Duration::from_secs(240)));
    }
}
