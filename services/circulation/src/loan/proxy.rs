//! Proxies: who stands at the desk for a patron. The loan is the patron's,
//! with everything that follows; of the proxy it must only be known that they
//! may.

use jiff::civil::Date;
use sqlx::PgConnection;
use uuid::Uuid;

use super::block::Block;

/// A proxy as they are known at the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub patron_id: Uuid,
    /// Whether the account is in use.
    pub active: bool,
    /// The last day on which the account may borrow.
    pub expiration_date: Option<Date>,
    /// The last day on which a manual block on borrowing holds.
    pub blocked_until: Option<Date>,
    /// Whether they may borrow for the patron.
    pub may_borrow: bool,
    /// The last day on which they may.
    pub may_borrow_until: Option<Date>,
}

/// The proxy with a barcode, and whether they may borrow for a patron.
pub(super) async fn find(
    connection: &mut PgConnection,
    barcode_hmac: &[u8; 32],
    sponsor_patron_id: Uuid,
) -> Result<Option<Proxy>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select proxy.patron_id, proxy.active, proxy.expiration_date,
                (select max(coalesce(expiration_date, date '9999-12-31')) from block_projection
                 where patron_id = proxy.patron_id and not lifted and blocks_borrowing) as blocked_until,
                allowed.proxy_id is not null as "may_borrow!", allowed.expiration_date as "may_borrow_until?"
         from patron_projection proxy
         left join lateral (
             select proxy_id, expiration_date from proxy_projection
             where sponsor_patron_id = $2 and proxy_patron_id = proxy.patron_id and not ended
             order by expiration_date desc nulls first limit 1
         ) allowed on true
         where proxy.barcode_hmac = $1
         order by proxy.place desc limit 1"#,
        barcode_hmac.as_slice(),
        sponsor_patron_id,
    )
    .fetch_optional(connection)
    .await?;
    let to_jiff = |date: Option<jiff_sqlx::Date>| date.map(jiff_sqlx::Date::to_jiff);
    Ok(row.map(|row| Proxy {
        patron_id: row.patron_id,
        active: row.active,
        expiration_date: to_jiff(row.expiration_date),
        blocked_until: to_jiff(row.blocked_until),
        may_borrow: row.may_borrow,
        may_borrow_until: to_jiff(row.may_borrow_until),
    }))
}

impl Proxy {
    /// What stands against their borrowing for the patron on this day at the
    /// desk. What the proxy has out or owes does not: it is not their loan.
    pub(super) fn blocks(&self, today: Date) -> Vec<Block> {
        let over = |last: Option<Date>| last.filter(|last| *last < today);
        let mut blocks = Vec::new();
        if !self.may_borrow {
            blocks.push(Block::beyond_staff(
                "PROXY_NOT_ALLOWED",
                "they are not entered as a proxy of the patron",
            ));
        }
        if let Some(last) = over(self.may_borrow_until) {
            blocks.push(Block::beyond_staff(
                "PROXY_EXPIRED",
                format!("they might borrow for the patron until {last}"),
            ));
        }
        if !self.active {
            blocks.push(Block::beyond_staff(
                "PROXY_ACCOUNT_INACTIVE",
                "the proxy's own account is not in use",
            ));
        }
        if let Some(last) = over(self.expiration_date) {
            blocks.push(Block::new(
                "PROXY_ACCOUNT_EXPIRED",
                format!("the proxy's own account expired on {last}"),
            ));
        }
        if self.blocked_until.is_some_and(|until| until >= today) {
            blocks.push(Block::new("PROXY_BLOCKED", "staff blocked the proxy"));
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_proxy_may_borrow_on_the_last_day_and_not_after_it() {
        let (yesterday, today) = (date(2026, 10, 6), date(2026, 10, 7));
        let sound = Proxy {
            patron_id: Uuid::nil(),
            active: true,
            expiration_date: Some(today),
            blocked_until: Some(yesterday),
            may_borrow: true,
            may_borrow_until: Some(today),
        };
        let reasons = |proxy: Proxy| -> Vec<(&str, bool)> {
            let blocks = proxy.blocks(today).into_iter();
            blocks
                .map(|block| (block.reason, block.overridable))
                .collect()
        };
        assert_eq!(reasons(sound.clone()), []);
        let unlimited = Proxy {
            may_borrow_until: None,
            expiration_date: None,
            blocked_until: None,
            ..sound.clone()
        };
        assert_eq!(reasons(unlimited), []);
        let everything = Proxy {
            active: false,
            expiration_date: Some(yesterday),
            blocked_until: Some(today),
            may_borrow_until: Some(yesterday),
            ..sound.clone()
        };
        assert_eq!(
            reasons(everything),
            [
                ("PROXY_EXPIRED", false),
                ("PROXY_ACCOUNT_INACTIVE", false),
                ("PROXY_ACCOUNT_EXPIRED", true),
                ("PROXY_BLOCKED", true),
            ]
        );
        let stranger = Proxy {
            may_borrow: false,
            may_borrow_until: None,
            ..sound
        };
        assert_eq!(reasons(stranger), [("PROXY_NOT_ALLOWED", false)]);
    }
}
