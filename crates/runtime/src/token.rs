//! Tokens: who calls, and what they may do.
//!
//! JSON Web Tokens (RFC 7519) signed with Ed25519. Keys that are trusted come
//! as a JWK set (RFC 7517), so that a district's own identity provider can
//! stand beside Carrel's key.

use std::path::Path;

use aws_lc_rs::signature::Ed25519KeyPair;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::caller::{Caller, Grant};
use crate::key_file::{self, KeyFileError};

/// Who issues Carrel's own tokens.
const ISSUER: &str = "carrel";
/// For whom tokens are.
const AUDIENCE: &str = "carrel";
/// How much two clocks may differ, in seconds.
const LEEWAY_S: i64 = 30;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    exp: i64,
    grants: Vec<Grant>,
}

/// Signs tokens.
#[derive(Clone)]
pub struct TokenIssuer {
    key: EncodingKey,
    key_id: String,
}

impl TokenIssuer {
    /// Reads the private key: Ed25519, PKCS #8, PEM (as
    /// `openssl genpkey -algorithm ed25519` writes it).
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = key_file::read(path)?;
        Self::from_pem(&text).ok_or_else(|| KeyFileError::Malformed {
            path: path.to_owned(),
            expected: "an Ed25519 private key in PKCS #8 and PEM",
        })
    }

    /// Writes a new private key to a file that only its owner can read.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let pem = new_key_pem();
        key_file::create(path, pem.as_bytes())?;
        Ok(Self::from_pem(&pem).expect("a new key is sound"))
    }

    /// An issuer with a new key that is kept nowhere.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_pem(&new_key_pem()).expect("a new key is sound")
    }

    fn from_pem(text: &str) -> Option<Self> {
        let key = EncodingKey::from_ed_pem(text.as_bytes()).ok()?;
        let jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).ok()?;
        let key_id = jwk
            .thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256)
            .ok()?;
        Some(Self { key, key_id })
    }

    /// The public key as a JWK set, for whoever is to trust these tokens.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::EdDSA)
            .expect("the key was read as Ed25519");
        jwk.common.key_id = Some(self.key_id.clone());
        JwkSet { keys: vec![jwk] }
    }

    /// A token.
    #[must_use]
    pub fn issue(
        &self,
        subject: &str,
        grants: &[Grant],
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.key_id.clone());
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: subject.into(),
            iat: now.as_second(),
            exp: now.as_second() + lifetime.as_secs(),
            grants: grants.to_vec(),
        };
        jsonwebtoken::encode(&header, &claims, &self.key).expect("the key signs with EdDSA")
    }
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenIssuer({})", self.key_id)
    }
}

fn new_key_pem() -> String {
    let document = Ed25519KeyPair::generate()
        .and_then(|pair| pair.to_pkcs8v1())
        .expect("the system has randomness");
    pem::encode(&pem::Pem::new("PRIVATE KEY", document.as_ref()))
}

/// Checks tokens.
#[derive(Debug, Clone)]
pub struct TokenVerifier {
    keys: JwkSet,
}

/// Why a token was refused. The caller learns no more than that it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// There is none.
    #[error("a token is needed: send it as 'authorization: Bearer …'")]
    Missing,
    /// Its time is over.
    #[error("the token has expired; get a new one")]
    Expired,
    /// It is not one of ours, or was altered.
    #[error("the token is not valid here")]
    Invalid,
}

impl TokenVerifier {
    /// Trusts these keys.
    #[must_use]
    pub fn new(keys: JwkSet) -> Self {
        Self { keys }
    }

    /// Reads the trusted keys from a JWK set file.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = key_file::read(path)?;
        serde_json::from_str(&text)
            .map(Self::new)
            .map_err(|_| KeyFileError::Malformed {
                path: path.to_owned(),
                expected: "a JWK set (RFC 7517)",
            })
    }

    /// Checks a token's signature, issuer, audience and time.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, TokenRefused> {
        self.genuine(token)?.at(now)
    }

    /// Checks everything but the time.
    pub(crate) fn genuine(&self, token: &str) -> Result<GenuineToken, TokenRefused> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenRefused::Invalid)?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenRefused::Invalid);
        }
        let key = header
            .kid
            .and_then(|key_id| self.keys.find(&key_id))
            .and_then(|jwk| DecodingKey::from_jwk(jwk).ok())
            .ok_or(TokenRefused::Invalid)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // Time is checked apart, by the clock that is passed in.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|_| TokenRefused::Invalid)?
            .claims;
        let expires_at = Timestamp::from_second(claims.exp).map_err(|_| TokenRefused::Invalid)?;
        let last = expires_at
            .checked_add(SignedDuration::from_secs(LEEWAY_S))
            .map_err(|_| TokenRefused::Invalid)?;
        Ok(GenuineToken {
            caller: Caller::new(claims.sub, claims.grants, expires_at),
            issued_at_s: claims.iat,
            last,
        })
    }
}

/// A token whose signature, issuer and audience are right; whether its time is
/// now, is another question.
#[derive(Debug, Clone)]
pub(crate) struct GenuineToken {
    caller: Caller,
    issued_at_s: i64,
    /// The last moment at which it is taken.
    last: Timestamp,
}

impl GenuineToken {
    /// Its holder, where the token holds now.
    pub(crate) fn at(&self, now: Timestamp) -> Result<Caller, TokenRefused> {
        if now > self.last {
            return Err(TokenRefused::Expired);
        }
        if self.issued_at_s > now.as_second().saturating_add(LEEWAY_S) {
            return Err(TokenRefused::Invalid);
        }
        Ok(self.caller.clone())
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now > self.last
    }
}

/// SHA-256, for fingerprints.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}

/// Base 64 for URLs, without padding.
pub(crate) const BASE64_URL: base64::engine::GeneralPurpose =
    base64::engine::general_purpose::URL_SAFE_NO_PAD;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Scope;
    use base64::Engine as _;

    fn grants() -> Vec<Grant> {
        vec![Grant::new(
            "circulation.loans.check-out",
            Scope::Library("ALD-MAIN".into()),
        )]
    }

    #[test]
    fn a_token_says_who_calls_until_it_expires() {
        let now: Timestamp = "2026-09-01T08:00:00Z".parse().unwrap();
        let issuer = TokenIssuer::generate();
        let verifier = TokenVerifier::new(issuer.jwks());
        let token = issuer.issue("desk-1", &grants(), now, SignedDuration::from_mins(5));

        let caller = verifier.verify(&token, now).unwrap();
        assert_eq!(caller.subject(), "desk-1");
        assert!(caller.may("circulation.loans.check-out"));
        let too_late = now + SignedDuration::from_mins(6);
        assert_eq!(
            verifier.verify(&token, too_late),
            Err(TokenRefused::Expired)
        );
    }

    #[test]
    fn a_token_of_another_key_or_with_another_content_is_refused() {
        let now: Timestamp = "2026-09-01T08:00:00Z".parse().unwrap();
        let issuer = TokenIssuer::generate();
        let token = issuer.issue("desk-1", &grants(), now, SignedDuration::from_mins(5));

        let stranger = TokenVerifier::new(TokenIssuer::generate().jwks());
        assert_eq!(stranger.verify(&token, now), Err(TokenRefused::Invalid));

        let verifier = TokenVerifier::new(issuer.jwks());
        let (head, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let claims = BASE64_URL.encode(
            br#"{"iss":"carrel","aud":"carrel","sub":"x","iat":0,"exp":99999999999,"grants":[]}"#,
        );
        for altered in [
            format!("{header}.{claims}.{signature}"),
            format!(
                "{}.{claims}.",
                BASE64_URL.encode(br#"{"alg":"none","typ":"JWT"}"#)
            ),
            String::new(),
            "a.b.c".into(),
        ] {
            assert_eq!(verifier.verify(&altered, now), Err(TokenRefused::Invalid));
        }
    }
}
