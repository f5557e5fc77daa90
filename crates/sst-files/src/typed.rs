//! Keys and values with types: a thin layer over [`LiveSet`] and [`OwnedBulkLoader`].

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{BulkError, LiveSet, OwnedBulkLoader, ReadError};

/// A type of keys.
///
/// Integers are big-endian, so that their bytes do not depend on the machine; text and bytes are
/// themselves.
pub trait Key: Sized {
    /// The bytes of a key.
    type Bytes<'k>: AsRef<[u8]>
    where
        Self: 'k;

    /// The bytes of the key.
    fn to_bytes(&self) -> Self::Bytes<'_>;

    /// The key of these bytes; `None` if they are of no such key.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Key for $integer {
            type Bytes<'k> = [u8; size_of::<$integer>()];

            fn to_bytes(&self) -> Self::Bytes<'_> {
                self.to_be_bytes()
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                // Bytes of another length are no such integer.
                bytes.try_into().ok().map(Self::from_be_bytes)
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl Key for String {
    type Bytes<'k> = &'k [u8];

    fn to_bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // Bytes that are not UTF-8 are no text.
        str::from_utf8(bytes).ok().map(str::to_owned)
    }
}

impl Key for Vec<u8> {
    type Bytes<'k> = &'k [u8];

    fn to_bytes(&self) -> &[u8] {
        self
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl<const N: usize> Key for [u8; N] {
    type Bytes<'k> = &'k [u8; N];

    fn to_bytes(&self) -> &[u8; N] {
        self
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // Bytes of another length are no such array.
        bytes.try_into().ok()
    }
}

/// Turns values of a type into bytes and back.
pub trait Codec<V> {
    /// The error of either direction.
    type Error: Error + Send + Sync + 'static;

    /// The bytes of a value.
    ///
    /// # Errors
    ///
    /// If the value has none.
    fn encode(&self, value: &V) -> Result<Vec<u8>, Self::Error>;

    /// The value of these bytes.
    ///
    /// # Errors
    ///
    /// If they are of no value.
    fn decode(&self, bytes: &[u8]) -> Result<V, Self::Error>;
}

/// [postcard](https://docs.rs/postcard): a compact format for types of serde, which fields and
/// variants must be appended to only at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

impl<V: Serialize + DeserializeOwned> Codec<V> for Postcard {
    type Error = postcard::Error;

    fn encode(&self, value: &V) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_allocvec(value)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, postcard::Error> {
        match postcard::take_from_bytes(bytes)? {
            (value, []) => Ok(value),
            // Bytes behind the value: it was written as another type.
            _ => Err(postcard::Error::DeserializeBadEncoding),
        }
    }
}

/// Why a key or a value with a type could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedError<E: Error + 'static> {
    /// The set could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The record could not be put.
    #[error(transparent)]
    Load(#[from] BulkError),
    /// A key in the set is of another type.
    #[error("a key of {len} bytes is of another type")]
    Key {
        /// Length of the key in bytes.
        len: usize,
    },
    /// A value cannot be encoded, or is of another type.
    #[error("the codec of the value failed")]
    Codec(#[source] E),
}

/// The types of the keys and values of a set, and the codec of the values.
///
/// It holds no data: it is used together with a set or a loader, whose other methods stay usable.
pub struct Typed<K, V, C = Postcard> {
    codec: C,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V, C: Default> Default for Typed<K, V, C> {
    fn default() -> Self {
        Self::with_codec(C::default())
    }
}

impl<K, V, C: fmt::Debug> fmt::Debug for Typed<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl<K, V, C> Typed<K, V, C> {
    /// Types with a codec of their own.
    pub const fn with_codec(codec: C) -> Self {
        Self { codec, types: PhantomData }
    }
}

impl<K: Key, V, C: Codec<V>> Typed<K, V, C> {
    /// The value of a key: [`LiveSet::get`].
    ///
    /// # Errors
    ///
    /// [`TypedError`].
    pub fn get(&self, set: &LiveSet, key: &K) -> Result<Option<V>, TypedError<C::Error>> {
        let value = set.get(key.to_bytes())?;
        value.map(|value| self.decoded(&value)).transpose()
    }

    /// The values of many keys: [`LiveSet::multi_get`].
    ///
    /// # Errors
    ///
    /// [`TypedError`].
    pub fn multi_get(
        &self,
        set: &LiveSet,
        keys: &[K],
    ) -> Result<Vec<Option<V>>, TypedError<C::Error>> {
        let bytes: Vec<_> = keys.iter().map(Key::to_bytes).collect();
        let values = set.multi_get(&bytes)?.into_iter();
        values.map(|value| value.map(|value| self.decoded(&value)).transpose()).collect()
    }

    /// All entries: [`LiveSet::iter`].
    pub fn iter<'t>(
        &'t self,
        set: &LiveSet,
    ) -> impl Iterator<Item = Result<(K, V), TypedError<C::Error>>> + use<'t, K, V, C> {
        set.iter().map(|entry| {
            let (key, value) = entry?;
            let found = K::from_bytes(&key).ok_or(TypedError::Key { len: key.len() })?;
            Ok((found, self.decoded(&value)?))
        })
    }

    /// Puts a record: [`OwnedBulkLoader::put`].
    ///
    /// # Errors
    ///
    /// [`TypedError`].
    pub fn put(
        &self,
        loader: &mut OwnedBulkLoader,
        key: &K,
        value: &V,
    ) -> Result<(), TypedError<C::Error>> {
        let value = self.codec.encode(value).map_err(TypedError::Codec)?;
        Ok(loader.put(key.to_bytes(), value)?)
    }

    /// Puts a record that deletes its key: [`OwnedBulkLoader::delete`].
    ///
    /// # Errors
    ///
    /// [`TypedError::Load`].
    pub fn delete(
        &self,
        loader: &mut OwnedBulkLoader,
        key: &K,
    ) -> Result<(), TypedError<C::Error>> {
        Ok(loader.delete(key.to_bytes())?)
    }

    fn decoded(&self, bytes: &[u8]) -> Result<V, TypedError<C::Error>> {
        self.codec.decode(bytes).map_err(TypedError::Codec)
    }
}
