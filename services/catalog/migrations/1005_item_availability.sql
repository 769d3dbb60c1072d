-- Circulation tells of more than being out: claims, losses, requests, transit.
alter table item_availability
    drop constraint item_availability_status_is_known,
    add constraint item_availability_status_is_known check (status in (
        'in', 'checked_out', 'aged_to_lost', 'claimed_returned', 'declared_lost', 'awaiting_pickup',
        'in_transit', 'paged', 'missing', 'lost_and_paid', 'awaiting_delivery'));
