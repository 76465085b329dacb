//! In: the provider's set of keys (RFC 7517). Out: those that may sign tokens. Others are left out, since a set
//! may contain kinds of keys that are not used here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jwt::{Algorithm, PublicKey, SignedToken};

/// Maximum number of keys in a set.
const MAX_KEYS: usize = 100;

#[derive(Debug, Default, Clone)]
pub(super) struct KeySet(Vec<SigningKey>);

#[derive(Debug, Clone)]
struct SigningKey {
    id: Option<String>,
    /// The only algorithm that the key is for.
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

/// A key as the provider writes it.
#[derive(Deserialize)]
struct JsonWebKey {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct JsonWebKeySet {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a key set, and keeps the usable keys.
    ///
    /// # Errors
    /// Not a set of keys, or more than [`MAX_KEYS`] keys.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let set: JsonWebKeySet = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("more than {MAX_KEYS} keys"));
        }
        let keys = set.keys.into_iter();
        let usable = keys.filter_map(|key| signing_key(serde_json::from_value(key).ok()?));
        Ok(Self(usable.collect()))
    }

    /// The keys that may have signed the token. A token without a key id may be signed with any of them.
    fn for_token<'a>(&'a self, token: &'a SignedToken<'_>) -> impl Iterator<Item = &'a PublicKey> {
        self.0
            .iter()
            .filter(|key| token.key_id.is_none() || key.id == token.key_id)
            .filter(|key| key.algorithm.is_none_or(|only| only == token.algorithm))
            .map(|key| &key.key)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the claims of the token if one of the keys has signed it. The key's id alone does not tell: a provider
    /// may replace a key under the same id, or use no ids.
    pub(super) fn verify<'t>(&self, token: &'t SignedToken<'_>) -> Option<&'t Map<String, Value>> {
        token.verify(self.for_token(token))
    }
}

fn signing_key(key: JsonWebKey) -> Option<SigningKey> {
    let signs = key.r#use.as_deref().is_none_or(|purpose| purpose == "sig")
        && key
            .key_ops
            .is_none_or(|operations| operations.iter().any(|one| one == "verify"));
    if !signs {
        return None;
    }
    let algorithm = match &key.alg {
        None => None,
        Some(name) => Some(Algorithm::from_name(name)?),
    };
    let octets = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
    let point = |size: usize, x: Vec<u8>, y: Vec<u8>| {
        let is_right = x.len() == size && y.len() == size;
        is_right.then(|| [vec![4], x, y].concat())
    };
    let public = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => PublicKey::Rsa(octets(key.n)?, octets(key.e)?),
        ("EC", Some("P-256")) => PublicKey::P256(point(32, octets(key.x)?, octets(key.y)?)?),
        ("EC", Some("P-384")) => PublicKey::P384(point(48, octets(key.x)?, octets(key.y)?)?),
        ("OKP", Some("Ed25519")) => PublicKey::Ed25519(octets(key.x)?),
        _ => return None,
    };
    Some(SigningKey {
        id: key.kid,
        algorithm,
        key: public,
    })
}
