//! The keys of a suite, made when it is first started.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use carrel_runtime::{BarcodeKey, TokenIssuer};

/// Where a suite's keys are.
#[derive(Debug, Clone)]
pub struct Keys {
    folder: PathBuf,
    /// The private key that signs tokens.
    pub token_key: PathBuf,
    /// The public key, as a JWK set.
    pub trusted_keys: PathBuf,
    /// The key for the HMAC of patron barcodes.
    pub barcode_key: PathBuf,
    /// The API key of the student-account system.
    pub sis_api_key: PathBuf,
}

impl Keys {
    /// The keys in a suite's data folder.
    pub fn in_folder(data: &Path) -> Self {
        let folder = data.join("keys");
        Self {
            token_key: folder.join("token-key.pem"),
            trusted_keys: folder.join("trusted-keys.json"),
            barcode_key: folder.join("barcode.key"),
            sis_api_key: folder.join("sis-api.key"),
            folder,
        }
    }

    /// Whether they were made.
    pub fn exist(&self) -> bool {
        self.sis_api_key.exists()
    }

    /// Makes those that are missing; a key that exists is never replaced.
    pub fn make_missing(&self) -> anyhow::Result<TokenIssuer> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("{} can't be made", self.folder.display()))?;
        let issuer = if self.token_key.exists() {
            TokenIssuer::read(&self.token_key)?
        } else {
            TokenIssuer::create(&self.token_key)?
        };
        // Keys of others, such as the district's identity provider, stand
        // there too: the file is the operator's once it exists.
        if !self.trusted_keys.exists() {
            let jwks = serde_json::to_vec_pretty(&issuer.jwks())?;
            std::fs::write(&self.trusted_keys, jwks)
                .with_context(|| format!("{} can't be written", self.trusted_keys.display()))?;
        }
        if !self.barcode_key.exists() {
            BarcodeKey::create(&self.barcode_key)?;
        }
        if !self.sis_api_key.exists() {
            // Any secret will do, and the barcode key's form is one.
            BarcodeKey::create(&self.sis_api_key)?;
        }
        Ok(issuer)
    }
}
