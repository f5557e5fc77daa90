//! The façade: a round trip with filters on, types, and lookups from asynchronous code.

use std::path::PathBuf;

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    (parent, directory)
}

#[test]
fn what_is_loaded_is_found_and_tables_have_filters() {
    let (_parent, directory) = scratch();
    let mut loader = sst_files::loader(&directory).unwrap();
    loader.extend((0..1000_u32).map(|i| (i.to_be_bytes(), i.to_string()))).unwrap();
    assert_eq!(loader.finish().unwrap().entries, 1000);
    let set = sst_files::open(&directory).unwrap();
    assert_eq!(set.get(7_u32.to_be_bytes()).unwrap().unwrap(), "7");
    assert!(!set.contains_key(1000_u32.to_be_bytes()).unwrap());
    assert!(set.snapshot().tables().all(|table| table.filter_len() > 0));
    // A second load replaces the first, and a refresh takes it.
    loader.put("only", "one").unwrap();
    loader.finish().unwrap();
    assert!(set.refresh().unwrap());
    assert_eq!(set.iter().count(), 1);
}

#[cfg(feature = "typed")]
mod typed {
    use sst_files::typed::{Codec, Typed, TypedError};

    use super::scratch;

    #[test]
    fn keys_and_values_come_back_with_their_types() {
        let (_parent, directory) = scratch();
        let types = Typed::<u64, (String, Option<i32>)>::default();
        let mut loader = sst_files::loader(&directory).unwrap();
        let value = |i: u64| (format!("value {i}"), i.is_multiple_of(2).then_some(-7));
        for i in 0..100 {
            types.put(&mut loader, &i, &value(i)).unwrap();
        }
        types.delete(&mut loader, &7).unwrap();
        loader.finish().unwrap();
        let set = sst_files::open(&directory).unwrap();
        assert_eq!(types.get(&set, &8).unwrap(), Some(value(8)));
        assert_eq!(types.multi_get(&set, &[9, 7]).unwrap(), [Some(value(9)), None]);
        // Keys are big-endian.
        assert!(set.contains_key([0, 0, 0, 0, 0, 0, 0, 42]).unwrap());
        let mut all: Vec<_> = types.iter(&set).map(Result::unwrap).collect();
        all.sort();
        assert_eq!(all.len(), 99);
        assert!(all.iter().all(|(key, found)| *found == value(*key)));
        // Other types are noticed.
        let other = Typed::<u64, u8>::default();
        assert!(matches!(other.get(&set, &8), Err(TypedError::Codec(_))));
        let other = Typed::<u32, (String, Option<i32>)>::default();
        assert!(matches!(other.iter(&set).next(), Some(Err(TypedError::Key { len: 8 }))));
    }

    /// A codec of the caller.
    struct Decimal;

    impl Codec<u32> for Decimal {
        type Error = std::num::ParseIntError;

        fn encode(&self, value: &u32) -> Result<Vec<u8>, Self::Error> {
            Ok(value.to_string().into_bytes())
        }

        fn decode(&self, bytes: &[u8]) -> Result<u32, Self::Error> {
            String::from_utf8_lossy(bytes).parse()
        }
    }

    #[test]
    fn values_may_have_any_codec() {
        let (_parent, directory) = scratch();
        let types = Typed::<String, u32, _>::with_codec(Decimal);
        let mut loader = sst_files::loader(&directory).unwrap();
        types.put(&mut loader, &"seven".to_owned(), &7).unwrap();
        loader.put("no number", "x").unwrap();
        loader.finish().unwrap();
        let set = sst_files::open(&directory).unwrap();
        assert_eq!(set.get("seven").unwrap().unwrap(), "7");
        assert_eq!(types.get(&set, &"seven".to_owned()).unwrap(), Some(7));
        assert!(types.get(&set, &"no number".to_owned()).is_err());
    }
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn asynchronous_lookups_find_the_same() {
    use sst_files::async_set::AsyncSet;
    let (_parent, directory) = scratch();
    let mut loader = sst_files::loader(&directory).unwrap();
    loader.extend([("apple", "red"), ("pear", "green")]).unwrap();
    loader.finish().unwrap();
    let set = AsyncSet::new(sst_files::open(&directory).unwrap());
    assert_eq!(set.get("apple").await.unwrap().unwrap(), "red");
    assert_eq!(
        set.multi_get(vec!["fig", "pear"]).await.unwrap()[1].as_deref(),
        Some(&b"green"[..])
    );
    assert!(!set.refresh().await.unwrap());
    loader.put("fig", "purple").unwrap();
    loader.finish().unwrap();
    let other = set.clone();
    assert!(other.refresh().await.unwrap());
    assert_eq!(set.get("fig").await.unwrap().unwrap(), "purple");
}
