//! JSON Web Tokens signed with ES256 (RFC 7519, RFC 7518).

use crate::pki::Secret;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

/// The fixed head of a P-256 public key in its X.509 form; the point follows.
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A P-256 key that signs tokens and knows its own signatures.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    id: String,
}

impl Key {
    /// Reads a PKCS #8 PEM.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(pem: &Secret) -> Result<Self, String> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.reveal().as_bytes()).map_err(|why| why.to_string())?;
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random)
            .map_err(|why| why.to_string())?;
        let spki = [&SPKI_HEAD[..], pair.public_key().as_ref()].concat();
        let id = encode(digest(&SHA256, &spki).as_ref());
        Ok(Self { pair, random, id })
    }

    /// A signed token with these claims.
    ///
    /// # Errors
    ///
    /// When the system has no randomness to sign with.
    pub(super) fn sign(&self, claims: &Value) -> Result<String, String> {
        let header = json!({"alg": "ES256", "kid": self.id});
        let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.pair.sign(&self.random, text.as_bytes()).map_err(|why| why.to_string())?;
        Ok(format!("{text}.{}", encode(signature.as_ref())))
    }

    /// The claims of a token that this key signed; nothing else about them is checked.
    ///
    /// # Errors
    ///
    /// Why the token is none of ours.
    pub(super) fn verify(&self, token: &str) -> Result<Value, String> {
        let (text, signature) = token.rsplit_once('.').ok_or("not a token")?;
        let (header, claims) = text.split_once('.').ok_or("not a token")?;
        let header: Value = decode_json(header)?;
        if header.get("alg") != Some(&Value::from("ES256")) {
            return Err("unexpected signature algorithm".into());
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|why| why.to_string())?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(text.as_bytes(), &signature)
            .map_err(|_| "invalid signature")?;
        decode_json(claims)
    }

    /// The public key as a JSON Web Key.
    pub(super) fn public(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        let part = |from: usize, to: usize| encode(point.get(from..to).unwrap_or_default());
        json!({"use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256", "x": part(1, 33), "y": part(33, 65)})
    }
}

/// The claims of a token without a look at its signature: to see whose it is.
pub(super) fn peek(token: &str) -> Option<Value> {
    decode_json(token.split('.').nth(1)?).ok()
}

fn decode_json(part: &str) -> Result<Value, String> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|why| why.to_string())?;
    serde_json::from_slice(&bytes).map_err(|why| why.to_string())
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
