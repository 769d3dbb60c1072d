//! Proxies: to enter, list and end them.

mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::NewEvent;
use carrel_proto::patrons::v1::ProxyChanged;
use carrel_runtime::{Call, Page};
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

pub use model::{MOST_PROXIES, Proxy};

use crate::block::last_day_over_everywhere;
use crate::{Error, Patrons, access_log, refuse_own_account};

/// Lets a patron borrow for another.
///
/// # Errors
/// OWN_ACCOUNT, PROXY_OF_SELF, PROXY_EXPIRED, PATRON_NOT_FOUND,
/// PROXY_ALREADY_EXISTS, TOO_MANY_PROXIES.
pub async fn create(
    patrons: &Patrons,
    call: &Call,
    key: &RequestKey,
    sponsor_patron_id: Uuid,
    proxy_patron_id: Uuid,
    expiration_date: Option<Date>,
) -> Result<Proxy, Error> {
    let both = [sponsor_patron_id, proxy_patron_id];
    for patron_id in both {
        refuse_own_account(call, patron_id)?;
    }
    if sponsor_patron_id == proxy_patron_id {
        return Err(Error::ProxyOfSelf);
    }
    let now = patrons.clock.now();
    if expiration_date.is_some_and(|date| date <= last_day_over_everywhere(now)) {
        return Err(Error::ProxyExpired);
    }
    let proxy = Proxy {
        id: carrel_ids::new_id(),
        sponsor_patron_id,
        proxy_patron_id,
        expiration_date,
        created_at: now,
        created_by: call.caller.subject().to_owned(),
        ended_at: None,
        revision: 1,
    };
    let created = transact!(patrons.database, "create_proxy", |transaction| {
        let claimed = claim(transaction, key, &[proxy.id], now).await??;
        access_log::note(&mut *transaction, call, &both, now).await?;
        if let Claim::Done(ids) = claimed {
            let found = store::find_and_lock(transaction, ids[0]).await?;
            return found.ok_or(Error::ProxyNotFound);
        }
        let open = store::lock_sponsor_and_count(transaction, sponsor_patron_id).await?;
        if open.ok_or(Error::PatronNotFound)? >= MOST_PROXIES {
            return Err(Error::TooManyProxies);
        }
        store::insert(transaction, &proxy).await?;
        carrel_outbox::append(transaction, &[changed(&proxy, call, now)]).await?;
        Ok::<_, Error>(proxy.clone())
    })?;
    patrons.committed();
    Ok(created)
}

fn changed(proxy: &Proxy, call: &Call, now: Timestamp) -> NewEvent {
    let event = ProxyChanged {
        proxy: Some(proxy.to_standing()),
    };
    NewEvent::of(proxy.id, &event, now).caused_by(call.trace_parent.clone())
}

/// A page of a patron's proxies, as sponsor or proxy, newest first, with the
/// next page's token.
///
/// # Errors
/// PATRON_NOT_FOUND.
pub async fn list(
    patrons: &Patrons,
    call: &Call,
    patron_id: Uuid,
    include_ended: bool,
    page: &Page<Uuid>,
) -> Result<(Vec<Proxy>, String), Error> {
    let pool = patrons.database.pool();
    let now = patrons.clock.now();
    let ended = (!include_ended).then(|| last_day_over_everywhere(now));
    let mut proxies = store::list(pool, patron_id, ended, page.after, page.limit()).await?;
    if proxies.is_empty()
        && crate::patron::store::find_standing(pool, patron_id)
            .await?
            .is_none()
    {
        return Err(Error::PatronNotFound);
    }
    let next = page.cut(&mut proxies, |proxy| proxy.id);
    let mut told = vec![patron_id];
    told.extend(
        proxies
            .iter()
            .flat_map(|proxy| [proxy.sponsor_patron_id, proxy.proxy_patron_id]),
    );
    told.sort_unstable();
    told.dedup();
    access_log::note(pool, call, &told, now).await?;
    Ok((proxies, next))
}

/// Ends a proxy; one that has ended stays as it is.
///
/// # Errors
/// PROXY_NOT_FOUND, OWN_ACCOUNT.
pub async fn end(
    patrons: &Patrons,
    call: &Call,
    key: &RequestKey,
    id: Uuid,
) -> Result<Proxy, Error> {
    let now = patrons.clock.now();
    let ended = transact!(patrons.database, "end_proxy", |transaction| {
        let done = claim(transaction, key, &[id], now).await??;
        let found = store::find_and_lock(transaction, id).await?;
        let mut proxy = found.ok_or(Error::ProxyNotFound)?;
        let both = [proxy.sponsor_patron_id, proxy.proxy_patron_id];
        for patron_id in both {
            refuse_own_account(call, patron_id)?;
        }
        access_log::note(&mut *transaction, call, &both, now).await?;
        if matches!(done, Claim::Done(_)) || !proxy.end(now) {
            return Ok(proxy);
        }
        store::end(transaction, &proxy, call.caller.subject(), now).await?;
        carrel_outbox::append(transaction, &[changed(&proxy, call, now)]).await?;
        Ok::<_, Error>(proxy)
    })?;
    patrons.committed();
    Ok(ended)
}
