//! Tokens that were found genuine: a desk sends the same one with each call,
//! and a signature need be checked only once. What is kept is a hash and who
//! the holder is, never the token; its time is looked at on each call.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;

use crate::caller::Caller;
use crate::token::{GenuineToken, TokenRefused, TokenVerifier, sha256};

/// Tokens kept at once: more than a district has desks, portals and services.
const MOST_TOKENS: usize = 10_000;

/// Checks tokens, the signature of each only once.
#[derive(Debug)]
pub(crate) struct KnownTokens {
    verifier: TokenVerifier,
    most: usize,
    genuine: RwLock<HashMap<[u8; 32], GenuineToken>>,
}

impl KnownTokens {
    /// Trusts what `verifier` trusts, whose keys never change while it lives.
    pub(crate) fn new(verifier: TokenVerifier) -> Self {
        Self::with_room(verifier, MOST_TOKENS)
    }

    fn with_room(verifier: TokenVerifier, most: usize) -> Self {
        Self {
            verifier,
            most,
            genuine: RwLock::default(),
        }
    }

    /// As [`TokenVerifier::verify`].
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, TokenRefused> {
        let hash = sha256(token.as_bytes());
        let known = self.genuine.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = known.get(&hash) {
            return token.at(now);
        }
        drop(known);
        let token = self.verifier.genuine(token)?;
        let caller = token.at(now)?;
        self.keep(hash, token, now);
        Ok(caller)
    }

    fn keep(&self, hash: [u8; 32], token: GenuineToken, now: Timestamp) {
        let mut known = self.genuine.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most {
            known.retain(|_, token| !token.is_over(now));
        }
        // Only who holds a key can fill it; then it is as if there were none.
        if known.len() >= self.most {
            known.clear();
        }
        known.insert(hash, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Grant;
    use crate::token::TokenIssuer;
    use jiff::{SignedDuration, ToSpan as _};

    const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

    fn noon() -> Timestamp {
        "2026-09-01T12:00:00Z".parse().unwrap()
    }

    fn token(issuer: &TokenIssuer, subject: &str, now: Timestamp) -> String {
        issuer.issue(subject, &[Grant::everywhere("*")], now, LIFETIME)
    }

    fn kept(tokens: &KnownTokens) -> usize {
        tokens.genuine.read().unwrap().len()
    }

    #[test]
    fn a_known_token_is_refused_once_it_has_expired() {
        let issuer = TokenIssuer::generate();
        let tokens = KnownTokens::new(TokenVerifier::new(issuer.jwks()));
        let desk = token(&issuer, "desk-1", noon());
        for now in [noon(), noon() + 5.minutes()] {
            assert_eq!(tokens.verify(&desk, now).unwrap().subject(), "desk-1");
        }
        assert_eq!(kept(&tokens), 1);
        let too_late = noon() + 6.minutes();
        assert_eq!(tokens.verify(&desk, too_late), Err(TokenRefused::Expired));
        // Before it was issued it does not hold either, known or not.
        let too_early = noon() - 5.minutes();
        assert_eq!(tokens.verify(&desk, too_early), Err(TokenRefused::Invalid));
    }

    #[test]
    fn a_token_that_is_like_a_known_one_is_checked_itself() {
        let issuer = TokenIssuer::generate();
        let tokens = KnownTokens::new(TokenVerifier::new(issuer.jwks()));
        let desk = token(&issuer, "desk-1", noon());
        tokens.verify(&desk, noon()).unwrap();
        let (claims, signature) = desk.rsplit_once('.').unwrap();
        let altered: String = signature.chars().rev().collect();
        let forged = token(&TokenIssuer::generate(), "desk-1", noon());
        for other in [format!("{claims}.{altered}"), claims.to_owned(), forged] {
            assert_eq!(tokens.verify(&other, noon()), Err(TokenRefused::Invalid));
        }
        assert_eq!(kept(&tokens), 1, "what was refused is not kept");
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_expired_first() {
        let issuer = TokenIssuer::generate();
        let tokens = KnownTokens::with_room(TokenVerifier::new(issuer.jwks()), 2);
        let night = noon() + 8.hours();
        tokens
            .verify(&token(&issuer, "desk-1", noon()), noon())
            .unwrap();
        tokens
            .verify(&token(&issuer, "desk-2", night), night)
            .unwrap();
        tokens
            .verify(&token(&issuer, "desk-3", night), night)
            .unwrap();
        assert_eq!(kept(&tokens), 2, "desk 1's token was over");
        tokens
            .verify(&token(&issuer, "desk-4", night), night)
            .unwrap();
        assert_eq!(kept(&tokens), 1, "it was full and began anew");
    }
}
