//! Standings, manual blocks and proxies, from patrons: ids, groups, dates, never a
//! name.

use carrel_outbox::{ApplyError, Page, Projection, StateProjection, decode};
use carrel_proto::events::v1::Event;
use carrel_proto::patrons::v1::patron_service_client::PatronServiceClient;
use carrel_proto::patrons::v1::{
    BlockStanding, ListPatronStandingsRequest, ManualBlockChanged, PatronStanding,
    PatronStandingChanged, ProxyChanged, ProxyStanding,
};
use carrel_runtime::PeerChannel;
use prost::Name;
use sqlx::PgConnection;
use tonic::Status;

use super::store::{self, BlockRow, ProxyRow, StandingRow};
use super::{PAGE_SIZE, asking, date, id, poison, present, within};

/// The projection of patrons' standings and blocks.
#[derive(Debug, Clone)]
pub struct PatronsProjection {
    /// The way to patrons, to read its whole state; `None`: there is none.
    pub channel: Option<PeerChannel>,
}

/// A page of the patrons service's state.
#[derive(Debug)]
pub struct PatronRows {
    standings: Vec<PatronStanding>,
    blocks: Vec<BlockStanding>,
    proxies: Vec<ProxyStanding>,
}

impl Projection for PatronsProjection {
    fn types(&self) -> Vec<String> {
        vec![
            PatronStandingChanged::full_name(),
            ManualBlockChanged::full_name(),
            ProxyChanged::full_name(),
        ]
    }

    /// 2: what blocks requests is kept, too; 3: who keeps a reading history;
    /// 4: proxies.
    fn edition(&self) -> i64 {
        4
    }

    async fn apply_all(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        let (mut standings, mut blocks, mut proxies) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            if event.r#type == PatronStandingChanged::full_name() {
                let changed: PatronStandingChanged = decode(event)?;
                standings.push(standing_row(present("standing", &changed.standing)?)?);
            } else if event.r#type == ManualBlockChanged::full_name() {
                let changed: ManualBlockChanged = decode(event)?;
                blocks.push(block_row(present("block", &changed.block)?)?);
            } else if event.r#type == ProxyChanged::full_name() {
                let changed: ProxyChanged = decode(event)?;
                proxies.push(proxy_row(present("proxy", &changed.proxy)?)?);
            } else {
                return Err(ApplyError::unknown_type(event));
            }
        }
        store::put_standings(connection, generation, standings).await?;
        store::put_blocks(connection, generation, blocks).await?;
        store::put_proxies(connection, generation, proxies).await?;
        Ok(())
    }
}

impl StateProjection for PatronsProjection {
    type Rows = PatronRows;

    async fn fetch_page(&self, page_token: &str) -> Result<Page<PatronRows>, Status> {
        let Some(channel) = self.channel.clone() else {
            return Err(Status::unavailable("no way to patrons"));
        };
        let request = ListPatronStandingsRequest {
            page_size: PAGE_SIZE,
            page_token: page_token.to_owned(),
        };
        let mut patrons = PatronServiceClient::new(channel);
        let page = within(patrons.list_patron_standings(asking(request)))
            .await?
            .into_inner();
        Ok(Page {
            rows: PatronRows {
                standings: page.standings,
                blocks: page.blocks,
                proxies: page.proxies,
            },
            next_page_token: page.next_page_token,
        })
    }

    async fn apply_page(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        rows: &PatronRows,
    ) -> Result<(), ApplyError> {
        let standings = rows
            .standings
            .iter()
            .map(standing_row)
            .collect::<Result<_, _>>()?;
        let blocks = rows
            .blocks
            .iter()
            .map(block_row)
            .collect::<Result<_, _>>()?;
        let proxies = rows
            .proxies
            .iter()
            .map(proxy_row)
            .collect::<Result<_, _>>()?;
        store::put_standings(connection, generation, standings).await?;
        store::put_blocks(connection, generation, blocks).await?;
        store::put_proxies(connection, generation, proxies).await?;
        Ok(())
    }

    async fn finish_rebuild(
        &self,
        connection: &mut PgConnection,
        generation: i64,
    ) -> Result<(), ApplyError> {
        store::forget_patrons_before(connection, generation).await?;
        Ok(())
    }
}

/// A standing as patrons tells it.
pub(super) fn standing_row(standing: &PatronStanding) -> Result<StandingRow, ApplyError> {
    let hmac = match standing.barcode_hmac.len() {
        0 => None,
        32 => Some(standing.barcode_hmac.clone()),
        _ => return Err(poison("standing.barcode_hmac")),
    };
    Ok(StandingRow {
        patron_id: id("standing.patron_id", &standing.patron_id)?,
        barcode_hmac: hmac,
        patron_group: standing.patron_group.clone(),
        expiration_date: date(
            "standing.expiration_date",
            standing.expiration_date.as_ref(),
        )?,
        active: standing.active,
        keeps_history: standing.keeps_history,
        revision: standing.revision,
    })
}

/// A proxy as patrons tells it.
pub(super) fn proxy_row(proxy: &ProxyStanding) -> Result<ProxyRow, ApplyError> {
    Ok(ProxyRow {
        proxy_id: id("proxy.proxy_id", &proxy.proxy_id)?,
        sponsor_patron_id: id("proxy.sponsor_patron_id", &proxy.sponsor_patron_id)?,
        proxy_patron_id: id("proxy.proxy_patron_id", &proxy.proxy_patron_id)?,
        expiration_date: date("proxy.expiration_date", proxy.expiration_date.as_ref())?,
        ended: proxy.ended,
        revision: proxy.revision,
    })
}

/// A block as patrons tells it.
pub(super) fn block_row(block: &BlockStanding) -> Result<BlockRow, ApplyError> {
    Ok(BlockRow {
        block_id: id("block.block_id", &block.block_id)?,
        patron_id: id("block.patron_id", &block.patron_id)?,
        blocks_borrowing: block.blocks_borrowing,
        blocks_renewals: block.blocks_renewals,
        blocks_requests: block.blocks_requests,
        expiration_date: date("block.expiration_date", block.expiration_date.as_ref())?,
        lifted: block.lifted,
        revision: block.revision,
    })
}
