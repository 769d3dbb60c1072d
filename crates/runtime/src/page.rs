//! Pages (AIP-158): a token that belongs to its query.

use base64::Engine as _;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;
use crate::token::{BASE64_URL, sha256};

/// Bytes of the query's hash in a token.
const QUERY_LENGTH: usize = 8;

/// A page that was asked for.
#[derive(Debug)]
pub struct Page<K> {
    /// How many rows at the most.
    pub size: i64,
    /// The key of the last row of the page before; `None` on the first page.
    pub after: Option<K>,
    query: [u8; QUERY_LENGTH],
}

/// Reads what page is asked for. `query` is the request with page size and
/// token cleared: a token of another query is refused.
///
/// # Errors
/// PAGE_SIZE_OUT_OF_RANGE, PAGE_TOKEN_MALFORMED,
/// PAGE_TOKEN_FROM_ANOTHER_QUERY.
pub fn page<K: DeserializeOwned>(
    page_size: i32,
    page_token: &str,
    query: &impl Message,
    default_size: i32,
    largest_size: i32,
) -> Result<Page<K>, Refusal> {
    if page_size < 0 || page_size > largest_size {
        return Err(Refusal::field(
            "page_size",
            "PAGE_SIZE_OUT_OF_RANGE",
            format!("must be 1 to {largest_size}, or 0 for {default_size}"),
        ));
    }
    let mut hash = [0; QUERY_LENGTH];
    hash.copy_from_slice(&sha256(&query.encode_to_vec())[..QUERY_LENGTH]);
    let after = if page_token.is_empty() {
        None
    } else {
        Some(read_token(page_token, &hash)?)
    };
    Ok(Page {
        size: if page_size == 0 {
            default_size
        } else {
            page_size
        }
        .into(),
        after,
        query: hash,
    })
}

fn read_token<K: DeserializeOwned>(token: &str, query: &[u8; QUERY_LENGTH]) -> Result<K, Refusal> {
    let malformed = || {
        Refusal::field(
            "page_token",
            "PAGE_TOKEN_MALFORMED",
            "is not one that this service gave; begin again without it",
        )
    };
    let bytes = BASE64_URL.decode(token).map_err(|_| malformed())?;
    let (hash, key) = bytes.split_at_checked(QUERY_LENGTH).ok_or_else(malformed)?;
    // No database keeps this character; we gave no token with it.
    if key.windows(6).any(|window| window == br"\u0000") {
        return Err(malformed());
    }
    let key = serde_json::from_slice(key).map_err(|_| malformed());
    if hash != query {
        // A token that can't be read at all is malformed rather than foreign.
        serde_json::from_slice::<serde_json::Value>(&bytes[QUERY_LENGTH..])
            .map_err(|_| malformed())?;
        return Err(Refusal::field(
            "page_token",
            "PAGE_TOKEN_FROM_ANOTHER_QUERY",
            "belongs to a query with other fields; begin again without it",
        ));
    }
    key
}

impl<K: Serialize> Page<K> {
    /// How many rows to read: one more than the page has, to see whether there
    /// is a next one.
    #[must_use]
    pub fn limit(&self) -> i64 {
        self.size + 1
    }

    /// Cuts what was read with [`Page::limit`] to the page, and gives the next
    /// page's token: empty on the last page.
    pub fn cut<R>(&self, rows: &mut Vec<R>, key: impl FnOnce(&R) -> K) -> String {
        let size = usize::try_from(self.size).expect("page sizes are small and positive");
        if rows.len() <= size {
            return String::new();
        }
        rows.truncate(size);
        let last = rows.last().expect("a page has at least one row");
        let mut token = self.query.to_vec();
        serde_json::to_writer(&mut token, &key(last)).expect("a key is plain data");
        BASE64_URL.encode(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrel_proto::circulation::v1::ListLoansRequest;

    fn query(item: &str) -> ListLoansRequest {
        ListLoansRequest {
            item_id: item.into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_token_goes_on_where_its_own_query_stopped() {
        let first: Page<i64> = page(2, "", &query("a"), 50, 1000).unwrap();
        let mut rows = vec![10, 11, 12];
        let token = first.cut(&mut rows, |row| *row);
        assert_eq!(rows, [10, 11]);

        let second: Page<i64> = page(2, &token, &query("a"), 50, 1000).unwrap();
        assert_eq!(second.after, Some(11));
        assert_eq!(second.cut(&mut vec![12], |row| *row), "");

        let foreign = page::<i64>(2, &token, &query("b"), 50, 1000).unwrap_err();
        assert_eq!(foreign.reason(), "PAGE_TOKEN_FROM_ANOTHER_QUERY");
        for broken in ["x", "AAAA", "!!!!", "AAAAAAAAAAAAAAAA"] {
            let refusal = page::<i64>(2, broken, &query("a"), 50, 1000).unwrap_err();
            assert_eq!(refusal.reason(), "PAGE_TOKEN_MALFORMED", "{broken}");
        }
        // A token that a caller made up, with what no database keeps.
        let first: Page<String> = page(1, "", &query("a"), 50, 1000).unwrap();
        let made_up = first.cut(&mut vec!["A\0", "B"], |code| (*code).to_owned());
        let refusal = page::<String>(1, &made_up, &query("a"), 50, 1000).unwrap_err();
        assert_eq!(refusal.reason(), "PAGE_TOKEN_MALFORMED");
        assert!(page::<i64>(-1, "", &query("a"), 50, 1000).is_err());
        assert!(page::<i64>(1001, "", &query("a"), 50, 1000).is_err());
    }
}
